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
        for clove in opened.cloves {
            let inner = clove.message;
            match clove.delivery {
                // Garlic within garlic leads nowhere, whichever way it is said to go to us: one
                // message would have us open hundreds, each from within the one before.
                CloveDelivery::Local if inner.kind() != MessageType::Garlic => {
                    self.receive(Origin::Garlic, inner, now);
                }
                CloveDelivery::Router(router)
                    if router != self.own.hash() || inner.kind() != MessageType::Garlic =>
                {
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

#[cfg(test)]
mod tests {
    use ramson_crypto::Random;
    use ramson_wire::GarlicClove;
    use ramson_wire::i2np::DeliveryStatus;

    use super::*;
    use crate::core::RouterKeys;
    use crate::router::Router;
    use crate::testing::{at, config};

    #[test]
    fn a_garlic_message_within_another_leads_nowhere_although_it_is_sent_to_us() {
        let mut random = Random::from_seed([1; 32]);
        let keys = RouterKeys::generate(&mut random);
        let key = keys.encryption.public();
        let now = at(1000);
        let mut router = Router::new(config(1), keys, 1, now, random).unwrap();
        let us = router.handle.hash();
        let mut random = Random::from_seed([2; 32]);
        let mut wrap = |delivery, message: &I2npMessage| {
            let clove = GarlicClove {
                delivery,
                message: message.as_ref(),
            };
            let body = router::seal(&key, &[clove], 0, now.unix, &mut random).unwrap();
            I2npMessage::new(MessageType::Garlic, 1, now.unix, body).unwrap()
        };
        let mut body = Vec::new();
        let (id, timestamp) = (1, now.unix);
        DeliveryStatus { id, timestamp }.encode(&mut body);
        let status = I2npMessage::new(MessageType::DeliveryStatus, 1, now.unix, body).unwrap();

        // As deep as a message of a link can be.
        let mut deep = wrap(CloveDelivery::Router(us), &status);
        let core = &mut router.core;
        core.receive(Origin::Garlic, deep.clone(), now);
        let count = |core: &Core, reason| core.drops.get(&reason).copied().unwrap_or(0);
        assert_eq!(count(core, DropReason::UnexpectedReply), 1);
        while deep.body().len() < 64_000 {
            deep = wrap(CloveDelivery::Router(us), &deep);
        }
        core.receive(Origin::Garlic, deep, now);
        assert_eq!(count(core, DropReason::UnexpectedReply), 1);
        assert_eq!(count(core, DropReason::Garlic), 1);
    }
}
