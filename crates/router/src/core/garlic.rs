//! Garlic messages to this router (ECIES Routers).

use ramson_proto::Now;
use ramson_proto::garlic::router;
use ramson_wire::i2np::Garlic;
use ramson_wire::{CloveDelivery, I2npMessage, MessageType};

use super::{Core, DropReason, Origin};

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
        for clove in opened.cloves {
            let inner = clove.message;
            match clove.delivery {
                // Garlic within garlic leads nowhere.
                CloveDelivery::Local if inner.kind() != MessageType::Garlic => {
                    self.receive(Origin::Garlic, inner, now);
                }
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
