//! The creator's side of a tunnel build with short records (ECIES-X25519 Tunnel Creation, Short Record
//! Specification).

use std::fmt;

use bytes::Bytes;
use ramson_crypto::{AeadKey, Key32, Random, SymmetricState, chacha20, sha256, x25519};
use ramson_wire::build::{
    BuildReply, BuildRequest, HopRole, ReplyCode, SHORT_REPLY_LEN, SHORT_REQUEST_LEN,
    ShortBuildRequest,
};
use ramson_wire::clove::CloveDelivery;
use ramson_wire::i2np::{Garlic, ShortBuildRecords};
use ramson_wire::{DecodeError, Mapping, MessageType, RouterHash, TunnelId, UnixTime};
use thiserror::Error;

use super::keys::ShortRecordKeys;
use super::{MAX_RECORDS, PREFIX_LEN, SHORT_RECORD_LEN, record_nonce};
use crate::garlic::router::{self, GarlicError, GarlicKey};
use crate::tunnel::noise::{self, EPHEMERAL_LEN};
use crate::tunnel::{LIFETIME, TunnelKeys};

/// How many records the messages of short tunnels have, used or not, so that the length of a tunnel
/// does not show. Longer tunnels have the most there can be.
const USUAL_RECORDS: usize = 4;

/// One hop of a tunnel to be built.
#[derive(Debug, Clone)]
pub struct HopSpec {
    /// The router.
    pub router: RouterHash,
    /// Its X25519 encryption key.
    pub encryption_key: [u8; 32],
    /// The id under which it is to receive the tunnel's messages.
    pub receive_tunnel: TunnelId,
    /// What to ask of it, such as bandwidth; usually empty.
    pub options: Mapping,
}

/// Where a tunnel to be built comes from or leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildPath {
    /// From us; the last hop sends the answer to the gateway of an inbound tunnel of ours.
    Outbound {
        /// The router of that gateway; ourselves if there is no such tunnel yet.
        reply_gateway: RouterHash,
        /// The id the gateway receives on.
        reply_tunnel: TunnelId,
    },
    /// To us; the last hop sends the build message itself to us.
    Inbound {
        /// Our own hash.
        us: RouterHash,
        /// The id under which we will receive the tunnel's messages.
        receive_tunnel: TunnelId,
    },
}

/// Why a build message cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BuildError {
    /// A tunnel has one to eight hops. An inbound one has at most seven: the eighth record is for
    /// us, without which the last hop would see that the tunnel ends behind it.
    #[error("a tunnel of {hops} hops cannot be built")]
    HopCount {
        /// How many were asked for.
        hops: usize,
    },
    /// A router is in the tunnel twice, or it is us.
    #[error("hop {hop} is in the tunnel twice")]
    DuplicateHop {
        /// The second of the two, counted from zero.
        hop: usize,
    },
    /// The encryption key of a hop is none.
    #[error("the encryption key of hop {hop} is not usable")]
    BadKey {
        /// Which hop, counted from zero.
        hop: usize,
    },
    /// The options for a hop do not fit into its record.
    #[error("the options for hop {hop} are too long")]
    Options {
        /// Which hop, counted from zero.
        hop: usize,
    },
}

/// Why an answer to a build is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// It has not as many records as were sent.
    #[error("the build reply does not have the records of the request")]
    RecordCount,
    /// It is no message of records.
    #[error("the build reply is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// The Garlic message around it is none.
    #[error(transparent)]
    Garlic(#[from] GarlicError),
    /// The Garlic message contains no answer to this build.
    #[error("a garlic message contains no answer to this build")]
    Unexpected,
}

/// What a hop has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HopAnswer {
    /// It takes part. The options may tell its bandwidth.
    Accepted(Mapping),
    /// It does not, for this reason; see [`ReplyCode::BANDWIDTH`].
    Refused(u8),
    /// Its record is not one that it sealed. Which hop has changed it cannot be known.
    Unreadable,
}

