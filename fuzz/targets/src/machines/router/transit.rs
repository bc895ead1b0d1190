//! Requests to take part in tunnels.

use std::time::Duration;

use ramson_proto::tunnel::LIFETIME;
use ramson_wire::build::{BuildRequest, HopRole, LongBuildRequest, ShortBuildRequest};
use ramson_wire::{Mapping, MessageType, RouterHash, TunnelId};

use super::net::Net;
use crate::reach::reached;
use crate::script::Script;

/// Records of each message.
const RECORDS: usize = 4;

impl Net {
    /// A tunnel of somebody else in each role: 10 to 12.
    pub(super) fn build_transit(&mut self) {
        let roles = [
            HopRole::InboundGateway,
            HopRole::Participant,
            HopRole::OutboundEndpoint,
        ];
        for (number, role) in (0..).zip(roles) {
            let request = self.request(role, number, 2, 0);
            let body = short_message(&self.us, &request, number + 100, 0);
            self.say(0, MessageType::ShortTunnelBuild, &body);
            self.settle();
        }
    }

    /// `[link][format][role][tunnel][next][age in minutes][key][options]`, then edits.
    pub(super) fn say_build(&mut self, script: &mut Script<'_>) {
        let [link, format, role, tunnel, next, age, key, kind, repeat] = script.array();
        let role = match role % 3 {
            0 => HopRole::InboundGateway,
            1 => HopRole::Participant,
            _ => HopRole::OutboundEndpoint,
        };
        let mut request = self.request(role, tunnel, next, age);
        request.layer_type = kind;
        let (name, kind, mut body) = match format & 1 {
            0 => {
                let body = short_message(&self.us, &request, key, format >> 1);
                ("Short", MessageType::ShortTunnelBuild, body)
            }
            _ => {
                let body = long_message(&self.us, request, key, format >> 1);
                ("Long", MessageType::VariableTunnelBuild, body)
            }
        };
        reached(format_args!("build {name} {role:?}"));
        script.edit(&mut body);
        for _ in 0..=repeat {
            self.say(link, kind, &body);
        }
    }

    fn request(&self, role: HopRole, tunnel: u8, next: u8, age: u8) -> BuildRequest {
        let requested = self.now().unix + Duration::from_secs(60 * 60)
            - Duration::from_secs(60 * (u64::from(age.wrapping_add(60))));
        BuildRequest {
            receive_tunnel: self.tunnel(tunnel),
            next_tunnel: TunnelId::new(30).expect("it is not zero"),
            next_hop: self.who(next),
            role,
            layer_type: 0,
            requested,
            lifetime: LIFETIME,
            next_message_id: 55,
            options: Mapping::default(),
        }
    }
}

fn short_message(us: &RouterHash, request: &BuildRequest, key: u8, place: u8) -> Vec<u8> {
    let mut plain = [0; 154];
    let request = ShortBuildRequest(request.clone());
    request.write(&mut plain).expect("there are no options");
    message(us, &plain, key, place)
}

fn long_message(us: &RouterHash, request: BuildRequest, key: u8, place: u8) -> Vec<u8> {
    let mut plain = [0; 464];
    let request = LongBuildRequest {
        request,
        layer_key: [1; 32].into(),
        iv_key: [2; 32].into(),
        reply_key: [3; 32].into(),
        reply_iv: [4; 16],
    };
    request.write(&mut plain).expect("there are no options");
    message(us, &plain, key, place)
}

/// `[count: u8][record]*`, ours being `[prefix: 16][ephemeral key: 32][request][tag: 16]`.
fn message(us: &RouterHash, plain: &[u8], key: u8, place: u8) -> Vec<u8> {
    let ours = [&us.prefix(), &[key & 0x7f; 32][..], plain, &[0; 16]].concat();
    let mut body = vec![RECORDS as u8];
    for record in 0..RECORDS {
        if record == usize::from(place) % RECORDS {
            body.extend_from_slice(&ours);
        } else {
            body.resize(body.len() + ours.len(), 0x77);
        }
    }
    body
}
