use ramson_crypto::{Random, fake};
use ramson_proto::tunnel::build::creator::{BuildFailure, ReplyError};
use ramson_proto::tunnel::build::{
    BuildKind, BuildPath, HopAnswer, HopRequest, HopSpec, NextStep, PendingBuild,
};
use ramson_proto::tunnel::noise::Receiver;
use ramson_wire::build::{BuildReply, ReplyCode};
use ramson_wire::i2np::{Garlic, LongBuildRecords, ShortBuildRecords, TunnelGateway};
use ramson_wire::{I2npMessage, Mapping, MessageType, TunnelId};

use super::peer::{Peer, at};
use crate::reach::{reached, reached_variant};
use crate::script::Script;

/// What the inputs of [`tunnel_build`] have to reach.
pub const TUNNEL_BUILD: &[&str] = &[
    "cannot build HopCount",
    "cannot build DuplicateHop",
    "cannot build Options",
    "hop Short Participant",
    "hop Short InboundGateway",
    "hop Short OutboundEndpoint",
    "hop Long Participant",
    "hop Long InboundGateway",
    "hop Long OutboundEndpoint",
    "hop of an unknown kind of tunnel",
    "hop Malformed Truncated",
    "hop Malformed TooMany",
    "hop NoRecord",
    "hop Open BadKey",
    "hop Open Decrypt",
    "hop Request Flags",
    "hop Request ZeroTunnelId",
    "hop NextIsOurselves",
    "step Send",
    "step Gateway",
    "reply wrapped",
    "answer Accepted",
    "answer Refused",
    "answer Unreadable",
    "build Ok",
    "build Err Refused",
    "build Err Unreadable",
    "build Err Tampered",
    "reply RecordCount",
    "reply Malformed Truncated",
    "reply Garlic Tag",
    "reply Garlic Decrypt",
    "reply Unexpected",
];

/// A build is answered as its hops have said, however many they are; whatever is changed on the way
/// is noticed or harmless. A hop takes any message, and its answer has the records of the request.
///
/// The first byte chooses between a message for a hop, in which case that follows, and a whole
/// build.
pub fn tunnel_build(data: &[u8]) {
    let _fake = fake::enable();
    let mut script = Script::new(data);
    match script.u8() % 4 {
        0 => hop(BuildKind::Short, script),
        1 => hop(BuildKind::Long, script),
        _ => build(script),
    }
}

const US: u8 = 0;

/// A message for one hop.
fn hop(kind: BuildKind, mut script: Script<'_>) {
    let reply = reply(&mut script);
    let _ = answer(kind, US, script.rest(), &reply);
}

fn reply(script: &mut Script<'_>) -> BuildReply {
    let code = ReplyCode::from_code(script.u8());
    let options = script.u8();
    let mut reply = BuildReply::new(code);
    if options > 0 {
        let value = "1".repeat(options.into());
        reply.options = Mapping::from_pairs([("b", value)]).expect("it is short");
    }
    reply
}

/// Has a router answer a build message.
fn answer(kind: BuildKind, router: u8, body: &[u8], reply: &BuildReply) -> Option<NextStep> {
    let peer = Peer::of(router);
    let receiver = Receiver::new(peer.keys.encryption.clone());
    let opened = HopRequest::find(kind, peer.hash(), body).and_then(|it| it.open(&receiver));
    let opened = match opened {
        Ok(opened) => opened,
        Err(error) => {
            reached_variant("hop", &error);
            return None;
        }
    };
    reached(format_args!("hop {kind:?} {:?}", opened.request().role));
    if opened.is_unsupported() {
        reached("hop of an unknown kind of tunnel");
    }
    let expires = at(8000).unix;
    let step = opened.reply(reply, expires, &mut Random::from_seed([1; 32]));
    let Ok(step) = step else {
        assert!(reply.options.encoded_len() > 201);
        return None;
    };
    reached_variant("step", &step);
    let (NextStep::Send { message, .. } | NextStep::Gateway { message, .. }) = &step;
    let records = match message.kind() {
        MessageType::TunnelGateway => {
            let gateway = TunnelGateway::parse(message.body()).expect("it was just written");
            let inner = gateway.inner().expect("a whole message is in it");
            if inner.kind == MessageType::Garlic {
                reached("reply wrapped");
                return Some(step);
            }
            count(kind, inner.body)
        }
        _ => count(kind, message.body()),
    };
    assert_eq!(Some(records), body.first().copied().map(usize::from));
    Some(step)
}

fn count(kind: BuildKind, body: &[u8]) -> usize {
    match kind {
        BuildKind::Short => ShortBuildRecords::parse(body)
            .map(|mut records| records.as_mut_slice().len())
            .expect("an answer is a build message"),
        BuildKind::Long => LongBuildRecords::parse(body)
            .map(|mut records| records.as_mut_slice().len())
            .expect("an answer is a build message"),
    }
}

