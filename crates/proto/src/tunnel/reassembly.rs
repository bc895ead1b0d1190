//! The endpoint of a tunnel: from clear tunnel messages back to I2NP messages (Tunnel Message, Tunnel
//! Message (Decrypted); Tunnel Implementation, Endpoint Processing).

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ramson_wire::delivery::{Fragment, Fragments, Instructions, TunnelDelivery};
use ramson_wire::{Instant, Reader};
use thiserror::Error;

use super::{CHECKSUM_LEN, IV_LEN, LAYERED_LEN, checksum};

/// How much of unfinished messages an endpoint keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReassemblyLimits {
    /// How many unfinished messages.
    pub messages: usize,
    /// How many bytes their pieces take, with what it costs to keep each.
    pub bytes: usize,
    /// How long a message may take from its first piece to its last. i2pd allows 8 s, Java I2P and
    /// emissary 45 s.
    pub age: Duration,
}

impl ReassemblyLimits {
    /// For tunnels of our own, which may carry bulk data.
    pub const OWN: Self = Self {
        messages: 256,
        bytes: 1 << 20,
        age: Duration::from_secs(30),
    };

    /// For the tunnels of others that end here, of which there may be thousands.
    pub const TRANSIT: Self = Self {
        messages: 32,
        bytes: 128 << 10,
        age: Duration::from_secs(10),
    };
}

/// What it costs to keep a piece, beside its bytes.
const PIECE_OVERHEAD: usize = 64;

/// Which way the tunnel goes that ends here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointKind {
    /// Our own inbound tunnel. Its gateway is a stranger, who must not be able to have us send
    /// things on: deliveries to routers and tunnels are dropped.
    Inbound,
    /// Somebody's outbound tunnel; its messages go where its owner says.
    Outbound,
}

/// A message that came out of a tunnel.
#[derive(Clone, PartialEq, Eq)]
pub struct TunnelOutput {
    /// Where it goes.
    pub delivery: TunnelDelivery,
    /// An I2NP message with its long header, unchecked.
    pub message: Bytes,
}

impl fmt::Debug for TunnelOutput {
    /// Writes no payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelOutput")
            .field("delivery", &self.delivery)
            .field("message_len", &self.message.len())
            .finish()
    }
}

/// Why a tunnel message or a part of it was of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TunnelMessageError {
    /// The message is not as long as all are.
    #[error("a tunnel message has {len} bytes")]
    Length {
        /// How many bytes it has.
        len: usize,
    },
    /// The padding has no end.
    #[error("a tunnel message consists of padding without end")]
    Padding,
    /// The checksum does not fit: the message was changed, or the layers do not fit the keys.
    #[error("the checksum of a tunnel message does not fit")]
    Checksum,
    /// The delivery instructions make no sense. What stood before them has been used.
    #[error("the delivery instructions of a tunnel message are damaged")]
    Instructions,
}

/// What an endpoint has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndpointStats {
    /// Tunnel messages, good or not.
    pub tunnel_messages: u64,
    /// I2NP messages that came out whole.
    pub delivered: u64,
    /// Tunnel messages of a wrong length or without an end of the padding.
    pub dropped_malformed: u64,
    /// Tunnel messages whose checksum did not fit.
    pub dropped_checksum: u64,
    /// Tunnel messages with damaged instructions.
    pub dropped_instructions: u64,
    /// I2NP messages from an inbound tunnel that were to be sent on.
    pub dropped_not_local: u64,
    /// Fragments that were there already.
    pub dropped_duplicate: u64,
    /// Unfinished messages whose fragments contradicted each other.
    pub dropped_inconsistent: u64,
    /// Unfinished messages that took too long.
    pub dropped_expired: u64,
    /// Unfinished messages that made room for newer ones.
    pub dropped_full: u64,
}

