//! The side of a hop that is asked to take part in a tunnel (ECIES-X25519 Tunnel Creation, Short Record
//! Specification, and for the older messages Long Record Specification).

use std::fmt;

use ramson_crypto::{AeadKey, Aes256Encryptor, Key32, Random, SymmetricState, chacha20};
use ramson_wire::build::{
    BuildReply, BuildRequest, HopRole, LONG_REQUEST_LEN, LongBuildRequest, SHORT_REQUEST_LEN,
    ShortBuildRequest,
};
use ramson_wire::clove::{CloveDelivery, GarlicClove};
use ramson_wire::i2np::{LongBuildRecords, ShortBuildRecords, TunnelGateway};
use ramson_wire::{
    DecodeError, EncodeError, I2npMessage, MessageType, RouterHash, TunnelId, UnixTime,
};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::keys::ShortRecordKeys;
use super::{PREFIX_LEN, record_nonce};
use crate::garlic::router::{self, GarlicKey};
use crate::tunnel::TunnelKeys;
use crate::tunnel::noise::{MAC_LEN, NoiseError, Receiver};

/// Which of the two formats of build messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildKind {
    /// ShortTunnelBuild: records of 218 bytes.
    Short,
    /// VariableTunnelBuild: records of 528 bytes.
    Long,
}

/// Why a build request is dropped without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HopError {
    /// The message is not a number of records, at most eight.
    #[error("the build message is malformed: {0}")]
    Malformed(DecodeError),
    /// None of the records is for us.
    #[error("the build message has no record for us")]
    NoRecord,
    /// Our record is not encrypted to our key.
    #[error("our build record cannot be opened: {0}")]
    Open(#[from] NoiseError),
    /// Our record makes no sense: both roles at once, or a tunnel id that is zero.
    #[error("our build record makes no sense: {0}")]
    Request(DecodeError),
    /// We would be our own next hop.
    #[error("the next hop is ourselves")]
    NextIsOurselves,
}

const FOUND: &str = "the index was found among the records";

#[derive(Debug)]
enum Records {
    Short(ShortBuildRecords),
    Long(LongBuildRecords),
}

/// A build message with a record for us, not opened yet.
///
/// Between [`HopRequest::find`] and [`HopRequest::open`] is the place for limits and the replay
/// filter, since only `open` is expensive.
#[derive(Debug)]
pub struct HopRequest {
    kind: BuildKind,
    records: Records,
    us: RouterHash,
    /// Which record is ours.
    index: usize,
    replay_key: [u8; 16],
}

impl HopRequest {
    /// Finds the record that begins with the first 16 bytes of our hash in the body of a build
    /// message. If there are two, the first counts.
    ///
    /// # Errors
    ///
    /// [`HopError::Malformed`], [`HopError::NoRecord`].
    pub fn find(kind: BuildKind, us: RouterHash, body: &[u8]) -> Result<Self, HopError> {
        let prefix = us.prefix();
        let (records, index) = match kind {
            BuildKind::Short => {
                let records = ShortBuildRecords::parse(body).map_err(HopError::Malformed)?;
                let index = records.position(&prefix);
                (Records::Short(records), index)
            }
            BuildKind::Long => {
                let records = LongBuildRecords::parse(body).map_err(HopError::Malformed)?;
                let index = records.position(&prefix);
                (Records::Long(records), index)
            }
        };
        let mut request = Self {
            kind,
            records,
            us,
            index: index.ok_or(HopError::NoRecord)?,
            replay_key: [0; 16],
        };
        if let Some(key) = request.own_record().first_chunk() {
            request.replay_key = *key;
        }
        Ok(request)
    }

    /// Returns what must not come twice, half of the ephemeral key, for a
    /// [`DuplicateFilter`](crate::tunnel::DuplicateFilter) that remembers for an hour.
    pub fn replay_key(&self) -> [u8; 16] {
        self.replay_key
    }

    /// Decrypts our record; this takes an X25519 operation.
    ///
    /// # Errors
    ///
    /// See [`HopError`].
    pub fn open(mut self, receiver: &Receiver) -> Result<OpenedRequest, HopError> {
        let kind = self.kind;
        let (payload, state) = receiver.open_with_state(self.own_record())?;
        let opened = match kind {
            BuildKind::Short => open_short(payload, &state),
            BuildKind::Long => open_long(payload, &state),
        };
        // Long records carry keys. Ours is overwritten in the answer anyway.
        payload.zeroize();
        let (request, tunnel_keys, reply_keys) = opened.map_err(HopError::Request)?;
        if request.next_hop == self.us && request.role != HopRole::OutboundEndpoint {
            return Err(HopError::NextIsOurselves);
        }
        Ok(OpenedRequest {
            found: self,
            hash: *state.h(),
            request,
            tunnel_keys,
            reply_keys,
        })
    }

