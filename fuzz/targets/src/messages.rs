use ramson_wire::build::{BuildReply, LongBuildRequest, SealedRequest, ShortBuildRequest};
use ramson_wire::clove::PayloadBlocks;
use ramson_wire::delivery::Fragments;
use ramson_wire::i2np::{
    Data, DatabaseLookup, DatabaseSearchReply, DatabaseStore, DeliveryStatus, Garlic,
    LongBuildRecords, ShortBuildRecords, StoreEntry, TunnelData, TunnelGateway,
};
use ramson_wire::ntcp2::{Blocks, HandshakePayload};
use ramson_wire::{I2npRef, MessageType, RouterInfo, StoredLeaseSet};

/// A message with a long header, or with a short one if the first byte is odd, encodes to the same
/// bytes, and so does its body if it parses.
pub fn wire_i2np(data: &[u8]) {
    let Some((form, bytes)) = data.split_first() else {
        return;
    };
    let short = form % 2 == 1;
    let message = match short {
        true => I2npRef::parse_short(bytes),
        false => I2npRef::parse_long(bytes),
    };
    let Ok(message) = message else {
        // What is damaged may still have a body that parses.
        if let Ok(message) = I2npRef::parse_long_unchecked(bytes) {
            body(message);
        }
        return;
    };
    let mut out = Vec::new();
    match short {
        true => message.to_message().encode_short(&mut out),
        false => message.to_message().encode_long(&mut out),
    }
    assert_eq!(out, bytes);
    body(message);
}

fn body(message: I2npRef<'_>) {
    let bytes = message.body;
    let mut out = Vec::new();
    let same = match message.kind {
        MessageType::DatabaseStore => DatabaseStore::parse(bytes).map(|store| {
            match store.entry {
                StoreEntry::RouterInfo(gzip) => drop(RouterInfo::from_gzip(gzip)),
                StoreEntry::LeaseSet(kind, bytes) => drop(StoredLeaseSet::parse(kind, bytes)),
            }
            // The type has bits that are ignored.
            let mut again = Vec::new();
            assert_eq!(store.encode(&mut again), Ok(()));
            assert_eq!(DatabaseStore::parse(&again), Ok(store));
            false
        }),
        MessageType::DatabaseLookup => DatabaseLookup::parse(bytes).map(|lookup| {
            // Its flags have bits that are ignored.
            let mut again = Vec::new();
            assert_eq!(lookup.encode(&mut again), Ok(()));
            assert_eq!(DatabaseLookup::parse(&again), Ok(lookup));
            false
        }),
        MessageType::DatabaseSearchReply => {
            DatabaseSearchReply::parse(bytes).map(|reply| reply.encode(&mut out).is_ok())
        }
        MessageType::DeliveryStatus => DeliveryStatus::parse(bytes).map(|status| {
            status.encode(&mut out);
            true
        }),
        MessageType::Garlic => Garlic::parse(bytes).map(|garlic| garlic.encode(&mut out).is_ok()),
        MessageType::Data => Data::parse(bytes).map(|data| data.encode(&mut out).is_ok()),
        MessageType::TunnelData => TunnelData::parse(bytes).map(|data| {
            data.encode(&mut out);
            true
        }),
        MessageType::TunnelGateway => TunnelGateway::parse(bytes).map(|gateway| {
            let _ = gateway.inner();
            gateway.encode(&mut out).is_ok()
        }),
        MessageType::ShortTunnelBuild | MessageType::OutboundTunnelBuildReply => {
            ShortBuildRecords::parse(bytes).map(|records| {
                records.encode(&mut out);
                true
            })
        }
        MessageType::VariableTunnelBuild | MessageType::VariableTunnelBuildReply => {
            LongBuildRecords::parse(bytes).map(|records| {
                records.encode(&mut out);
                true
            })
        }
        _ => Ok(false),
    };
    if same == Ok(true) {
        assert_eq!(out, bytes);
    }
}

/// The blocks of a frame encode to a frame with the same blocks.
pub fn wire_ntcp2(data: &[u8]) {
    let _ = HandshakePayload::parse(data);
    let blocks: Vec<_> = Blocks::new(data).map_while(Result::ok).collect();
    let mut out = Vec::new();
    for block in &blocks {
        assert_eq!(block.encode(&mut out), Ok(()));
    }
    assert_eq!(Blocks::new(&out).collect::<Result<Vec<_>, _>>(), Ok(blocks));
}

/// The blocks of a payload encode to a payload with the same blocks.
pub fn wire_garlic(data: &[u8]) {
    let blocks: Vec<_> = PayloadBlocks::new(data).map_while(Result::ok).collect();
    let mut out = Vec::new();
    for block in &blocks {
        assert_eq!(block.encode(&mut out), Ok(()));
    }
    assert_eq!(
        PayloadBlocks::new(&out).collect::<Result<Vec<_>, _>>(),
        Ok(blocks)
    );
}

/// Fragments encode to bytes with the same fragments, and build records to such as parse the same.
pub fn wire_tunnel(data: &[u8]) {
    let fragments: Vec<_> = Fragments::new(data).map_while(Result::ok).collect();
    let mut out = Vec::new();
    for fragment in &fragments {
        assert_eq!(fragment.encode(&mut out), Ok(()));
    }
    assert_eq!(
        Fragments::new(&out).collect::<Result<Vec<_>, _>>(),
        Ok(fragments)
    );

    let _ = SealedRequest::parse(data);
    if let Some(Ok(request)) = data.first_chunk().map(ShortBuildRequest::parse) {
        let mut record = [0; 154];
        assert_eq!(request.write(&mut record), Ok(()));
        assert_eq!(ShortBuildRequest::parse(&record), Ok(request));
    }
    if let Some(Ok(request)) = data.first_chunk().map(LongBuildRequest::parse) {
        let mut record = [0; 464];
        assert_eq!(request.write(&mut record), Ok(()));
        assert_eq!(LongBuildRequest::parse(&record), Ok(request));
    }
    if let Some(reply) = data.first_chunk().map(BuildReply::parse_short) {
        let mut record = [0; 202];
        assert_eq!(reply.write_short(&mut record), Ok(()));
        assert_eq!(BuildReply::parse_short(&record), reply);
    }
    if let Some(reply) = data.first_chunk().map(BuildReply::parse_long) {
        let mut record = [0; 512];
        assert_eq!(reply.write_long(&mut record), Ok(()));
        assert_eq!(BuildReply::parse_long(&record), reply);
    }
}
