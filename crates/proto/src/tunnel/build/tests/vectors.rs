//! What follows from [`NOISE_MESSAGE`]; see there for where it was computed.

use ramson_crypto::{AeadKey, chacha20, sha256};

use super::*;
use crate::tunnel::build::keys::ShortRecordKeys;
use crate::tunnel::testing::{NOISE_MESSAGE, hex, hex_array, receiver};

const REPLY_KEY: &str = "e65be5534fc87e422ba4bcfd6f1b3a6a0883e3992697d2569bd1486b7640bd91";
const LAYER_KEY: &str = "b32fe37c3d376abe1da6d14aa6de5c0f594b60a2993848b8ca090be067128d23";

fn keys(outbound_endpoint: bool) -> ShortRecordKeys {
    let mut message = hex(NOISE_MESSAGE);
    let (_, state) = receiver().open_with_state(&mut message).unwrap();
    ShortRecordKeys::derive(&state, outbound_endpoint)
}

#[test]
fn keys_of_a_hop() {
    let keys = keys(false);
    assert_eq!(*keys.reply, hex_array(REPLY_KEY));
    assert_eq!(keys.tunnel.layer, hex_array(LAYER_KEY));
    assert_eq!(
        keys.tunnel.iv,
        hex_array("a1ce7d51cbe0610f1d5d1081b4ae79b85e08f046437d252940b8218a57e4c20a")
    );
    assert!(keys.garlic.is_none());
}

#[test]
fn keys_of_an_outbound_endpoint() {
    let keys = keys(true);
    assert_eq!(*keys.reply, hex_array(REPLY_KEY));
    assert_eq!(keys.tunnel.layer, hex_array(LAYER_KEY));
    assert_eq!(
        keys.tunnel.iv,
        hex_array("ff5a196be779dde5e9633fb5744c03ce9292ec761a48f8bfb15195764d52d0d4")
    );
    let garlic = keys.garlic.unwrap();
    assert_eq!(garlic.tag, hex_array("29299adedc007266"));
    assert_eq!(
        garlic.key,
        hex_array("aca61505beb86335eaba5698db4cd30436b51d209414aaf55e68e7d27e1495ad")
    );
}

/// 218 zeros as record 5 of another hop.
#[test]
fn layer_over_another_record() {
    let mut record = [0; SHORT_RECORD_LEN];
    chacha20::apply(&keys(false).reply, &record_nonce(5), &mut record);
    assert_eq!(
        sha256(&record),
        hex_array("aa5a5d601edf90826aa49be0a26fcd782473f301b21d7ac6da3a44fc85dda23c")
    );
}

/// 202 zeros as the answer in record 5.
#[test]
fn answer_in_the_own_record() {
    let mut message = hex(NOISE_MESSAGE);
    let (_, state) = receiver().open_with_state(&mut message).unwrap();
    let mut record = vec![0; 202];
    AeadKey::new(*keys(false).reply).seal_vec(5, state.h(), &mut record);
    assert_eq!(
        sha256(&record),
        hex_array("412d14b52c50d2dbe7e68dfa7fcab792020ea81c3ed9916171539ed430be5c72")
    );
}
