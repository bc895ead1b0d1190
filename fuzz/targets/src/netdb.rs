use ramson_wire::{LeaseSetType, Mapping, Reader, RouterInfo, StoredLeaseSet, gzip};

/// A mapping that parses encodes to the same bytes, and its pairs make one with the same pairs.
/// What decompresses is no longer than allowed and compresses to what decompresses the same.
pub fn wire_mapping(data: &[u8]) {
    let mut reader = Reader::new(data);
    if let Ok(mapping) = Mapping::parse(&mut reader) {
        let mut out = Vec::new();
        mapping.encode(&mut out);
        assert_eq!([&out, reader.rest()].concat(), data);
        if Mapping::parse_signed(&mut Reader::new(data)).is_ok() {
            let sorted = Mapping::from_pairs(&mapping);
            assert!(sorted.is_ok_and(|sorted| {
                mapping
                    .iter()
                    .all(|(key, value)| sorted.get_bytes(key) == Some(value))
            }));
        }
    }
    if let Ok(contents) = gzip::decompress(data, 1000) {
        assert!(contents.len() <= 1000);
        let again = gzip::decompress(&gzip::compress(&contents), contents.len());
        assert_eq!(again, Ok(contents));
    }
}

/// A RouterInfo keeps its bytes and survives gzip, whatever is asked of it.
pub fn wire_router_info(data: &[u8]) {
    let parsed = [RouterInfo::from_bytes(data), RouterInfo::from_gzip(data)];
    for info in parsed.into_iter().flatten() {
        assert!(info.as_bytes().len() <= RouterInfo::MAX_LEN);
        assert_eq!(RouterInfo::from_gzip(&info.to_gzip()).as_ref(), Ok(&info));
        let caps = info.capabilities();
        let _ = (caps.bandwidth(), caps.congestion());
        let _ = (
            info.net_id(),
            info.version(),
            info.identity().encryption_key(),
        );
        for ntcp2 in info.ntcp2_addresses() {
            assert_eq!(
                ntcp2.to_address().ntcp2().map(|again| again.published()),
                Some(ntcp2.published())
            );
        }
        let _ = info.verify();
    }
}

/// A LeaseSet of the kind in the first byte keeps its bytes, whatever is asked of it.
pub fn wire_lease_set(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    let Some(kind) = LeaseSetType::from_code(*kind) else {
        return;
    };
    if let Ok(lease_set) = StoredLeaseSet::parse(kind, bytes) {
        assert_eq!(lease_set.as_bytes(), bytes);
        assert!(lease_set.leases().len() <= StoredLeaseSet::MAX_LEASES);
        assert!(lease_set.encryption_keys().len() <= StoredLeaseSet::MAX_KEYS);
        assert_eq!(
            lease_set.destination().is_none(),
            kind == LeaseSetType::Encrypted
        );
        let _ = lease_set.verify();
    }
}