/// The endpoint of one tunnel. Pass messages in with [`Endpoint::handle_message`], then take what
/// came out with [`Endpoint::poll_message`] until nothing is left.
pub struct Endpoint {
    kind: EndpointKind,
    limits: ReassemblyLimits,
    /// In the order their first piece came.
    partial: VecDeque<Partial>,
    output: VecDeque<TunnelOutput>,
    stats: EndpointStats,
}

/// A message of which some fragments are there.
struct Partial {
    message_id: u32,
    since: Instant,
    delivery: Option<TunnelDelivery>,
    /// Numbers and bytes, in the order they came. They are copies: a slice would keep alive the
    /// whole buffer the tunnel message came in, and a frame of a link is much larger.
    pieces: Vec<(u8, Box<[u8]>)>,
    /// What the pieces take.
    memory: usize,
    /// A bit for each number that came.
    present: u64,
    /// The number of the last fragment, once that came.
    last: Option<u8>,
}

impl Partial {
    fn is_complete(&self) -> bool {
        self.last.is_some_and(|last| {
            self.present == u64::MAX >> (Instructions::MAX_NUMBER.saturating_sub(last))
        })
    }

    /// Says whether a piece fits to what is there about where the message ends.
    fn fits(&self, number: u8, last: bool) -> bool {
        match self.last {
            Some(end) => number < end && !last,
            // No higher number may have come before.
            None if last => self.present.checked_shr(u32::from(number)).unwrap_or(0) == 0,
            None => true,
        }
    }

    fn join(mut self) -> Bytes {
        self.pieces.sort_unstable_by_key(|(number, _)| *number);
        let len = self.pieces.iter().map(|(_, piece)| piece.len()).sum();
        let mut whole = BytesMut::with_capacity(len);
        for (_, piece) in &self.pieces {
            whole.extend_from_slice(piece);
        }
        whole.freeze()
    }
}

impl Endpoint {
    /// Makes the endpoint of a new tunnel.
    pub fn new(kind: EndpointKind, limits: ReassemblyLimits) -> Self {
        Self {
            kind,
            limits,
            partial: VecDeque::new(),
            output: VecDeque::new(),
            stats: EndpointStats::default(),
        }
    }

    /// Returns what has been counted.
    pub fn stats(&self) -> &EndpointStats {
        &self.stats
    }

    /// Returns how many bytes the pieces of unfinished messages take.
    pub fn unfinished_bytes(&self) -> usize {
        self.partial.iter().map(|partial| partial.memory).sum()
    }

    /// Takes a tunnel message without layers, `[IV: 16][data: 1008]`. Whole messages in it share
    /// its memory.
    ///
    /// # Errors
    ///
    /// See [`TunnelMessageError`]; it has been counted.
    pub fn handle_message(
        &mut self,
        message: &Bytes,
        now: Instant,
    ) -> Result<(), TunnelMessageError> {
        count(&mut self.stats.tunnel_messages);
        self.handle_timeout(now);
        let payload = match check(message) {
            Ok(payload) => payload,
            Err(error) => {
                count(match error {
                    TunnelMessageError::Checksum => &mut self.stats.dropped_checksum,
                    _ => &mut self.stats.dropped_malformed,
                });
                return Err(error);
            }
        };
        for fragment in Fragments::new(payload) {
            // An empty fragment would be one that nobody needs to send.
            let Some(fragment) = fragment.ok().filter(|fragment| !fragment.data.is_empty()) else {
                count(&mut self.stats.dropped_instructions);
                return Err(TunnelMessageError::Instructions);
            };
            self.handle_fragment(message, &fragment, now);
        }
        Ok(())
    }

    /// Returns the next message that came out.
    pub fn poll_message(&mut self) -> Option<TunnelOutput> {
        self.output.pop_front()
    }

