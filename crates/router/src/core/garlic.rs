//! Garlic messages to this router (ECIES Routers).

use std::time::Duration;

use ramson_crypto::Random;
use ramson_proto::Now;
use ramson_proto::garlic::router::{self, OpenedGarlic};
use ramson_proto::tunnel::DuplicateFilter;
use ramson_wire::i2np::Garlic;
use ramson_wire::{CloveDelivery, I2npMessage, MessageType};

use super::{Core, DropReason, Origin};

/// Memory of the filter of messages seen before.
const SEEN_BYTES: usize = 1 << 20;
/// As long as a message is fresh, whatever the clocks.
const SEEN_KEEP: Duration = OpenedGarlic::MAX_AGE.saturating_add(OpenedGarlic::MAX_AHEAD);

/// A filter of messages to this router.
pub(super) fn filter(random: &mut Random) -> DuplicateFilter {
    DuplicateFilter::new(SEEN_BYTES, SEEN_KEEP, random)
}

impl Core {
    /// A message that is encrypted to us or answers something of ours.
    pub(super) fn garlic(&mut self, origin: Origin, message: &I2npMessage, now: Now) {
        let Ok(garlic) = Garlic::parse(message.body()) else {
            self.drop(DropReason::Malformed);
            return;
        };
        if self.own_garlic_reply(garlic, now) {
            return;
        }
        match self.answers.open(garlic, now.instant) {
            Some(Ok(answer)) => {
                // Its origin stays that of the whole: what may only come out of a tunnel may do so
                // encrypted.
                for clove in answer.cloves {
                    let message = clove.message;
                    if clove.delivery == CloveDelivery::Local
                        && message.kind() != MessageType::Garlic
                    {
                        self.receive(origin, message, now);
                    } else {
                        self.drop(DropReason::Garlic);
                    }
                }
                return;
            }
            Some(Err(_)) => {
                self.drop(DropReason::Garlic);
                return;
            }
            None => {}
        }
        if !self.quotas.lookup(origin.neighbour(), now) {
            self.drop(DropReason::LookupQuota);
            return;
        }
        let Ok(opened) = router::open(self.own.receiver(), garlic) else {
            self.drop(DropReason::Garlic);
            return;
        };
        if !opened.is_fresh(now.unix) {
            self.drop(DropReason::Garlic);
            return;
        }
        let fresh = router::replay_key(garlic)
            .is_some_and(|key| self.garlic_seen.insert(&key, now.instant));
        if !fresh {
            self.drop(DropReason::GarlicReplay);
            return;
        }
        for clove in opened.cloves {
            let inner = clove.message;
            let for_us = match clove.delivery {
                CloveDelivery::Local => true,
                CloveDelivery::Router(router) => router == self.own.hash(),
                _ => false,
            };
            match clove.delivery {
                // Garlic within garlic leads nowhere: one message could have us open hundreds, each
                // within the last.
                _ if for_us && inner.kind() == MessageType::Garlic => self.drop(DropReason::Garlic),
                _ if for_us => self.receive(Origin::Garlic, inner, now),
                CloveDelivery::Router(router) => {
                    if self.may_reach(router, origin.neighbour(), now) {
                        self.send_to(router, &inner, now);
                    }
                }
                CloveDelivery::Tunnel { gateway, tunnel } => {
                    if self.may_reach(gateway, origin.neighbour(), now) {
                        self.send_to_tunnel(gateway, tunnel, &inner, now);
                    }
                }
                _ => self.drop(DropReason::Garlic),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use ramson_crypto::Random;
    use ramson_wire::i2np::DeliveryStatus;
    use ramson_wire::{GarlicClove, RouterHash};

    use super::*;
    use crate::core::RouterKeys;
    use crate::router::Router;
    use crate::testing::{at, config};

    /// A message to the router in so many envelopes, each delivered the same way.
    fn dropped(envelopes: usize, local: bool) -> Vec<(DropReason, u64)> {
        let (now, mut random) = (at(1000), Random::from_seed([5; 32]));
        let keys = RouterKeys::generate(&mut random);
        let public = keys.encryption.public();
        let router = Router::new(config(4000), keys, 1, now, random.fork("router")).unwrap();
        let (mut core, us) = (router.core, router.handle.hash());
        let mut body = BytesMut::new();
        let status = DeliveryStatus {
            id: 7,
            timestamp: now.unix,
        };
        status.encode(&mut body);
        let kind = MessageType::DeliveryStatus;
        let mut message = core.message(kind, body.freeze(), now).unwrap();
        for _ in 0..envelopes {
            let delivery = if local {
                CloveDelivery::Local
            } else {
                CloveDelivery::Router(us)
            };
            let clove = GarlicClove {
                delivery,
                message: message.as_ref(),
            };
            let sealed = router::seal(&public, &[clove], 0, now.unix, &mut random).unwrap();
            message = core.message(MessageType::Garlic, sealed, now).unwrap();
        }
        core.receive(Origin::Peer(RouterHash([9; 32])), message, now);
        core.drops.into_iter().collect()
    }

    #[test]
    fn garlic_within_garlic_is_dropped_however_it_is_addressed() {
        for local in [true, false] {
            // One envelope is opened: the answer in it is to nothing that was asked.
            assert_eq!(dropped(1, local), [(DropReason::UnexpectedReply, 1)]);
            assert_eq!(dropped(2, local), [(DropReason::Garlic, 1)]);
            assert_eq!(dropped(100, local), [(DropReason::Garlic, 1)]);
        }
    }
}
