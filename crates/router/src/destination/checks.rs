//! Tests of the own tunnels: a message goes out through one and comes back through another.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use ramson_proto::Now;
use ramson_proto::garlic::router;
use ramson_wire::i2np::DeliveryStatus;
use ramson_wire::{
    CloveDelivery, GarlicClove, I2npMessage, Instant, MessageType, TunnelDelivery, TunnelId,
};

use super::DestinationPart;
use crate::core::CoreMessage;

/// How often all tunnels are tested.
const EVERY: Duration = Duration::from_secs(15);
/// How soon again after one has failed.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a message may take on its way around.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Check {
    inbound: TunnelId,
    outbound: TunnelId,
    sent: Instant,
}

/// The tests under way.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// By the id in the message that goes around.
    pending: BTreeMap<u32, Check>,
    next_at: Instant,
    /// Tunnels are paired differently each time.
    round: usize,
}

impl DestinationPart {
    /// Tests what is due, and gives up tunnels that fail.
    pub(super) fn check_tunnels(&mut self, now: Now) {
        let late = self.checks.pending.iter();
        let late = late.filter(|(_, it)| it.sent + TIMEOUT <= now.instant);
        let late: Vec<u32> = late.map(|(id, _)| *id).collect();
        for id in late {
            if let Some(check) = self.checks.pending.remove(&id) {
                // In other pairs, which tell the one to blame.
                self.checks.next_at = self.checks.next_at.min(now.instant + AGAIN);
                for tunnel in self.tunnels.failed(check.inbound, check.outbound) {
                    let id = self.id;
                    // `Core` learns it at the latest when the tunnel's time is over.
                    let _ = self.core.post(CoreMessage::TunnelFailed { id, tunnel });
                    self.tell_tunnels();
                }
            }
        }
        if self.checks.next_at > now.instant {
            return;
        }
        self.checks.next_at = now.instant + EVERY;
        self.checks.round = self.checks.round.wrapping_add(1);
        for (inbound, outbound) in self.tunnels.pairs(self.checks.round) {
            self.check(inbound, outbound, now);
        }
    }

    fn check(&mut self, inbound: TunnelId, outbound: TunnelId, now: Now) {
        let Some((gateway, tunnel)) = self.tunnels.gateway_of(inbound) else {
            return;
        };
        let id = self.random.u32();
        let mut body = BytesMut::new();
        let status = DeliveryStatus {
            id,
            timestamp: now.unix,
        };
        status.encode(&mut body);
        let Some(message) = self.for_ourselves(body, now) else {
            return;
        };
        let check = Check {
            inbound,
            outbound,
            sent: now.instant,
        };
        self.checks.pending.insert(id, check);
        let delivery = TunnelDelivery::Tunnel { gateway, tunnel };
        self.send_by(outbound, delivery, &message, now);
    }

    /// A DeliveryStatus that the hops on its way around cannot read.
    fn for_ourselves(&mut self, status: BytesMut, now: Now) -> Option<I2npMessage> {
        let status = self.message(MessageType::DeliveryStatus, status.freeze(), now)?;
        let clove = GarlicClove {
            delivery: CloveDelivery::Local,
            message: status.as_ref(),
        };
        let key = self.answers.expect(&mut self.random, now.instant);
        let sealed = router::seal_with_key(&key, &[clove]).ok()?;
        self.message(MessageType::Garlic, sealed, now)
    }

    /// A message came around; says whether it was one of these.
    pub(super) fn came_around(&mut self, id: u32, now: Now) -> bool {
        let Some(check) = self.checks.pending.remove(&id) else {
            return false;
        };
        let took = now.instant.saturating_since(check.sent);
        self.tunnels.passed(check.inbound, check.outbound, took);
        true
    }
}
