//! Routers that the fuzzer plays, and their messages of NTCP2 as the fake cryptography has them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::ntcp2::LocalRouter;
use ramson_router::RouterKeys;
use ramson_wire::{
    Instant, Mapping, Ntcp2Address, RouterHash, RouterInfo, RouterInfoBuilder, UnixTime, Verified,
};

pub(crate) const NETWORK: u8 = 2;

/// A moment: so many milliseconds after some day of the year 2026.
pub(crate) fn at(millis: u64) -> Now {
    Now {
        instant: Instant::from_micros(millis.saturating_mul(1000)),
        unix: UnixTime::from_millis(1_790_000_000_000_u64.saturating_add(millis)),
    }
}

/// A router by its number. The odd ones are floodfills.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) keys: RouterKeys,
    pub(crate) info: Verified<RouterInfo>,
    pub(crate) address: IpAddr,
}

thread_local! {
    static PEERS: RefCell<BTreeMap<u8, Rc<Peer>>> = const { RefCell::new(BTreeMap::new()) };
}

impl Peer {
    /// The router of this number, always the same.
    pub(crate) fn of(number: u8) -> Rc<Self> {
        PEERS.with_borrow_mut(|peers| {
            let peer = peers
                .entry(number)
                .or_insert_with(|| Rc::new(Self::new(number)));
            Rc::clone(peer)
        })
    }

    fn new(number: u8) -> Self {
        let keys = RouterKeys::generate(&mut Random::from_seed([number; 32]));
        let address = IpAddr::V4(Ipv4Addr::new(11, number, 0, 1));
        let ntcp2 = Ntcp2Address {
            host: Some(address),
            port: Some(1000),
            static_key: keys.ntcp2_static.public(),
            iv: Some(keys.ntcp2_iv),
            caps_ipv4: true,
            caps_ipv6: false,
        };
        let caps = if number % 2 == 1 { "fOR" } else { "OR" };
        let options = [
            ("caps", caps.to_owned()),
            ("netId", NETWORK.to_string()),
            ("router.version", "0.9.66".to_owned()),
        ];
        let info = RouterInfoBuilder {
            identity: keys.identity(),
            published: at(0).unix,
            addresses: vec![ntcp2.to_address()],
            options: Mapping::from_pairs(options).expect("the keys differ"),
        };
        let info = info.sign(&keys.signing).expect("the key is its own");
        Self {
            keys,
            info,
            address,
        }
    }

    pub(crate) fn hash(&self) -> RouterHash {
        self.info.hash()
    }

    pub(crate) fn local(&self) -> LocalRouter {
        LocalRouter {
            router_info: self.info.clone(),
            static_key: self.keys.ntcp2_static.clone(),
            iv: self.keys.ntcp2_iv,
            network_id: NETWORK,
        }
    }

    /// Message 3: `[static key: 32][tag: 16][RouterInfo block][tag: 16]`.
    pub(crate) fn message3(&self) -> Vec<u8> {
        let info = self.info.as_bytes();
        let mut message = self.keys.ntcp2_static.public().to_vec();
        message.extend_from_slice(&[0; 16]);
        message.push(2);
        message.extend_from_slice(&short(info.len().saturating_add(1)));
        message.push(0);
        message.extend_from_slice(info);
        message.extend_from_slice(&[0; 16]);
        message
    }

    /// Message 1, with this many bytes of padding, for a message 3 of ours.
    pub(crate) fn message1(&self, key: u8, padding: u8, now: Now) -> Vec<u8> {
        let part2 = self.message3().len().saturating_sub(48);
        let mut message = vec![key & 0x7f; 32];
        message.extend_from_slice(&[NETWORK, 2, 0, padding]);
        message.extend_from_slice(&short(part2));
        message.extend_from_slice(&[0; 2]);
        message.extend_from_slice(&now.unix.to_secs_nearest().to_be_bytes());
        message.extend_from_slice(&[0; 4 + 16]);
        message.resize(message.len().saturating_add(padding.into()), 7);
        message
    }
}

/// Message 2.
pub(crate) fn message2(key: u8, padding: u8, now: Now) -> Vec<u8> {
    let mut message = vec![key & 0x7f; 32];
    message.extend_from_slice(&[0, 0, 0, padding, 0, 0, 0, 0]);
    message.extend_from_slice(&now.unix.to_secs_nearest().to_be_bytes());
    message.extend_from_slice(&[0; 4 + 16]);
    message.resize(message.len().saturating_add(padding.into()), 7);
    message
}

/// A frame of the data phase: `[length: u16 BE][content][tag: 16]`.
pub(crate) fn frame(content: &[u8], tag: u8) -> Vec<u8> {
    let content = content.get(..65_519).unwrap_or(content);
    let mut frame = short(content.len().saturating_add(16)).to_vec();
    frame.extend_from_slice(content);
    frame.extend_from_slice(&[tag; 16]);
    frame
}

/// A length in two bytes.
pub(crate) fn short(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}