/// A whole build.
fn build(mut script: Script<'_>) {
    let (way, hops) = (script.u8(), script.u8() % 10);
    let tunnel = TunnelId::new(77).expect("it is not zero");
    let inbound = way & 1 != 0;
    let path = if inbound {
        BuildPath::Inbound {
            us: Peer::of(US).hash(),
            receive_tunnel: tunnel,
        }
    } else {
        BuildPath::Outbound {
            // The last hop may be the gateway of the answer itself.
            reply_gateway: match way & 2 {
                0 => Peer::of(100).hash(),
                _ => Peer::of(hops).hash(),
            },
            reply_tunnel: tunnel,
        }
    };
    let mut specs: Vec<HopSpec> = (1..=hops)
        .map(|number| HopSpec {
            router: Peer::of(number).hash(),
            encryption_key: Peer::of(number).keys.encryption.public(),
            receive_tunnel: TunnelId::new(number.into()).unwrap_or(tunnel),
            options: Mapping::default(),
        })
        .collect();
    if way & 4 != 0
        && let Some(last) = specs.last_mut()
    {
        last.router = match inbound {
            true => Peer::of(US).hash(),
            false => Peer::of(1).hash(),
        };
    }
    if way & 8 != 0
        && let Some(last) = specs.last_mut()
    {
        let value = "1".repeat(script.u8().into());
        last.options = Mapping::from_pairs([("m", value)]).expect("it is short");
    }
    let mut random = Random::from_seed([2; 32]);
    let id = 0x0102_0304;
    let (pending, body) = match PendingBuild::start(&specs, path, id, &mut random, at(0).unix) {
        Ok(started) => started,
        Err(error) => {
            reached_variant("cannot build", &error);
            return;
        }
    };

    let mut body = body.to_vec();
    let mut honest = true;
    let mut said = Vec::new();
    let mut last = None;
    for number in 1..=hops {
        honest &= !script.edit(&mut body);
        let reply = reply(&mut script);
        // The last may be in there twice.
        let router = match specs.get(usize::from(number).saturating_sub(1)) {
            Some(spec) if spec.router == Peer::of(number).hash() => number,
            _ => 1,
        };
        let Some(step) = answer(BuildKind::Short, router, &body, &reply) else {
            assert!(!honest || reply.options.encoded_len() > 201);
            return;
        };
        said.push(reply);
        let (NextStep::Send { message, .. } | NextStep::Gateway { message, .. }) = &step;
        body = message.body().to_vec();
        last = Some(message.clone());
    }
    let Some(message) = last else {
        return;
    };
    finish(&pending, &message, &said, honest, &mut script);
}

/// The answer comes back.
fn finish(
    pending: &PendingBuild,
    message: &I2npMessage,
    said: &[BuildReply],
    mut honest: bool,
    script: &mut Script<'_>,
) {
    let mut body = message.body().to_vec();
    if message.kind() == MessageType::TunnelGateway {
        let Ok(inner) = TunnelGateway::parse(&body).and_then(|gateway| gateway.inner()) else {
            return;
        };
        let mut garlic = inner.body.to_vec();
        honest &= !script.edit(&mut garlic);
        let Some(opened) = open(pending, &garlic) else {
            assert!(!honest);
            return;
        };
        body = opened;
    }
    honest &= !script.edit(&mut body);
    let outcome = match pending.handle_reply(&body) {
        Ok(outcome) => outcome,
        Err(error) => {
            assert!(!honest);
            reached_variant("reply", &error);
            return;
        }
    };
    for answer in &outcome.answers {
        reached_variant("answer", answer);
    }
    match &outcome.tunnel {
        Ok(_) => reached("build Ok"),
        Err(why) => reached_variant("build Err", why),
    }
    assert_eq!(outcome.answers.len(), said.len());
    if honest {
        let expected: Vec<HopAnswer> = said
            .iter()
            .map(|reply| match reply.code {
                ReplyCode::Accepted => HopAnswer::Accepted(reply.options.clone()),
                ReplyCode::Rejected(code) => HopAnswer::Refused(code),
            })
            .collect();
        assert_eq!(outcome.answers, expected);
        let accepted = said.iter().all(|reply| reply.code == ReplyCode::Accepted);
        assert_eq!(outcome.tunnel.is_ok(), accepted);
        assert_ne!(outcome.tunnel, Err(BuildFailure::Tampered));
    }
}

fn open(pending: &PendingBuild, garlic: &[u8]) -> Option<Vec<u8>> {
    let opened = Garlic::parse(garlic)
        .map_err(ReplyError::Malformed)
        .and_then(|garlic| pending.open_garlic_reply(garlic));
    match opened {
        Ok(body) => Some(body.to_vec()),
        Err(error) => {
            reached_variant("reply", &error);
            None
        }
    }
}