    /// Returns our record behind its prefix: what Noise has made.
    fn own_record(&mut self) -> &mut [u8] {
        let record = match &mut self.records {
            Records::Short(records) => records.as_mut_slice().get_mut(self.index).map(<_>::as_mut),
            Records::Long(records) => records.as_mut_slice().get_mut(self.index).map(<_>::as_mut),
        };
        let record: &mut [u8] = record.expect(FOUND);
        record
            .get_mut(PREFIX_LEN..)
            .expect("a record is longer than its prefix")
    }
}

/// What a hop needs to answer, zeroed when dropped.
enum ReplyKeys {
    Short {
        reply: Key32,
        /// An outbound endpoint has one.
        garlic: Option<GarlicKey>,
    },
    Long {
        /// The chaining key, for our own record.
        own: Key32,
        /// For the records of others.
        others: Key32,
        others_iv: [u8; 16],
    },
}

type OpenedRecord = (BuildRequest, TunnelKeys, ReplyKeys);

fn open_short(payload: &[u8], state: &SymmetricState) -> Result<OpenedRecord, DecodeError> {
    let record: &[u8; SHORT_REQUEST_LEN] = payload
        .try_into()
        .expect("a short record has 64 bytes around its request");
    let ShortBuildRequest(request) = ShortBuildRequest::parse(record)?;
    let keys = ShortRecordKeys::derive(state, request.role == HopRole::OutboundEndpoint);
    let reply = ReplyKeys::Short {
        reply: keys.reply,
        garlic: keys.garlic,
    };
    Ok((request, keys.tunnel, reply))
}

fn open_long(payload: &[u8], state: &SymmetricState) -> Result<OpenedRecord, DecodeError> {
    let record: &[u8; LONG_REQUEST_LEN] = payload
        .try_into()
        .expect("a long record has 64 bytes around its request");
    let record = LongBuildRequest::parse(record)?;
    let tunnel = TunnelKeys {
        layer: *record.layer_key,
        iv: *record.iv_key,
    };
    let reply = ReplyKeys::Long {
        own: Zeroizing::new(*state.ck()),
        others: record.reply_key,
        others_iv: record.reply_iv,
    };
    Ok((record.request, tunnel, reply))
}

/// A build request that has been opened and waits for our answer.
pub struct OpenedRequest {
    found: HopRequest,
    /// The Noise hash after the request, which the answer authenticates.
    hash: [u8; 32],
    request: BuildRequest,
    tunnel_keys: TunnelKeys,
    reply_keys: ReplyKeys,
}

/// What is to be done with an answered build message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextStep {
    /// Send it to a router.
    Send {
        /// The next hop, or the gateway of the tunnel that the reply goes through.
        to: RouterHash,
        /// The message, complete; its id must be kept.
        message: I2npMessage,
    },
    /// Put it into a tunnel whose gateway we are: the reply gateway of this build is ourselves.
    Gateway {
        /// The id we receive on as that gateway.
        tunnel: TunnelId,
        /// The message; its id must be kept.
        message: I2npMessage,
    },
}

impl OpenedRequest {
    /// Returns what the creator asks for.
    pub fn request(&self) -> &BuildRequest {
        &self.request
    }

    /// Returns the keys for the tunnel's data, if we accept.
    pub fn tunnel_keys(&self) -> &TunnelKeys {
        &self.tunnel_keys
    }

    /// Says whether the tunnel is of a kind that does not exist, and to be refused.
    pub fn is_unsupported(&self) -> bool {
        self.request.layer_type != 0
    }

