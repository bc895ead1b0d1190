//! Long records against a creator of the tests' own, written from the specification alone.

use ramson_crypto::{AeadKey, Aes256Decryptor};
use ramson_wire::build::{BuildRequest, LONG_REQUEST_LEN, LongBuildRequest};
use ramson_wire::i2np::LongBuildRecords;
use zeroize::Zeroizing;

use super::*;
use crate::tunnel::TunnelKeys;
use crate::tunnel::noise;

type Record = [u8; 528];

struct Creator {
    /// The records of the hops, in the order of the tunnel.
    places: Vec<usize>,
    requests: Vec<LongBuildRequest>,
    /// Hash and chaining key of each.
    states: Vec<([u8; 32], [u8; 32])>,
    fake: Record,
}

/// Record 0 is the fake one, the hops' stand in reverse order behind it.
fn create(hops: &[TestHop], outbound: bool) -> (Creator, Vec<u8>) {
    let mut random = random(5);
    let fake: Record = random.bytes();
    let mut records = vec![fake; hops.len() + 1];
    let mut creator = Creator {
        places: (1..=hops.len()).rev().collect(),
        requests: vec![],
        states: vec![],
        fake,
    };
    for (number, hop) in hops.iter().enumerate() {
        let last = number + 1 == hops.len();
        let role = match (outbound, number) {
            (true, _) if last => HopRole::OutboundEndpoint,
            (false, 0) => HopRole::InboundGateway,
            _ => HopRole::Participant,
        };
        let request = LongBuildRequest {
            request: BuildRequest {
                receive_tunnel: tunnel_id(100),
                next_tunnel: tunnel_id(77),
                next_hop: match hops.get(number + 1) {
                    Some(next) => next.hash,
                    None if outbound => GATEWAY,
                    None => US,
                },
                role,
                layer_type: 0,
                requested: NOW,
                lifetime: crate::tunnel::LIFETIME,
                next_message_id: REPLY_ID,
                options: Mapping::default(),
            },
            layer_key: Zeroizing::new(random.bytes()),
            iv_key: Zeroizing::new(random.bytes()),
            reply_key: Zeroizing::new(random.bytes()),
            reply_iv: random.bytes(),
        };
        let mut plain: [u8; LONG_REQUEST_LEN] = random.bytes();
        request.write(&mut plain).unwrap();
        let record = &mut records[creator.places[number]];
        record[..16].copy_from_slice(&hop.hash.prefix());
        record[48..512].copy_from_slice(&plain);
        let state =
            noise::seal_with_state(&hop.receiver.public(), &mut random, &mut record[16..]).unwrap();
        creator.states.push((*state.h(), *state.ck()));
        creator.requests.push(request);
    }
    for number in 0..hops.len() {
        for earlier in (0..number).rev() {
            creator.uncover(earlier, &mut records[creator.places[number]]);
        }
    }
    let mut body = vec![];
    LongBuildRecords::new(records).unwrap().encode(&mut body);
    (creator, body)
}

impl Creator {
    fn uncover(&self, hop: usize, record: &mut Record) {
        let request = &self.requests[hop];
        Aes256Decryptor::new(&request.reply_key)
            .cbc_decrypt(&request.reply_iv, record)
            .unwrap();
    }

    /// Returns the codes of the hops; checks that the fake record is intact.
    fn read(&self, body: &[u8]) -> Vec<u8> {
        let mut records = LongBuildRecords::parse(body).unwrap();
        let records = records.as_mut_slice();
        let hops = self.places.len();
        for later in (0..hops).rev() {
            self.uncover(later, &mut records[0]);
        }
        assert_eq!(records[0], self.fake);
        (0..hops)
            .map(|hop| {
                let record = &mut records[self.places[hop]];
                for later in (hop + 1..hops).rev() {
                    self.uncover(later, record);
                }
                let (hash, key) = self.states[hop];
                let plain = AeadKey::new(key).open_in_place(0, &hash, record).unwrap();
                assert_eq!(plain[..2], [0, 0]);
                plain[511]
            })
            .collect()
    }
}

fn run(count: u8, outbound: bool, code: impl Fn(usize) -> ReplyCode) -> Vec<u8> {
    let hops = hops(count);
    let (creator, mut body) = create(&hops, outbound);
    for (number, hop) in hops.iter().enumerate() {
        let found = HopRequest::find(BuildKind::Long, hop.hash, &body).unwrap();
        let opened = found.open(&hop.receiver).unwrap();
        let request = &creator.requests[number];
        assert_eq!(
            opened.request(),
            &BuildRequest {
                requested: UnixTime::from_secs(1_699_999_980),
                ..request.request.clone()
            }
        );
        let keys = TunnelKeys {
            layer: *request.layer_key,
            iv: *request.iv_key,
        };
        assert_eq!(opened.tunnel_keys(), &keys);
        let (to, message) = sent(answer(opened, code(number)));
        assert_eq!(to, request.request.next_hop);
        if outbound && number + 1 == hops.len() {
            // In the clear.
            assert_eq!(message.kind(), MessageType::TunnelGateway);
            let gateway = TunnelGateway::parse(message.body()).unwrap();
            assert_eq!(gateway.tunnel, tunnel_id(77));
            let reply = gateway.inner().unwrap();
            assert_eq!(reply.kind, MessageType::VariableTunnelBuildReply);
            assert_eq!(reply.id, REPLY_ID);
            body = reply.body.to_vec();
        } else {
            assert_eq!(message.kind(), MessageType::VariableTunnelBuild);
            assert_eq!(message.id(), REPLY_ID);
            body = message.body().to_vec();
        }
    }
    creator.read(&body)
}

#[test]
fn long_records_are_answered() {
    for outbound in [true, false] {
        for count in 1..=7 {
            assert_eq!(run(count, outbound, accepted), vec![0; count.into()]);
        }
    }
}

#[test]
fn long_records_are_refused_at_any_place() {
    for outbound in [true, false] {
        for refusing in 0..4 {
            let codes = run(4, outbound, |number| match number {
                _ if number == refusing => ReplyCode::BANDWIDTH,
                _ => ReplyCode::Accepted,
            });
            let mut expected = vec![0; 4];
            expected[refusing] = 30;
            assert_eq!(codes, expected);
        }
    }
}

#[test]
fn a_long_reply_to_ourselves_stays() {
    let hop = TestHop {
        hash: GATEWAY,
        ..hops(1).remove(0)
    };
    let (creator, body) = create(std::slice::from_ref(&hop), true);
    let found = HopRequest::find(BuildKind::Long, hop.hash, &body).unwrap();
    let opened = found.open(&hop.receiver).unwrap();
    let NextStep::Gateway { tunnel, message } = answer(opened, ReplyCode::Accepted) else {
        panic!("the reply must stay");
    };
    assert_eq!(tunnel, tunnel_id(77));
    assert_eq!(message.kind(), MessageType::VariableTunnelBuildReply);
    assert_eq!(creator.read(message.body()), [0]);
}
