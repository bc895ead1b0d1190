//! The way to the shards: which one a tunnel falls to, and what waits to be posted.

use std::collections::VecDeque;

use bytes::Bytes;
use ramson_proto::ntcp2::LinkMessage;
use ramson_wire::i2np::{TunnelData, TunnelGateway};
use ramson_wire::{MessageType, RouterHash, TunnelId};

use super::{INBOX, LINK_SHARE, RelayMessage, RelayShard};
use crate::inbox::Sender;
use crate::peer::PeerHandle;

/// The senders of all shards, with what waits for each.
#[derive(Debug)]
pub(crate) struct RelaySenders {
    shards: Vec<(Sender<RelayMessage>, VecDeque<RelayMessage>)>,
}

impl Clone for RelaySenders {
    /// The same shards; what waits to be posted stays behind.
    fn clone(&self) -> Self {
        self.with_share(INBOX)
    }
}

impl RelaySenders {
    pub(crate) fn of(shards: &[RelayShard]) -> Self {
        let shards = shards.iter();
        Self {
            shards: shards
                .map(|shard| (shard.inbox.sender(INBOX), VecDeque::new()))
                .collect(),
        }
    }

    /// The same with a share of its own, for a link.
    pub(crate) fn for_link(&self) -> Self {
        self.with_share(LINK_SHARE)
    }

    fn with_share(&self, share: usize) -> Self {
        let shards = self.shards.iter();
        Self {
            shards: shards
                .map(|(sender, _)| (sender.with_share(share), VecDeque::new()))
                .collect(),
        }
    }

    fn shard(
        &mut self,
        tunnel: TunnelId,
    ) -> Option<&mut (Sender<RelayMessage>, VecDeque<RelayMessage>)> {
        let index = tunnel.get() as usize % self.shards.len().max(1);
        self.shards.get_mut(index)
    }

    /// Keeps a message until [`Self::flush`].
    pub(crate) fn push(&mut self, tunnel: TunnelId, message: RelayMessage) {
        if let Some((_, waiting)) = self.shard(tunnel) {
            waiting.push_back(message);
        }
    }

    /// Posts what was kept; counts what there was no room for.
    pub(crate) fn flush(&mut self, dropped: &mut u64) {
        for (sender, waiting) in &mut self.shards {
            if !waiting.is_empty() {
                sender.post_all(waiting);
                *dropped += waiting.len() as u64;
                waiting.clear();
            }
        }
    }

    /// Posts at once.
    pub(crate) fn post(&mut self, tunnel: TunnelId, message: RelayMessage) -> bool {
        match self.shard(tunnel) {
            Some((sender, _)) => sender.post(message).is_ok(),
            None => false,
        }
    }

    /// Tells all shards where a router is reached.
    pub(crate) fn post_target(&self, handle: &PeerHandle) {
        for (sender, _) in &self.shards {
            let _ = sender.post(RelayMessage::Target(handle.clone()));
        }
    }

    /// Shares a new rate among all shards.
    pub(crate) fn post_rate(&self, rate_bytes_per_s: u64) {
        let each = rate_bytes_per_s / self.shards.len().max(1) as u64;
        for (sender, _) in &self.shards {
            let _ = sender.post(RelayMessage::Rate(each));
        }
    }
}

impl RelayMessage {
    /// A message for a tunnel whose gateway we are; which neighbour sent it is not known.
    pub(crate) fn from_nobody(tunnel: TunnelId, message: Bytes) -> Self {
        Self::Gateway {
            from: None,
            tunnel,
            message,
        }
    }

    /// Keeps a link's message for the shard it concerns; gives back what is for `Core`.
    pub(crate) fn of(
        from: RouterHash,
        message: LinkMessage,
        relays: &mut RelaySenders,
        malformed: &mut u64,
    ) -> Option<LinkMessage> {
        match message.kind {
            MessageType::TunnelData => {
                let tunnel = message.body.first_chunk().copied().map(u32::from_be_bytes);
                match tunnel.and_then(TunnelId::new) {
                    Some(tunnel) if message.body.len() == TunnelData::LEN => {
                        let body = message.body;
                        relays.push(tunnel, Self::Data { from, tunnel, body });
                    }
                    _ => *malformed += 1,
                }
                None
            }
            MessageType::TunnelGateway => {
                let body = message.body.freeze();
                match TunnelGateway::parse(&body) {
                    Ok(gateway) => {
                        let tunnel = gateway.tunnel;
                        let message = body.slice_ref(gateway.message);
                        let from = Some(from);
                        let gateway = Self::Gateway {
                            from,
                            tunnel,
                            message,
                        };
                        relays.push(tunnel, gateway);
                    }
                    Err(_) => *malformed += 1,
                }
                None
            }
            _ => Some(message),
        }
    }
}
