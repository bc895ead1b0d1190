//! Which blocks the messages have (Payload, Block Ordering Rules).

use bytes::{BufMut, Bytes, BytesMut};
use ramson_crypto::Random;
use ramson_wire::clove::{Acks, NextKey, PayloadBlock, PayloadBlocks};
use ramson_wire::{DecodeError, EncodeError, GarlicClove, I2npMessage, UnixTime};

use super::error::{Fault, OpenError};
use super::handshake::MAC_LEN;
use super::limits::ACKS;
use crate::garlic::router::{Clove, MAX_CLOVES};

/// How long the length in front of a Garlic message's content is.
pub(super) const LENGTH_LEN: usize = 4;

/// The payload that just fits into two tunnel messages, as i2pd counts it.
const OPTIMAL_LEN: usize = 1912;

/// What stands before the data of a block.
const BLOCK_HEADER_LEN: usize = 3;

/// How many faults of a message are listed.
const MAX_FAULTS: usize = 8;

/// What was in a payload.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) date_time: Option<UnixTime>,
    pub(super) cloves: Vec<Clove>,
    pub(super) forward: Option<NextKey>,
    pub(super) reverse: Option<NextKey>,
    pub(super) acks: Vec<(u16, u16)>,
    pub(super) wants_ack: bool,
    pub(super) last_of_previous: Option<u16>,
    pub(super) termination: Option<u8>,
    pub(super) unknown: u64,
    pub(super) misplaced: u64,
    pub(super) faults: Vec<Fault>,
}

impl Parsed {
    pub(super) fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }

    fn misplaced(&mut self, kind: u8) {
        self.misplaced = self.misplaced.saturating_add(1);
        self.fault(Fault::Misplaced(kind));
    }

    /// Reads a payload; what belongs into established sessions only is left out elsewhere.
    pub(super) fn parse(payload: &Bytes, is_existing: bool) -> Result<Self, OpenError> {
        let mut parsed = Self::default();
        for block in PayloadBlocks::new(payload) {
            let block = block.map_err(OpenError::Payload)?;
            match block {
                PayloadBlock::DateTime(_) if parsed.date_time.is_some() => {
                    return Err(OpenError::TwoTimes);
                }
                PayloadBlock::DateTime(time) => parsed.date_time = Some(time),
                PayloadBlock::Clove(_) if parsed.cloves.len() == MAX_CLOVES => {
                    return Err(OpenError::Payload(DecodeError::TooMany {
                        actual: MAX_CLOVES.saturating_add(1),
                        limit: MAX_CLOVES,
                    }));
                }
                PayloadBlock::Clove(clove) => parsed.cloves.push(Clove {
                    delivery: clove.delivery,
                    message: clove.message.share(payload),
                }),
                PayloadBlock::Padding(_) => {}
                PayloadBlock::Unknown { .. } => parsed.unknown = parsed.unknown.saturating_add(1),
                PayloadBlock::Termination(_) if !is_existing => parsed.misplaced(4),
                PayloadBlock::MessageNumbers(_) if !is_existing => parsed.misplaced(6),
                PayloadBlock::NextKey(_) if !is_existing => parsed.misplaced(7),
                PayloadBlock::Ack(_) if !is_existing => parsed.misplaced(8),
                PayloadBlock::AckRequest if !is_existing => parsed.misplaced(9),
                PayloadBlock::Termination(reason) => parsed.termination = Some(reason),
                PayloadBlock::MessageNumbers(last) => parsed.last_of_previous = Some(last),
                PayloadBlock::NextKey(next) => {
                    let place = match next.reverse {
                        true => &mut parsed.reverse,
                        false => &mut parsed.forward,
                    };
                    match place {
                        Some(_) => parsed.misplaced(7),
                        None => *place = Some(next),
                    }
                }
                PayloadBlock::Ack(acks) => {
                    let room = ACKS.saturating_sub(parsed.acks.len());
                    parsed.acks.extend(acks.iter().take(room));
                }
                PayloadBlock::AckRequest => parsed.wants_ack = true,
            }
        }
        Ok(parsed)
    }
}

/// What goes into a payload.
#[derive(Debug, Default)]
pub(super) struct Content<'a> {
    pub(super) date_time: Option<UnixTime>,
    pub(super) lease_set: Option<GarlicClove<'a>>,
    pub(super) ack_request: bool,
    pub(super) cloves: &'a [GarlicClove<'a>],
    pub(super) acks: &'a [(u16, u16)],
    pub(super) reverse: Option<NextKey>,
    pub(super) forward: Option<NextKey>,
}

impl<'a> Content<'a> {
    /// Returns all blocks but acks and padding.
    fn blocks(&self) -> impl Iterator<Item = PayloadBlock<'a>> {
        let first = [
            self.date_time.map(PayloadBlock::DateTime),
            self.lease_set.map(PayloadBlock::Clove),
            self.ack_request.then_some(PayloadBlock::AckRequest),
        ];
        let cloves = self.cloves.iter().copied().map(PayloadBlock::Clove);
        let keys = [self.reverse, self.forward].map(|key| key.map(PayloadBlock::NextKey));
        let first = first.into_iter().flatten();
        first.chain(cloves).chain(keys.into_iter().flatten())
    }

    /// Writes `[length: u32 BE][room: header][blocks][padding][room for the MAC]`.
    pub(super) fn write(
        &self,
        header: usize,
        random: &mut Random,
    ) -> Result<BytesMut, EncodeError> {
        let acks = match self.acks.len() {
            0 => 0,
            acks => acks.saturating_mul(4).saturating_add(BLOCK_HEADER_LEN),
        };
        let payload: usize = self.blocks().map(|block| block.encoded_len()).sum();
        let payload = payload.saturating_add(acks);
        let padding = padding(payload, random);
        let padded = padding.map_or(0, |padding| padding.saturating_add(BLOCK_HEADER_LEN));
        let len = payload
            .saturating_add(padded)
            .saturating_add(header)
            .saturating_add(MAC_LEN);
        let limit = I2npMessage::MAX_BODY_LEN.saturating_sub(LENGTH_LEN);
        let length = u32::try_from(len)
            .ok()
            .filter(|_| len <= limit)
            .ok_or(EncodeError::TooLong { actual: len, limit })?;
        let mut body = BytesMut::with_capacity(len.saturating_add(LENGTH_LEN));
        body.put_u32(length);
        body.put_bytes(0, header);
        for block in self.blocks() {
            block.encode(&mut body)?;
        }
        if acks > 0 {
            Acks::encode(self.acks, &mut body)?;
        }
        if let Some(padding) = padding {
            let zeros = [0; 16];
            let padding = zeros.get(..padding).unwrap_or_default();
            PayloadBlock::Padding(padding).encode(&mut body)?;
        }
        body.put_bytes(0, MAC_LEN);
        Ok(body)
    }
}

/// Up to 15 bytes, but none that would make a third tunnel message of two.
fn padding(payload: usize, random: &mut Random) -> Option<usize> {
    let [byte] = random.bytes();
    let wanted = usize::from(byte & 0x0f);
    match OPTIMAL_LEN.checked_sub(payload) {
        Some(room) => room
            .checked_sub(BLOCK_HEADER_LEN)
            .map(|room| wanted.min(room)),
        None => Some(wanted),
    }
}
