//! Tests: a message goes out through one tunnel and comes back through another.

use std::time::Duration;

use bytes::BytesMut;
use ramson_proto::Now;
use ramson_proto::garlic::router;
use ramson_wire::i2np::DeliveryStatus;
use ramson_wire::{
    CloveDelivery, GarlicClove, I2npMessage, Instant, MessageType, TunnelDelivery, TunnelId,
};

use super::Tunnels;
use crate::core::{Core, Origin};

/// How often each pair of tunnels is tested.
pub(super) const TEST_EVERY: Duration = Duration::from_secs(30);
/// And how soon after one that failed.
pub(super) const TEST_AGAIN: Duration = Duration::from_secs(1);
/// A test message that is not back so soon is sent once more: hops lose messages, and i2pd holds
/// some back until another one follows.
pub(super) const TEST_REPEAT: Duration = Duration::from_secs(2);
/// How long a test message may take.
pub(super) const TEST_TIMEOUT: Duration = Duration::from_secs(8);

#[derive(Debug, Default)]
pub(super) struct Tests {
    pub(super) passed: u32,
    pub(super) failed_in_a_row: u32,
}

impl Tests {
    pub(super) fn count(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
            self.failed_in_a_row = 0;
        } else {
            self.failed_in_a_row += 1;
        }
    }

    /// The highest is most likely to work.
    pub(super) fn rank(&self) -> (bool, u32) {
        (self.failed_in_a_row == 0, self.passed)
    }
}

#[derive(Debug)]
pub(super) struct Test {
    pub(super) inbound: TunnelId,
    pub(super) outbound: TunnelId,
    /// When it is sent once more, unless it was.
    pub(super) repeat_at: Option<Instant>,
    pub(super) deadline: Instant,
}

impl Core {
    /// Sends a message out through each outbound tunnel and back in through an inbound one.
    pub(super) fn test_tunnels(&mut self, now: Now) {
        let late: Vec<u32> = self
            .tunnels
            .testing
            .iter()
            .filter(|(_, test)| test.deadline <= now.instant)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            if let Some(test) = self.tunnels.testing.remove(&id) {
                self.tunnels.tests_failed += 1;
                self.tunnels.tested(&test, false);
                // In other pairs, which tell the one to blame.
                let soon = now.instant + TEST_AGAIN;
                self.tunnels.test_at = self.tunnels.test_at.min(soon);
            }
        }
        let due = |test: &Test| test.repeat_at.is_some_and(|at| at <= now.instant);
        let again = self.tunnels.testing.iter().filter(|(_, test)| due(test));
        let again: Vec<u32> = again.map(|(id, _)| *id).collect();
        for id in again {
            if let Some(test) = self.tunnels.testing.get_mut(&id) {
                test.repeat_at = None;
            }
            self.send_test(id, now);
        }
        if self.tunnels.test_at > now.instant {
            return;
        }
        if self.tunnels.inbound.is_empty() || self.tunnels.outbound.is_empty() {
            return;
        }
        self.tunnels.test_at = now.instant + TEST_EVERY;
        let inbound: Vec<TunnelId> = self.tunnels.inbound.iter().map(|it| it.receive).collect();
        let outbound = self.tunnels.outbound.iter().map(|it| it.first_tunnel);
        let outbound: Vec<TunnelId> = outbound.collect();
        self.tunnels.test_round = self.tunnels.test_round.wrapping_add(1);
        let pairs = inbound.len().max(outbound.len());
        let shifted = inbound
            .iter()
            .cycle()
            .skip(self.tunnels.test_round % inbound.len());
        for (inbound, outbound) in shifted.zip(outbound.iter().cycle()).take(pairs) {
            let id = self.random.u32();
            let test = Test {
                inbound: *inbound,
                outbound: *outbound,
                repeat_at: Some(now.instant + TEST_REPEAT),
                deadline: now.instant + TEST_TIMEOUT,
            };
            self.tunnels.testing.insert(id, test);
            self.send_test(id, now);
        }
    }

    /// Sends the message of a test around.
    pub(super) fn send_test(&mut self, id: u32, now: Now) {
        let tunnels = &self.tunnels;
        let Some(test) = tunnels.testing.get(&id) else {
            return;
        };
        let mut inbound = tunnels.inbound.iter();
        let mut outbound = tunnels.outbound.iter();
        let inbound = inbound.find(|it| it.receive == test.inbound);
        let outbound = outbound.position(|it| it.first_tunnel == test.outbound);
        let (Some(inbound), Some(outbound)) = (inbound, outbound) else {
            return;
        };
        let delivery = TunnelDelivery::Tunnel {
            gateway: inbound.gateway,
            tunnel: inbound.gateway_tunnel,
        };
        let mut body = BytesMut::new();
        let status = DeliveryStatus {
            id,
            timestamp: now.unix,
        };
        status.encode(&mut body);
        if let Some(message) = self.for_ourselves(body, now) {
            self.send_through(outbound, delivery, &message, now);
        }
    }

    /// A DeliveryStatus that the hops on its way around cannot read.
    pub(super) fn for_ourselves(&mut self, status: BytesMut, now: Now) -> Option<I2npMessage> {
        let status = self.message(MessageType::DeliveryStatus, status.freeze(), now);
        let status = status.ok()?;
        let clove = GarlicClove {
            delivery: CloveDelivery::Local,
            message: status.as_ref(),
        };
        let key = self.answers.expect(&mut self.random, now.instant);
        let sealed = router::seal_with_key(&key, &[clove]).ok()?;
        self.message(MessageType::Garlic, sealed, now).ok()
    }

    /// A message came around; says whether it was one of ours.
    pub(in crate::core) fn tunnel_tested(&mut self, origin: Origin, id: u32, _now: Now) -> bool {
        if !matches!(origin, Origin::Tunnel(Some(_))) {
            return false;
        }
        match self.tunnels.testing.remove(&id) {
            Some(test) => {
                self.tunnels.tested(&test, true);
                true
            }
            None => false,
        }
    }
}

impl Tunnels {
    pub(super) fn tested(&mut self, test: &Test, passed: bool) {
        let inbound = self
            .inbound
            .iter_mut()
            .find(|it| it.receive == test.inbound)
            .map(|it| &mut it.tests);
        let outbound = self
            .outbound
            .iter_mut()
            .find(|it| it.first_tunnel == test.outbound)
            .map(|it| &mut it.tests);
        for tests in [inbound, outbound].into_iter().flatten() {
            tests.count(passed);
        }
    }
}
