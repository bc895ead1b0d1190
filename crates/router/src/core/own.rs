//! The own router: its keys and the RouterInfo that is published now.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ramson_crypto::{Random, SigningKey, x25519};
use ramson_proto::Now;
use ramson_proto::ntcp2::LocalRouter;
use ramson_proto::tunnel::noise::Receiver;
use ramson_wire::{
    BandwidthClass, Congestion, EncodeError, Mapping, Ntcp2Address, RouterHash, RouterIdentity,
    RouterInfo, RouterInfoBuilder, Verified,
};

use crate::config::RouterConfig;

/// A RouterInfo is signed anew after this long; peers refuse links after 90 minutes.
const REPUBLISH: Duration = Duration::from_secs(25 * 60);
/// Handshakes that began with the RouterInfo before are over after this.
const NEWS: Duration = Duration::from_secs(60);

/// The secrets of a router, as they are stored.
#[derive(Debug, Clone)]
pub struct RouterKeys {
    /// What it signs with.
    pub signing: SigningKey,
    /// What build records and garlic to it are encrypted to.
    pub encryption: x25519::PrivateKey,
    /// The static key of NTCP2, `s`.
    pub ntcp2_static: x25519::PrivateKey,
    /// The published `i` of NTCP2.
    pub ntcp2_iv: [u8; 16],
    /// The random bytes that the unused part of the identity repeats.
    pub padding: [u8; 32],
}

impl RouterKeys {
    /// Makes the keys of a new router.
    pub fn generate(random: &mut Random) -> Self {
        Self {
            signing: SigningKey::from_seed(&random.bytes()),
            encryption: x25519::PrivateKey::generate(random),
            ntcp2_static: x25519::PrivateKey::generate(random),
            ntcp2_iv: random.bytes(),
            padding: random.bytes(),
        }
    }

    /// The identity that these keys make.
    pub fn identity(&self) -> RouterIdentity {
        RouterIdentity::new(
            &self.encryption.public(),
            &self.signing.public(),
            &self.padding,
        )
    }
}

/// The own router.
#[derive(Debug)]
pub(crate) struct OwnRouter {
    keys: RouterKeys,
    identity: RouterIdentity,
    hash: RouterHash,
    receiver: Receiver,
    local: Arc<LocalRouter>,
    signed: Now,
    /// It was another one before.
    resigned: bool,
}

impl OwnRouter {
    pub(crate) fn new(
        keys: RouterKeys,
        config: &RouterConfig,
        now: Now,
    ) -> Result<Self, EncodeError> {
        let identity = keys.identity();
        let local = Arc::new(sign(&keys, &identity, config, None, now)?);
        Ok(Self {
            hash: identity.hash(),
            receiver: Receiver::new(keys.encryption.clone()),
            identity,
            keys,
            local,
            signed: now,
            resigned: false,
        })
    }

    pub(crate) fn hash(&self) -> RouterHash {
        self.hash
    }

    /// What opens build records and garlic for us.
    pub(crate) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// What links need to know.
    pub(crate) fn local(&self) -> &Arc<LocalRouter> {
        &self.local
    }

    pub(crate) fn info(&self) -> &Verified<RouterInfo> {
        &self.local.router_info
    }

    /// When it has to be signed anew.
    pub(crate) fn resign_at(&self) -> ramson_wire::Instant {
        self.signed.instant + REPUBLISH
    }

    /// Signs it with the present time.
    pub(crate) fn resign(
        &mut self,
        config: &RouterConfig,
        congestion: Option<Congestion>,
        now: Now,
    ) -> Result<(), EncodeError> {
        self.local = Arc::new(sign(&self.keys, &self.identity, config, congestion, now)?);
        self.signed = now;
        self.resigned = true;
        Ok(())
    }

    /// Says whether a link that comes up now may have told the peer the RouterInfo before.
    pub(crate) fn is_news(&self, now: Now) -> bool {
        self.resigned && now.instant.saturating_since(self.signed.instant) < NEWS
    }
}

fn sign(
    keys: &RouterKeys,
    identity: &RouterIdentity,
    config: &RouterConfig,
    congestion: Option<Congestion>,
    now: Now,
) -> Result<LocalRouter, EncodeError> {
    let published = config.published;
    let address = Ntcp2Address {
        host: published.map(|address| address.ip()),
        port: published.map(|address| address.port()),
        static_key: keys.ntcp2_static.public(),
        iv: published.map(|_| keys.ntcp2_iv),
        caps_ipv4: published.is_none_or(|address| address.is_ipv4()),
        caps_ipv6: published.is_some_and(|address| address.is_ipv6()),
    };
    let mut letters = String::new();
    if config.floodfill {
        letters.push('f');
    }
    let rate = u32::try_from(config.bandwidth_bytes_per_s / 1000).unwrap_or(u32::MAX);
    letters.push(BandwidthClass::from_kilobytes_per_s(rate).letter());
    letters.push(if config.published.is_some() { 'R' } else { 'U' });
    letters.extend(congestion.map(Congestion::letter));
    let options = Mapping::from_pairs([
        ("caps", letters),
        ("netId", config.network_id.to_string()),
        ("router.version", config.version.to_string()),
    ])?;
    let router_info = RouterInfoBuilder {
        identity: identity.clone(),
        published: now.unix,
        addresses: vec![address.to_address()],
        options,
    }
    .sign(&keys.signing)?;
    Ok(LocalRouter {
        router_info,
        static_key: keys.ntcp2_static.clone(),
        iv: keys.ntcp2_iv,
        network_id: config.network_id,
    })
}

/// Says whether an address may be dialled at all.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.is_documentation()
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (b == 18 || b == 19))
                || a == 0
                || a >= 240)
        }
        IpAddr::V6(v6) => {
            let first = v6.segments().first().copied().unwrap_or(0);
            !(v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || (first & 0xfe00) == 0xfc00
                || (first & 0xffc0) == 0xfe80
                || (first == 0x2001 && v6.segments().get(1) == Some(&0xdb8)))
        }
    }
}

#[cfg(test)]
mod tests {
    use ramson_crypto::Random;
    use ramson_wire::RouterHash;

    use crate::core::{CoreMessage, RouterKeys};
    use crate::inbox::Inbox;
    use crate::link::LinkCommand;
    use crate::router::Router;
    use crate::testing::{at, config, router_info};

    /// Handshakes begin with the RouterInfo of then; whoever hears that one is told the new one.
    #[test]
    fn a_link_that_comes_up_after_the_router_info_changed_carries_it() {
        let (now, mut random) = (at(1000), Random::from_seed([5; 32]));
        let keys = RouterKeys::generate(&mut random);
        let router = Router::new(config(4000), keys, 1, now, random).unwrap();
        let mut core = router.core;
        let mut told = |seed: u8, now| {
            let commands = Inbox::new(10);
            let link = CoreMessage::LinkUp {
                link: u64::from(seed),
                incoming: true,
                peer: router_info(seed, false, now),
                skew_ms: 0,
                commands: commands.sender(10),
            };
            core.handle(link, now);
            core.resign = seed == 1;
            core.tick(now);
            let mut given = Vec::new();
            commands.take(10, &mut given);
            let infos = given.iter().filter_map(|command| match command {
                LinkCommand::RouterInfo { info, .. } => Some(info.hash()),
                _ => None,
            });
            infos.collect::<Vec<RouterHash>>()
        };
        let us = router.handle.hash();
        // The link that is up when it changes, one that comes up then, and one much later.
        assert_eq!(told(1, now), [us]);
        assert_eq!(told(2, at(2000)), [us]);
        assert_eq!(told(3, at(100_000)), []);
    }
}