/// Why a tunnel that was answered for does not stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BuildFailure {
    /// At least one hop has refused.
    #[error("a hop has refused")]
    Refused,
    /// A hop's answer does not authenticate.
    #[error("the answer of a hop does not authenticate")]
    Unreadable,
    /// A record that is no hop's has been changed on the way: somebody marks the message, to be
    /// recognised further on. The tunnel must not be used.
    #[error("a record of no hop was changed on the way")]
    Tampered,
}

/// What became of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildOutcome {
    /// What each hop has answered, in the order of the tunnel.
    pub answers: Vec<HopAnswer>,
    /// The keys of each hop, in the order of the tunnel, if it stands.
    pub tunnel: Result<Vec<TunnelKeys>, BuildFailure>,
}

/// A build whose answer has not come yet.
///
/// The answer to an inbound build is a ShortTunnelBuild message, that to an outbound one an
/// OutboundTunnelBuildReply, usually inside of a garlic message under [`PendingBuild::garlic_key`];
/// both bear [`PendingBuild::reply_message_id`].
#[derive(Clone)]
pub struct PendingBuild {
    /// In the order of the tunnel.
    hops: Vec<PendingHop>,
    /// Records of no hop: where they are, and the hash of what they must come back as.
    fakes: Vec<(usize, [u8; 32])>,
    garlic: Option<GarlicKey>,
    reply_message_id: u32,
}

type Record = [u8; SHORT_RECORD_LEN];

const IN_RANGE: &str = "indexes are shuffled among as many records";

/// What the creator keeps of a hop until it has answered.
#[derive(Clone)]
struct PendingHop {
    index: usize,
    reply: Key32,
    /// The Noise hash after the request, which the reply authenticates.
    hash: [u8; 32],
    tunnel: TunnelKeys,
}

impl PendingHop {
    /// Adds or takes away this hop's layer over the record of another.
    fn layer(&self, index: usize, record: &mut Record) {
        chacha20::apply(&self.reply, &record_nonce(index), record);
    }

    /// Reads the hop's answer from its record, off which all later layers are.
    fn answer(&self, record: &mut Record) -> HopAnswer {
        let opened = AeadKey::new(*self.reply)
            .open_in_place(self.index as u64, &self.hash, record)
            .ok()
            .and_then(|plain| <&[u8; SHORT_REPLY_LEN]>::try_from(&*plain).ok());
        let Some(plain) = opened else {
            return HopAnswer::Unreadable;
        };
        let reply = BuildReply::parse_short(plain);
        match reply.code {
            ReplyCode::Accepted => HopAnswer::Accepted(reply.options),
            ReplyCode::Rejected(code) => HopAnswer::Refused(code),
        }
    }
}

impl PendingBuild {
    /// Writes a build message and returns it with what its answer needs: the body of a
    /// ShortTunnelBuild message, `[count: u8][record: 218]*`, for the first of the hops.
    ///
    /// `reply_message_id` is the id the answer will have. Each hop costs two X25519 operations.
    ///
    /// # Errors
    ///
    /// See [`BuildError`].
    pub fn start(
        hops: &[HopSpec],
        path: BuildPath,
        reply_message_id: u32,
        random: &mut Random,
        now: UnixTime,
    ) -> Result<(Self, Bytes), BuildError> {
        check_hops(hops, path)?;
        let needed = match path {
            BuildPath::Outbound { .. } => hops.len(),
            BuildPath::Inbound { .. } => hops.len().saturating_add(1),
        };
        let count = if needed <= USUAL_RECORDS {
            USUAL_RECORDS
        } else if needed <= MAX_RECORDS {
            MAX_RECORDS
        } else {
            return Err(BuildError::HopCount { hops: hops.len() });
        };
        let mut records: Vec<Record> = std::iter::repeat_with(|| random.bytes())
            .take(count)
            .collect();
        let mut order: Vec<usize> = (0..count).collect();
        random.shuffle(&mut order);
        let mut order = order.into_iter();
        let mut pending = Self {
            hops: Vec::with_capacity(hops.len()),
            fakes: Vec::new(),
            garlic: None,
            reply_message_id,
        };

        for (hop, (spec, index)) in hops.iter().zip(order.by_ref()).enumerate() {
            // What the following hop is, is the path's to say for the last one.
            let next = hops.get(hop.saturating_add(1));
            let request = request(spec, next, hop == 0, &path, reply_message_id, now, random);
            let record = records.get_mut(index).expect(IN_RANGE);
            let state = seal_request(hop, spec, &request, record, random)?;
            let outbound_endpoint = request.0.role == HopRole::OutboundEndpoint;
            let keys = ShortRecordKeys::derive(&state, outbound_endpoint);
            // The hops before peel their layers off before this one looks.
            for earlier in &pending.hops {
                earlier.layer(index, record);
            }
            pending.garlic = keys.garlic;
            pending.hops.push(PendingHop {
                index,
                reply: keys.reply,
                hash: *state.h(),
                tunnel: keys.tunnel,
            });
        }

        for (fake, index) in order.enumerate() {
            let record = records.get_mut(index).expect(IN_RANGE);
            if let BuildPath::Inbound { us, .. } = path
                && fake == 0
            {
                disguise(record, &us, random);
            }
            // Like a record behind the last hop, so that it comes back as it is now.
            pending.fakes.push((index, sha256(record)));
            for hop in &pending.hops {
                hop.layer(index, record);
            }
        }
        let records = ShortBuildRecords::new(records).expect("there are four or eight");
        let mut body = Vec::with_capacity(records.encoded_len());
        records.encode(&mut body);
        Ok((pending, body.into()))
    }

