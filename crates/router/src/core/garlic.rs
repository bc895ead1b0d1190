//! Garlic messages to this router (ECIES Routers).

use ramson_proto::Now;
use ramson_proto::garlic::router::{self, CloveDelivery};
use ramson_wire::i2np::Garlic;
use ramson_wire::{I2npMessage, MessageType};

use super::{Core, DropReason, Origin};

/// Cloves of one message.
const MAX_CLOVES: usize = 16;

impl Core {
    /// A message that is encrypted to us or answers something of ours.
    pub(super) fn garlic(&mut self, origin: Origin, message: &I2npMessage, now: Now) {
        let Ok(garlic) = Garlic::parse(message.body()) else {
            self.drop(DropReason::Malformed);
            return;
        };
        if self.own_garlic_reply(garlic.0, now) {
            return;
        }
        if let Origin::Peer(from) = origin
            && !self.quotas.lookup(from, now)
        {
            self.drop(DropReason::LookupQuota);
            return;
        }
        let Ok(opened) = router::open(self.own.receiver(), garlic.0) else {
            self.drop(DropReason::Garlic);
            return;
        };
        for clove in opened.cloves.into_iter().take(MAX_CLOVES) {
            let Ok(inner) = clove.to_message() else {
                self.drop(DropReason::Malformed);
                continue;
            };
            match clove.delivery {
                // Garlic within garlic leads nowhere.
                CloveDelivery::Local if inner.kind() != MessageType::Garlic => {
                    self.receive(Origin::Garlic, inner, now);
                }
                CloveDelivery::Router { router } => {
                    self.send_to(router, &inner, now);
                }
                CloveDelivery::Tunnel { router, tunnel } => {
                    self.send_to_tunnel(router, tunnel, &inner, now);
                }
                _ => self.drop(DropReason::Garlic),
            }
        }
    }
}
