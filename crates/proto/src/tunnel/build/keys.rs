//! What creator and hop derive from the Noise state of a short build record (ECIES-X25519 Tunnel
//! Creation, Short Record Specification, KDF).

use ramson_crypto::{Key32, SymmetricState, hkdf_pair};

use crate::garlic::router::GarlicKey;
use crate::tunnel::TunnelKeys;

/// All that follows from a short record.
pub(super) struct ShortRecordKeys {
    pub(super) reply: Key32,
    pub(super) tunnel: TunnelKeys,
    /// Only an outbound endpoint wraps its reply.
    pub(super) garlic: Option<GarlicKey>,
}

impl ShortRecordKeys {
    /// Derives the keys from the state after the record. The chain is one link longer for an
    /// outbound endpoint, whose IV key is therefore another one, and then gives the garlic key.
    pub(super) fn derive(state: &SymmetricState, outbound_endpoint: bool) -> Self {
        let (ck, reply) = hkdf_pair(state.ck(), b"", b"SMTunnelReplyKey");
        let (ck, layer) = hkdf_pair(&ck, b"", b"SMTunnelLayerKey");
        if !outbound_endpoint {
            let tunnel = TunnelKeys {
                layer: *layer,
                iv: *ck,
            };
            return Self {
                reply,
                tunnel,
                garlic: None,
            };
        }
        let (ck, iv) = hkdf_pair(&ck, b"", b"TunnelLayerIVKey");
        let (first, key) = hkdf_pair(&ck, b"", b"RGarlicKeyAndTag");
        let tag = first.first_chunk().expect("32 bytes begin with eight");
        Self {
            reply,
            tunnel: TunnelKeys {
                layer: *layer,
                iv: *iv,
            },
            garlic: Some(GarlicKey {
                tag: *tag,
                key: *key,
            }),
        }
    }
}
