//! What happens with time: empty messages where nothing else carried what the peer waits for, and the
//! end of what nobody uses.

use ramson_wire::Instant;

use super::event::{EndReason, Outgoing, Transmit};
use super::limits::{CONTROL_DELAY, PENDING, RECEIVE_IDLE, REPLACED, SWEEP};
use super::session::Phase;
use super::sessions::Sessions;
use super::window::push_bounded;
use crate::Now;

impl Sessions {
    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        let now = now.instant;
        while let Some((at, slot)) = self.due.first().copied()
            && at <= now
        {
            self.responded(slot);
            self.say_something(slot, now);
        }
        if self.next_sweep <= now {
            self.sweep(now);
        }
    }

    fn say_something(&mut self, slot: u32, now: Instant) {
        let Some(session) = self.slots.get(slot) else {
            return;
        };
        let peer = session.peer;
        let out = Outgoing {
            lease_set: true,
            ..Outgoing::default()
        };
        let sealed = match session.phase {
            Phase::Initiated(_) => return,
            Phase::Received(_) => self.seal_reply(slot, &out, now),
            Phase::Established(_) => self.seal_existing(slot, &out, now, true),
        };
        // With a full window acks wait for the peer's.
        let Ok(sealed) = sealed else {
            return;
        };
        self.stats.sealed_empty = self.stats.sealed_empty.saturating_add(1);
        let transmit = Transmit {
            peer,
            body: sealed.body,
        };
        if push_bounded(&mut self.transmits, self.limits.transmits, transmit) {
            self.stats.dropped_transmits = self.stats.dropped_transmits.saturating_add(1);
        }
        // What did not fit into one message.
        let session = self.slots.get(slot);
        if session.is_some_and(|session| !session.acks.is_empty()) {
            self.respond(slot, now + CONTROL_DELAY);
        }
    }

    fn sweep(&mut self, now: Instant) {
        let mut ended = Vec::new();
        for session in self.slots.iter() {
            let silent = now.saturating_since(session.last_received);
            let is_active = self
                .peers
                .get(&session.peer)
                .is_some_and(|peer| peer.active == Some(session.id.slot));
            let reason = match (&session.phase, is_active) {
                (Phase::Initiated(_), _) => {
                    let is_over = now.saturating_since(session.created) > PENDING;
                    is_over.then_some(EndReason::Unanswered)
                }
                (Phase::Received(_), _) => {
                    let is_over = now.saturating_since(session.created) > PENDING;
                    is_over.then_some(EndReason::Expired)
                }
                (_, true) => (silent > RECEIVE_IDLE).then_some(EndReason::Expired),
                (_, false) => (silent > REPLACED).then_some(EndReason::Expired),
            };
            ended.extend(reason.map(|reason| (session.id.slot, reason)));
        }
        for (slot, reason) in ended {
            self.end(slot, reason);
        }
        let Self {
            slots,
            table,
            limits,
            answers,
            ..
        } = self;
        for session in slots.iter_mut() {
            if now.saturating_since(session.created) > PENDING
                && let Phase::Established(late) = &mut session.phase
                && late.take().is_some()
            {
                session.forget(table, |window| {
                    window.purpose != super::window::Purpose::Replies
                });
            }
            session.forget(table, |window| window.expires.is_none_or(|at| now < at));
            for window in &mut session.receive {
                window.idle(now, limits, table);
            }
        }
        answers.retain(|_, (answer, until)| {
            let keep = now < *until;
            if !keep {
                table.remove(&answer.tag);
            }
            keep
        });
        table.shrink();
        let is_empty = self.slots.len() == 0 && self.answers.is_empty();
        self.next_sweep = if is_empty { Instant::MAX } else { now + SWEEP };
    }
}
