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
        if let Origin::Peer(from) = origin
            && !self.quotas.lookup(from, now)
        {
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
            match clove.delivery {
                // Garlic within garlic leads nowhere.
                CloveDelivery::Local if inner.kind() != MessageType::Garlic => {
                    self.receive(Origin::Garlic, inner, now);
                }
                CloveDelivery::Router(router) => {
                    self.send_to(router, &inner, now);
                }
                CloveDelivery::Tunnel { gateway, tunnel } => {
                    self.send_to_tunnel(gateway, tunnel, &inner, now);
                }
                _ => self.drop(DropReason::Garlic),
            }
        }
    }
}
