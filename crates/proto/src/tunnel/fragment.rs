//! The gateway of a tunnel: from I2NP messages to clear tunnel messages (Tunnel Message, Tunnel Message
//! (Decrypted) and Tunnel Message Delivery Instructions).

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use ramson_crypto::Random;
use ramson_wire::delivery::{Fragment, Instructions, TunnelDelivery};
use thiserror::Error;

use super::{CHECKSUM_LEN, IV_LEN, LAYERED_LEN, checksum};

/// How many bytes of instructions and fragments a tunnel message holds.
pub const PAYLOAD_LEN: usize = LAYERED_LEN - IV_LEN - CHECKSUM_LEN - 1;

/// The longest I2NP message with its header that fits through a tunnel: a first fragment to a
/// tunnel and 62 follow-on ones (Tunnel Message, I2NP Message Maximum Size). One more would fit, but
/// others stop here.
pub const MAX_MESSAGE_LEN: usize = 62_708;

/// A shorter first fragment would be more instructions than message.
const MIN_FIRST: usize = 32;

/// Why a gateway does not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GatewayError {
    /// The message cannot be carried by a tunnel.
    #[error("a message of {len} bytes does not fit through a tunnel")]
    Length {
        /// How many bytes it has.
        len: usize,
    },
    /// What waits already is as much as may wait.
    #[error("the gateway of a tunnel is full")]
    Full,
}

/// The gateway of one tunnel: takes messages and packs them into tunnel messages of 1,024 bytes,
/// which have no layer yet.
///
/// Several small messages share a tunnel message. A message is only cut where it would have to be
/// anyway: it begins in the rest of a tunnel message if then it touches no more of them than if
/// it began in one of its own, so packing does not make a loss cost more. Pass messages in with
/// [`Gateway::handle_message`], then call [`Gateway::poll_full`] until it says no; whatever may
/// not wait longer comes out with [`Gateway::flush`]. How long that is, is up to the caller.
pub struct Gateway {
    queue: VecDeque<Waiting>,
    /// How many bytes of messages wait.
    waiting_bytes: usize,
    limit_bytes: usize,
}

struct Waiting {
    delivery: TunnelDelivery,
    message_id: u32,
    /// What has not been sent.
    rest: Bytes,
    /// The number of the next fragment, zero if nothing has been sent.
    next: u8,
}

impl Waiting {
    /// Returns the instructions of a piece of `len` bytes.
    fn instructions(&self, len: usize) -> Instructions {
        let all = len == self.rest.len();
        if self.next > 0 {
            Instructions::FollowOn {
                message_id: self.message_id,
                number: self.next,
                last: all,
            }
        } else {
            Instructions::First {
                delivery: self.delivery,
                message_id: (!all).then_some(self.message_id),
            }
        }
    }

    /// Decides how many bytes of the message go into `space` bytes, instructions and all: what is
    /// left of it, or so many that the space is full, or none.
    fn piece(&self, space: usize) -> usize {
        let len = self.rest.len();
        let all = self.instructions(len).encoded_len().saturating_add(len);
        if all <= space {
            return len;
        }
        let header = self.instructions(0).encoded_len();
        let part = space.saturating_sub(header);
        let alone = PAYLOAD_LEN.saturating_sub(header);
        if self.next > 0 {
            // Follow-on fragments begin tunnel messages, so this fills one.
            return part;
        }
        let worth_it = part >= MIN_FIRST
            && all > PAYLOAD_LEN
            && follow_ons(len, part) <= follow_ons(len, alone);
        if worth_it { part } else { 0 }
    }
}

/// Returns how many follow-on fragments a message of `len` bytes needs after a first one.
fn follow_ons(len: usize, first: usize) -> usize {
    len.saturating_sub(first)
        .div_ceil(PAYLOAD_LEN - Instructions::FOLLOW_ON_LEN)
}