    /// Returns the id of the message that the answer comes in.
    pub fn reply_message_id(&self) -> u32 {
        self.reply_message_id
    }

    /// Returns what the last hop of an outbound tunnel wraps its answer with, to be registered
    /// before the request is sent; `None` for an inbound tunnel.
    pub fn garlic_key(&self) -> Option<&GarlicKey> {
        self.garlic.as_ref()
    }

    /// Opens the Garlic message that an outbound build is answered with, and returns the body of
    /// the OutboundTunnelBuildReply in it, for [`PendingBuild::handle_reply`].
    ///
    /// # Errors
    ///
    /// See [`ReplyError`]; the build is still pending then.
    pub fn open_garlic_reply(&self, message: Garlic<'_>) -> Result<Bytes, ReplyError> {
        let garlic = self.garlic.as_ref().ok_or(ReplyError::Unexpected)?;
        router::open_with_key(garlic, message)?
            .cloves
            .into_iter()
            .find(|clove| {
                clove.delivery == CloveDelivery::Local
                    && clove.message.kind() == MessageType::OutboundTunnelBuildReply
                    && clove.message.id() == self.reply_message_id
            })
            .map(|clove| clove.message.body().clone())
            .ok_or(ReplyError::Unexpected)
    }

    /// Reads the answers of the hops from the body of the message that came back.
    ///
    /// # Errors
    ///
    /// [`ReplyError`], if this cannot be the answer; the build is still pending then.
    pub fn handle_reply(&self, body: &[u8]) -> Result<BuildOutcome, ReplyError> {
        let mut records = ShortBuildRecords::parse(body)?;
        let records = records.as_mut_slice();
        if records.len() != self.hops.len().saturating_add(self.fakes.len()) {
            return Err(ReplyError::RecordCount);
        }
        let mut answers = Vec::with_capacity(self.hops.len());
        for (hop, pending) in self.hops.iter().enumerate() {
            let record = records.get_mut(pending.index).expect(IN_RANGE);
            // The hops behind this one have put their layers over its answer.
            for later in self.hops.iter().skip(hop).skip(1) {
                later.layer(pending.index, record);
            }
            answers.push(pending.answer(record));
        }
        let intact = self.fakes.iter().all(|(index, hash)| {
            records
                .get(*index)
                .is_some_and(|record| sha256(record) == *hash)
        });
        let tunnel = if !intact {
            Err(BuildFailure::Tampered)
        } else if answers.contains(&HopAnswer::Unreadable) {
            Err(BuildFailure::Unreadable)
        } else if answers
            .iter()
            .any(|answer| matches!(answer, HopAnswer::Refused(_)))
        {
            Err(BuildFailure::Refused)
        } else {
            Ok(self.hops.iter().map(|hop| hop.tunnel.clone()).collect())
        };
        Ok(BuildOutcome { answers, tunnel })
    }
}

