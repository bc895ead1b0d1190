//! What the blocks of established sessions do: keys, acks, ends.

use ramson_wire::Instant;

use super::error::Fault;
use super::event::{EndReason, Event, MessageId, MessageNumber};
use super::limits::{ACKS, CONTROL_DELAY, LATER_WINDOW};
use super::payload::Parsed;
use super::sessions::Sessions;
use super::window::{Purpose, push_bounded};

impl Sessions {
    /// Does what the blocks of a session's message say.
    pub(super) fn apply(
        &mut self,
        slot: u32,
        (set, number): (u16, u16),
        parsed: &mut Parsed,
        now: Instant,
    ) {
        if let Some(reason) = parsed.termination {
            self.end(slot, EndReason::Terminated(reason));
            return;
        }
        let Some(session) = self.slots.get_mut(slot) else {
            return;
        };
        let id = session.id;
        let mut must_respond = false;
        if let Some(block) = &parsed.forward {
            let has_room = self.table.len().saturating_add(LATER_WINDOW.into()) <= self.limits.tags;
            let may_advance = has_room
                && session
                    .reversed
                    .is_none_or(|last| now.saturating_since(last) >= self.limits.next_key_interval);
            let before = session.reverse.set();
            let next = session
                .reverse
                .proposed(block, set, may_advance, &mut self.random);
            let mut windows = session.receive.iter();
            let current = windows
                .find(|window| window.purpose == Purpose::Messages(before))
                .map(|window| window.tags.set().clone());
            match (next, current) {
                (Ok(Some(shared)), Some(current)) => {
                    let purpose = Purpose::Messages(session.reverse.set());
                    session.wait_for(purpose, current.after(&shared), &mut self.table);
                    session.forget_oldest(&mut self.table);
                    session.reversed = Some(now);
                    self.stats.next_sets_received = self.stats.next_sets_received.saturating_add(1);
                    must_respond = true;
                }
                // The answer was lost or is late.
                (Ok(_), _) => must_respond = session.reverse.block().is_some(),
                (Err(error), _) => {
                    self.stats.ignored_next_keys = self.stats.ignored_next_keys.saturating_add(1);
                    parsed.fault(error.into());
                }
            }
        }
        if let Some(block) = &parsed.reverse
            && let Some(send) = &mut session.send
        {
            let before = send.forward.set();
            match send.forward.answered(block) {
                Ok(Some(shared)) => {
                    send.advance(before, &shared);
                    self.stats.next_sets_sent = self.stats.next_sets_sent.saturating_add(1);
                    // So that the peer stops to repeat its key.
                    must_respond = true;
                }
                Ok(None) => {}
                Err(error) => {
                    self.stats.ignored_next_keys = self.stats.ignored_next_keys.saturating_add(1);
                    parsed.fault(error.into());
                }
            }
        }
        if let Some(last) = parsed.last_of_previous {
            let previous = set.checked_sub(1);
            let window = session.receive.iter_mut().find(|window| {
                previous.is_some_and(|previous| window.purpose == Purpose::Messages(previous))
            });
            match window {
                Some(window) if window.tags.highest().is_none_or(|highest| highest <= last) => {
                    window.tags.cut(last, |tag| self.table.remove(&tag));
                }
                _ => {
                    let ignored = &mut self.stats.ignored_message_numbers;
                    *ignored = ignored.saturating_add(1);
                    parsed.fault(Fault::MessageNumbers);
                }
            }
        }
        if parsed.wants_ack && push_bounded(&mut session.acks, ACKS, (set, number)) {
            self.stats.dropped_ack_requests = self.stats.dropped_ack_requests.saturating_add(1);
        }
        // Acks of before may be left where the window was full.
        if must_respond || !session.acks.is_empty() {
            self.respond(slot, now + CONTROL_DELAY);
        }
        for (set, number) in std::mem::take(&mut parsed.acks) {
            let number = MessageNumber::Existing { set, number };
            let id = MessageId {
                session: id,
                number,
            };
            if let Err(fault) = self.acked(id, now) {
                self.stats.ignored_acks = self.stats.ignored_acks.saturating_add(1);
                parsed.fault(fault);
            }
        }
    }

    /// Notes that one of our messages arrived.
    pub(super) fn acked(&mut self, id: MessageId, now: Instant) -> Result<(), Fault> {
        let Some(session) = self.slots.find(id.session) else {
            return Ok(());
        };
        if let MessageNumber::Existing { set, number } = id.number
            && let Some(send) = &mut session.send
        {
            send.proof(set, number, now)?;
        }
        self.arrived(id.session.slot, id.number);
        Ok(())
    }

    pub(super) fn arrived(&mut self, slot: u32, number: MessageNumber) {
        if let Some(session) = self.slots.get_mut(slot)
            && session.arrived(number)
        {
            let (peer, id) = (session.peer, session.message(number));
            self.event(Event::Acked { peer, id });
        }
    }
}