    /// Writes our answer over our record, encrypts the others and returns what to do next. An
    /// accepted tunnel must be known before its message leaves.
    ///
    /// `expires` is for the messages around, at most a minute ahead.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] if the options of the answer do not fit: 201 bytes do.
    pub fn reply(
        mut self,
        reply: &BuildReply,
        expires: UnixTime,
        random: &mut Random,
    ) -> Result<NextStep, EncodeError> {
        self.seal(reply, random)?;
        self.cover_others();
        let mut body = Vec::new();
        match &self.found.records {
            Records::Short(records) => records.encode(&mut body),
            Records::Long(records) => records.encode(&mut body),
        }
        let Self { found, request, .. } = &self;
        let message = |kind| I2npMessage::new(kind, request.next_message_id, expires, body);
        if request.role != HopRole::OutboundEndpoint {
            return Ok(NextStep::Send {
                to: request.next_hop,
                message: message(match found.kind {
                    BuildKind::Short => MessageType::ShortTunnelBuild,
                    BuildKind::Long => MessageType::VariableTunnelBuild,
                })?,
            });
        }
        let message = message(match found.kind {
            BuildKind::Short => MessageType::OutboundTunnelBuildReply,
            BuildKind::Long => MessageType::VariableTunnelBuildReply,
        })?;
        let tunnel = request.next_tunnel;
        if request.next_hop == found.us {
            return Ok(NextStep::Gateway { tunnel, message });
        }
        let inner = self.wrap(message, expires, random)?;
        let mut inside = Vec::with_capacity(inner.long_len());
        inner.encode_long(&mut inside);
        let mut outside = Vec::with_capacity(inside.len() + TunnelGateway::HEADER_LEN);
        TunnelGateway {
            tunnel,
            message: &inside,
        }
        .encode(&mut outside)?;
        Ok(NextStep::Send {
            to: request.next_hop,
            message: I2npMessage::new(MessageType::TunnelGateway, random.u32(), expires, outside)?,
        })
    }

    /// Wraps an outbound endpoint's answer so that the gateway of the reply tunnel cannot read it.
    /// Answers with long records go as they are.
    fn wrap(
        &self,
        message: I2npMessage,
        expires: UnixTime,
        random: &mut Random,
    ) -> Result<I2npMessage, EncodeError> {
        let ReplyKeys::Short {
            garlic: Some(garlic),
            ..
        } = &self.reply_keys
        else {
            return Ok(message);
        };
        let clove = GarlicClove {
            delivery: CloveDelivery::Local,
            message: message.as_ref(),
        };
        let body = router::seal_with_key(garlic, &[clove])?;
        I2npMessage::new(MessageType::Garlic, random.u32(), expires, body)
    }

    /// Overwrites our record with the answer: `[options: Mapping][padding][code: u8]`, sealed.
    fn seal(&mut self, reply: &BuildReply, random: &mut Random) -> Result<(), EncodeError> {
        const SPLIT: &str = "a record is longer than its MAC";
        let index = self.found.index;
        let (key, nonce) = match &self.reply_keys {
            ReplyKeys::Short { reply, .. } => (AeadKey::new(**reply), index as u64),
            ReplyKeys::Long { own, .. } => (AeadKey::new(**own), 0),
        };
        let (plain, mac): (&mut [u8], _) = match &mut self.found.records {
            Records::Short(records) => {
                let record = records.as_mut_slice().get_mut(index).expect(FOUND);
                let (plain, mac) = record.split_last_chunk_mut::<MAC_LEN>().expect(SPLIT);
                random.fill(plain);
                reply.write_short(plain.try_into().expect(SPLIT))?;
                (plain, mac)
            }
            Records::Long(records) => {
                let record = records.as_mut_slice().get_mut(index).expect(FOUND);
                let (plain, mac) = record.split_last_chunk_mut::<MAC_LEN>().expect(SPLIT);
                random.fill(plain);
                reply.write_long(plain.try_into().expect(SPLIT))?;
                (plain, mac)
            }
        };
        *mac = key.seal(nonce, &self.hash, plain);
        Ok(())
    }

    /// Encrypts the records of the others, which takes a layer off those of the hops behind us and
    /// puts one over the answers before us.
    fn cover_others(&mut self) {
        let own = self.found.index;
        match (&mut self.found.records, &self.reply_keys) {
            (Records::Short(records), ReplyKeys::Short { reply, .. }) => {
                for (index, record) in records.as_mut_slice().iter_mut().enumerate() {
                    if index != own {
                        chacha20::apply(reply, &record_nonce(index), record);
                    }
                }
            }
            (
                Records::Long(records),
                ReplyKeys::Long {
                    others, others_iv, ..
                },
            ) => {
                let aes = Aes256Encryptor::new(others);
                for (index, record) in records.as_mut_slice().iter_mut().enumerate() {
                    if index != own {
                        // Each record begins anew with the IV.
                        aes.cbc_encrypt(others_iv, record)
                            .expect("528 bytes are 33 blocks");
                    }
                }
            }
            _ => {}
        }
    }
}

impl fmt::Debug for OpenedRequest {
    /// Writes no key and nothing of the tunnel's path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedRequest")
            .field("kind", &self.found.kind)
            .field("role", &self.request.role)
            .finish_non_exhaustive()
    }
}
