use std::time::Duration;

use bytes::{Buf, BytesMut};
use ramson_wire::{RouterInfo, Verified};

use super::{Connection, MAX_EVENT_BYTES, MAX_EVENTS, Role, Stage};
use crate::Now;
use crate::ntcp2::handshake::AwaitCreated;
use crate::ntcp2::keys::DataKeys;
use crate::ntcp2::phase::DataPhase;
use crate::ntcp2::{Event, HandshakeError};

/// How a link gets from stage to stage as its peer's bytes come.
impl Connection {
    /// Does one thing with the input; says whether there may be more to do.
    pub(super) fn step(&mut self, input: &mut BytesMut, now: Now) -> bool {
        match &mut self.stage {
            Stage::Draining { left, .. } => {
                let len = input.len().min(*left);
                input.advance(len);
                *left = left.saturating_sub(len);
                if *left == 0 {
                    self.finish_draining();
                    return true;
                }
                return false;
            }
            Stage::Terminating(..) | Stage::Closed => {
                input.clear();
                return false;
            }
            // It is our turn: nothing may come before we have spoken.
            Stage::Dial | Stage::Verdict(..) if !input.is_empty() => {
                self.fail(HandshakeError::OutOfTurn);
                return true;
            }
            _ if self.outbox.is_some() && !input.is_empty() => {
                self.fail(HandshakeError::OutOfTurn);
                return true;
            }
            Stage::Open(phase) => {
                if self.events.len() >= MAX_EVENTS || self.event_bytes >= MAX_EVENT_BYTES {
                    return false;
                }
                let known = self.events.len();
                let result = phase.receive(input, now, &mut self.events, &mut self.stats);
                let new = self.events.iter().skip(known);
                self.event_bytes += new.map(Event::weight).sum::<usize>();
                return match result {
                    Ok(more) => more,
                    Err(why) => {
                        self.data_error(why);
                        true
                    }
                };
            }
            _ => {}
        }
        self.step_handshake(input, now)
    }

    /// Takes the next piece of the handshake if it is there.
    fn step_handshake(&mut self, input: &mut BytesMut, now: Now) -> bool {
        let stage = std::mem::replace(&mut self.stage, Stage::Closed);
        let next = match (stage, &self.role) {
            (Stage::Key(state), _) => match take(input) {
                Some(bytes) => Ok(Stage::Options(state.handle(&bytes))),
                None => Err(Stage::Key(state)),
            },
            (Stage::Options(state), Role::Accept(config)) => match take(input) {
                Some(bytes) => {
                    let encrypted = *state.encrypted_key();
                    match state.handle(&bytes, config, now) {
                        Ok(next) => Ok(Stage::RequestPadding(Box::new(next), encrypted)),
                        Err(error) => {
                            self.drain(error.into(), None);
                            return true;
                        }
                    }
                }
                None => Err(Stage::Options(state)),
            },
            (Stage::RequestPadding(state, encrypted), _) => {
                if input.len() >= state.needed() {
                    let padding = input.split_to(state.needed());
                    self.push_event(Event::EphemeralKey { encrypted });
                    Ok(Stage::Verdict(state, padding))
                } else {
                    Err(Stage::RequestPadding(state, encrypted))
                }
            }
            (Stage::Confirmed(state), Role::Accept(config)) => {
                if input.len() >= state.needed() {
                    let mut message = input.split_to(state.needed());
                    match state.handle(&mut message, config, now) {
                        Ok(done) => {
                            let config = config.as_ref();
                            let greeting = config
                                .greet
                                .then(|| (config.local.router_info.clone(), false));
                            self.greeting = self.greeting.take().or(greeting);
                            self.open(done.keys, done.peer, done.skew_ms, done.rtt, now);
                        }
                        Err(failed) => self.not_confirmed(failed.error, failed.keys, now),
                    }
                    return true;
                }
                Err(Stage::Confirmed(state))
            }
            (Stage::Created(state), _) => match take(input) {
                Some(bytes) => match state.handle(&bytes, now) {
                    Ok(next) => Ok(Stage::CreatedPadding(Box::new(next))),
                    Err(error) => {
                        self.end(error.into());
                        return true;
                    }
                },
                None => Err(Stage::Created(state)),
            },
            (Stage::CreatedPadding(state), Role::Dial(config)) => {
                if input.len() >= state.needed() {
                    let padding = input.split_to(state.needed());
                    match state.handle(&padding) {
                        Ok(done) => {
                            self.outbox = Some(done.message3);
                            let peer = config.peer.clone();
                            self.open(done.keys, peer, done.skew_ms, done.rtt, now);
                        }
                        Err(error) => self.end(error.into()),
                    }
                    return true;
                }
                Err(Stage::CreatedPadding(state))
            }
            (other, _) => Err(other),
        };
        match next {
            Ok(stage) => {
                self.stage = stage;
                true
            }
            Err(stage) => {
                self.stage = stage;
                false
            }
        }
    }

    /// Makes message 1.
    pub(super) fn start(&mut self, now: Now) {
        let Role::Dial(config) = &self.role else {
            return;
        };
        match AwaitCreated::start(config, now, &mut self.random) {
            Ok((next, message1)) => {
                self.stage = Stage::Created(Box::new(next));
                self.outbox = Some(message1);
            }
            Err(error) => self.end(error.into()),
        }
    }

    /// Begins the data phase.
    pub(super) fn open(
        &mut self,
        keys: DataKeys,
        peer: Verified<RouterInfo>,
        skew_ms: i64,
        rtt: Duration,
        now: Now,
    ) {
        tracing::debug!(skew_ms, rtt_ms = rtt.as_millis() as u64, "link is up");
        let mut phase = self.phase(keys, now);
        if let Some((info, flood)) = self.greeting.take() {
            phase.send_router_info(info, flood);
        }
        self.stage = Stage::Open(Box::new(phase));
        self.push_event(Event::Established { peer, skew_ms, rtt });
    }

    fn phase(&mut self, keys: DataKeys, now: Now) -> DataPhase {
        let (local, link, send, receive) = match &self.role {
            Role::Dial(config) => (
                &config.local,
                &config.link,
                keys.alice_to_bob,
                keys.bob_to_alice,
            ),
            Role::Accept(config) => (
                &config.local,
                &config.link,
                keys.bob_to_alice,
                keys.alice_to_bob,
            ),
        };
        let own_info = local.router_info.clone();
        DataPhase::new(send, receive, link, own_info, now, &mut self.random)
    }

    /// Ends an inbound handshake after message 3, with a termination where the failure has one.
    fn not_confirmed(&mut self, error: HandshakeError, keys: Option<DataKeys>, now: Now) {
        match (error.termination(), keys) {
            (Some(reason), Some(keys)) => {
                let phase = self.phase(keys, now);
                self.stage = Stage::Open(Box::new(phase));
                self.terminate(reason, error.into());
            }
            _ => self.end(error.into()),
        }
    }
}

/// Takes the next `N` bytes if they are there.
fn take<const N: usize>(input: &mut BytesMut) -> Option<[u8; N]> {
    let bytes = *input.first_chunk::<N>()?;
    input.advance(N);
    Some(bytes)
}