    /// Returns when an unfinished message will have taken too long.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.partial
            .front()
            .map(|oldest| oldest.since + self.limits.age)
    }

    /// Drops unfinished messages that took too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.poll_timeout().is_some_and(|due| due <= now) {
            self.partial.pop_front();
            count(&mut self.stats.dropped_expired);
        }
    }

    fn handle_fragment(&mut self, whole: &Bytes, fragment: &Fragment<'_>, now: Instant) {
        let data = fragment.data;
        match fragment.instructions {
            Instructions::First {
                delivery,
                message_id: None,
            } => self.deliver(delivery, whole.slice_ref(data)),
            Instructions::First {
                delivery,
                message_id: Some(message_id),
            } => self.add(message_id, 0, false, Some(delivery), data, now),
            Instructions::FollowOn {
                message_id,
                number,
                last,
            } => self.add(message_id, number, last, None, data, now),
        }
    }

    /// Puts a piece to its message and delivers that if nothing is missing any more.
    fn add(
        &mut self,
        message_id: u32,
        number: u8,
        last: bool,
        delivery: Option<TunnelDelivery>,
        data: &[u8],
        now: Instant,
    ) {
        let found = self
            .partial
            .iter()
            .position(|partial| partial.message_id == message_id);
        let index = found.unwrap_or(self.partial.len());
        if found.is_none() {
            self.partial.push_back(Partial {
                message_id,
                since: now,
                delivery: None,
                pieces: Vec::new(),
                memory: 0,
                present: 0,
                last: None,
            });
        }
        let Some(partial) = self.partial.get_mut(index) else {
            return;
        };
        let bit = 1_u64.checked_shl(u32::from(number)).unwrap_or(0);
        if partial.present & bit != 0 {
            count(&mut self.stats.dropped_duplicate);
            return;
        }
        if !partial.fits(number, last) {
            self.partial.remove(index);
            count(&mut self.stats.dropped_inconsistent);
            return;
        }
        partial.present |= bit;
        partial.pieces.push((number, data.into()));
        let memory = data.len().saturating_add(PIECE_OVERHEAD);
        partial.memory = partial.memory.saturating_add(memory);
        if last {
            partial.last = Some(number);
        }
        if delivery.is_some() {
            partial.delivery = delivery;
        }
        if partial.is_complete() {
            let whole = self.partial.remove(index);
            if let Some((delivery, whole)) = whole.and_then(|whole| Some((whole.delivery?, whole)))
            {
                self.deliver(delivery, whole.join());
            }
            return;
        }
        self.make_room();
    }

    fn deliver(&mut self, delivery: TunnelDelivery, message: Bytes) {
        if self.kind == EndpointKind::Inbound && delivery != TunnelDelivery::Local {
            count(&mut self.stats.dropped_not_local);
            return;
        }
        count(&mut self.stats.delivered);
        self.output.push_back(TunnelOutput { delivery, message });
    }

    /// Drops the oldest unfinished messages until the limits hold.
    fn make_room(&mut self) {
        let mut bytes: usize = self.partial.iter().map(|partial| partial.memory).sum();
        while bytes > self.limits.bytes || self.partial.len() > self.limits.messages {
            let Some(oldest) = self.partial.pop_front() else {
                return;
            };
            bytes = bytes.saturating_sub(oldest.memory);
            count(&mut self.stats.dropped_full);
        }
    }
}

impl fmt::Debug for Endpoint {
    /// Writes no payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("kind", &self.kind)
            .field("unfinished", &self.partial.len())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

/// Checks length, padding and checksum and returns what stands behind the padding.
fn check(message: &[u8]) -> Result<&[u8], TunnelMessageError> {
    let len = message.len();
    let malformed = TunnelMessageError::Length { len };
    let message: &[u8; LAYERED_LEN] = message.try_into().map_err(|_| malformed)?;
    let mut reader = Reader::new(message);
    let iv = reader.array::<IV_LEN>().map_err(|_| malformed)?;
    let sum = reader.array::<CHECKSUM_LEN>().map_err(|_| malformed)?;
    // Neither the padding nor the zero behind it is part of the checksum.
    while reader.u8().map_err(|_| TunnelMessageError::Padding)? != 0 {}
    let payload = reader.rest();
    if checksum(payload, &iv) != sum {
        return Err(TunnelMessageError::Checksum);
    }
    Ok(payload)
}

#[cfg(test)]
mod tests;