impl fmt::Debug for PendingBuild {
    /// Writes no key and nothing of the tunnel's path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingBuild")
            .field("hops", &self.hops.len())
            .finish_non_exhaustive()
    }
}

/// Checks that no router is there twice: a hop finds its record by its hash.
fn check_hops(hops: &[HopSpec], path: BuildPath) -> Result<(), BuildError> {
    if hops.is_empty() {
        return Err(BuildError::HopCount { hops: 0 });
    }
    let us = match path {
        BuildPath::Outbound { .. } => None,
        BuildPath::Inbound { us, .. } => Some(us),
    };
    for (hop, spec) in hops.iter().enumerate() {
        let prefix = spec.router.prefix();
        let mut earlier = hops.iter().take(hop).map(|earlier| earlier.router);
        if earlier.any(|earlier| earlier.prefix() == prefix)
            || us.is_some_and(|us| us.prefix() == prefix)
        {
            return Err(BuildError::DuplicateHop { hop });
        }
    }
    Ok(())
}

/// Returns what to ask of a hop.
fn request(
    spec: &HopSpec,
    next: Option<&HopSpec>,
    first: bool,
    path: &BuildPath,
    reply_message_id: u32,
    now: UnixTime,
    random: &mut Random,
) -> ShortBuildRequest {
    let (next_hop, next_tunnel) = match (next, *path) {
        (Some(next), _) => (next.router, next.receive_tunnel),
        (
            None,
            BuildPath::Outbound {
                reply_gateway,
                reply_tunnel,
            },
        ) => (reply_gateway, reply_tunnel),
        (None, BuildPath::Inbound { us, receive_tunnel }) => (us, receive_tunnel),
    };
    let role = match path {
        BuildPath::Outbound { .. } if next.is_none() => HopRole::OutboundEndpoint,
        BuildPath::Inbound { .. } if first => HopRole::InboundGateway,
        _ => HopRole::Participant,
    };
    let next_message_id = match next {
        // The same id twice on one way would look like a repetition.
        Some(_) => random.u32(),
        None => reply_message_id,
    };
    ShortBuildRequest(BuildRequest {
        receive_tunnel: spec.receive_tunnel,
        next_tunnel,
        next_hop,
        role,
        layer_type: 0,
        requested: now,
        lifetime: LIFETIME,
        next_message_id,
        options: spec.options.clone(),
    })
}

/// Writes a hop's record over random bytes: `[hash: 16][ephemeral key: 32][ciphertext: 154]
/// [MAC: 16]`; returns the Noise state after it.
fn seal_request(
    hop: usize,
    spec: &HopSpec,
    request: &ShortBuildRequest,
    record: &mut Record,
    random: &mut Random,
) -> Result<SymmetricState, BuildError> {
    const SPLIT: &str = "a record is its prefix, a key, a request and a MAC";
    let (prefix, message) = record.split_first_chunk_mut::<PREFIX_LEN>().expect(SPLIT);
    *prefix = spec.router.prefix();
    let plain = message
        .get_mut(EPHEMERAL_LEN..)
        .and_then(|rest| rest.first_chunk_mut::<SHORT_REQUEST_LEN>());
    request
        .write(plain.expect(SPLIT))
        .map_err(|_| BuildError::Options { hop })?;
    // There is room, so it must be the key.
    noise::seal_with_state(&spec.encryption_key, random, message)
        .map_err(|_| BuildError::BadKey { hop })
}

/// Makes random bytes look like a record for ourselves, so that the last hop of an inbound tunnel
/// takes us for one more hop.
fn disguise(record: &mut Record, us: &RouterHash, random: &mut Random) {
    let (prefix, message) = record
        .split_first_chunk_mut::<PREFIX_LEN>()
        .expect("a record is longer than its prefix");
    *prefix = us.prefix();
    // Half of all random bytes are no public key, and the top bit never is set in one.
    if let Some(key) = message.first_chunk_mut::<EPHEMERAL_LEN>() {
        *key = x25519::PrivateKey::generate(random).public();
    }
}