impl Gateway {
    /// Makes a gateway in which messages of at most about `limit_bytes` wait.
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            waiting_bytes: 0,
            limit_bytes,
        }
    }

    /// Says whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns how many bytes of messages wait.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Takes an I2NP message with its long header. `message_id` groups its fragments; by custom it
    /// is the one in that header.
    ///
    /// # Errors
    ///
    /// See [`GatewayError`]. A message always fits into an empty gateway, whatever its limit.
    pub fn handle_message(
        &mut self,
        delivery: TunnelDelivery,
        message_id: u32,
        message: Bytes,
    ) -> Result<(), GatewayError> {
        let len = message.len();
        if len == 0 || len > MAX_MESSAGE_LEN {
            return Err(GatewayError::Length { len });
        }
        let waiting_bytes = self.waiting_bytes.saturating_add(len);
        if waiting_bytes > self.limit_bytes && !self.queue.is_empty() {
            return Err(GatewayError::Full);
        }
        self.waiting_bytes = waiting_bytes;
        self.queue.push_back(Waiting {
            delivery,
            message_id,
            rest: message,
            next: 0,
        });
        Ok(())
    }

    /// Writes a tunnel message, `[IV: 16][checksum: 4][padding][0][payload]`, if what waits fills
    /// one; says whether it did.
    pub fn poll_full(&mut self, random: &mut Random, out: &mut [u8; LAYERED_LEN]) -> bool {
        let (payload, full) = self.plan();
        if full {
            self.write(payload, random, out);
        }
        full
    }

    /// Writes a tunnel message of what waits, full or not; says whether there was anything.
    pub fn flush(&mut self, random: &mut Random, out: &mut [u8; LAYERED_LEN]) -> bool {
        if self.queue.is_empty() {
            return false;
        }
        let (payload, _) = self.plan();
        self.write(payload, random, out);
        true
    }

    /// Returns how many bytes the next tunnel message would hold, and whether no more can come.
    fn plan(&self) -> (usize, bool) {
        let mut used = 0_usize;
        for waiting in &self.queue {
            let len = waiting.piece(PAYLOAD_LEN.saturating_sub(used));
            if len == 0 {
                return (used, true);
            }
            let with_header = waiting.instructions(len).encoded_len().saturating_add(len);
            used = used.saturating_add(with_header);
        }
        (used, used == PAYLOAD_LEN)
    }

    /// Writes the tunnel message that [`Gateway::plan`] found.
    fn write(&mut self, payload_len: usize, random: &mut Random, out: &mut [u8; LAYERED_LEN]) {
        const SPLIT: &str = "a tunnel message is longer than its header";
        let (iv, rest) = out.split_first_chunk_mut::<IV_LEN>().expect(SPLIT);
        let (sum, rest) = rest.split_first_chunk_mut::<CHECKSUM_LEN>().expect(SPLIT);
        let (padding, payload) = rest.split_at_mut(rest.len().saturating_sub(payload_len));
        random.fill(iv);
        fill_padding(padding, random);
        let mut space = &mut *payload;
        while !space.is_empty()
            && let Some(waiting) = self.queue.front_mut()
        {
            let len = waiting.piece(space.len());
            let fragment = Fragment {
                instructions: waiting.instructions(len),
                data: &waiting.rest.split_to(len),
            };
            fragment
                .encode(&mut space)
                .expect("a message is short enough to be cut into 63 pieces");
            self.waiting_bytes = self.waiting_bytes.saturating_sub(len);
            waiting.next = waiting.next.saturating_add(1);
            if waiting.rest.is_empty() {
                self.queue.pop_front();
            }
        }
        *sum = checksum(payload, iv);
    }
}

impl fmt::Debug for Gateway {
    /// Writes no payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("waiting", &self.queue.len())
            .field("waiting_bytes", &self.waiting_bytes)
            .finish_non_exhaustive()
    }
}

/// Fills with random bytes that are not zero, and a zero at the end.
fn fill_padding(padding: &mut [u8], random: &mut Random) {
    let Some((zero, padding)) = padding.split_last_mut() else {
        return;
    };
    *zero = 0;
    random.fill(padding);
    for byte in padding {
        while *byte == 0 {
            random.fill(std::slice::from_mut(byte));
        }
    }
}

#[cfg(test)]
mod tests;
