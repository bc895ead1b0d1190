use ramson_wire::{Address, PrivateKeys, Target};

/// Private keys that decode encode to the same bytes, and their base64 decodes to the same keys.
pub fn wire_private_keys(data: &[u8]) {
    if let Ok(keys) = PrivateKeys::from_bytes(data) {
        assert_eq!(&**keys.to_bytes(), data);
        let again = PrivateKeys::from_base64(&keys.to_base64()).map(|keys| keys.to_bytes());
        assert!(again.is_ok_and(|bytes| **bytes == *data));
        let _ = keys.check();
    }
    let _ = PrivateKeys::from_file_bytes(data);
}

/// An address and a target that parse print as what parses to the same.
pub fn wire_address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.to_string().parse().as_ref(), Ok(&address));
    }
    if let Ok(target) = text.parse::<Target>() {
        assert_eq!(target.to_string().parse().as_ref(), Ok(&target));
    }
}
