use thiserror::Error;

use crate::gzip::{self, GzipError};

/// Why the body of a Data message is not a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// It is shorter than a gzip header.
    #[error("a payload of {actual} bytes is too short")]
    TooShort {
        /// How many bytes there are.
        actual: usize,
    },
    /// It does not unpack.
    #[error(transparent)]
    Gzip(#[from] GzipError),
}

/// What stands in the gzip header around what one Destination sends another (I2CP, Payload): which
/// ports, and which protocol.
///
/// `[1f 8b 08][flags: u8][from port: u16 BE][to port: u16 BE][xfl: u8][protocol: u8]`: the ports in
/// place of the time, the protocol in place of the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PayloadHeader {
    /// 6 streaming, 17 Datagram1, 18 raw, 19 Datagram2, 20 Datagram3; others as applications agree.
    pub protocol: u8,
    /// The port of the sender; 0 if there is none.
    pub from_port: u16,
    /// The port that it is for.
    pub to_port: u16,
}

impl PayloadHeader {
    /// The protocol of streams.
    pub const STREAMING: u8 = 6;
    /// The protocol of [`Datagram1`](crate::datagram::Datagram1).
    pub const DATAGRAM1: u8 = 17;
    /// The protocol of raw datagrams.
    pub const RAW: u8 = 18;
    /// The protocol of [`Datagram2`](crate::datagram::Datagram2).
    pub const DATAGRAM2: u8 = 19;
    /// The protocol of [`Datagram3`](crate::datagram::Datagram3).
    pub const DATAGRAM3: u8 = 20;

    /// Wraps `data` without compressing it.
    ///
    /// # Errors
    ///
    /// [`GzipError::TooLong`] for more than 65,535 bytes.
    pub fn store(&self, data: &[u8]) -> Result<Vec<u8>, GzipError> {
        let limit = usize::from(u16::MAX);
        let mut out = gzip::store(data).ok_or(GzipError::TooLong { limit })?;
        self.write(&mut out);
        Ok(out)
    }

    /// Compresses `data`.
    pub fn compress(&self, data: &[u8]) -> Vec<u8> {
        let mut out = gzip::compress(data);
        self.write(&mut out);
        out
    }

    fn write(&self, gzip: &mut [u8]) {
        let [a, b] = self.from_port.to_be_bytes();
        let [c, d] = self.to_port.to_be_bytes();
        if let Some(ports) = gzip.get_mut(4..8) {
            ports.copy_from_slice(&[a, b, c, d]);
        }
        if let Some(protocol) = gzip.get_mut(9) {
            *protocol = self.protocol;
        }
    }

    /// Reads the header and unpacks what is behind it, of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// See [`PayloadError`].
    pub fn parse(payload: &[u8], limit: usize) -> Result<(Self, Vec<u8>), PayloadError> {
        let short = PayloadError::TooShort {
            actual: payload.len(),
        };
        let header: &[u8; 10] = payload.first_chunk().ok_or(short)?;
        let [_, _, _, _, a, b, c, d, _, protocol] = *header;
        let header = Self {
            protocol,
            from_port: u16::from_be_bytes([a, b]),
            to_port: u16::from_be_bytes([c, d]),
        };
        Ok((header, gzip::decompress(payload, limit)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: PayloadHeader = PayloadHeader {
        protocol: 6,
        from_port: 0x1234,
        to_port: 0x5678,
    };

    #[test]
    fn ports_and_protocol_stand_where_i2cp_has_them() {
        for payload in [HEADER.store(b"abc").unwrap(), HEADER.compress(b"abc")] {
            assert_eq!(payload[..4], [0x1f, 0x8b, 8, 0]);
            assert_eq!(payload[4..8], [0x12, 0x34, 0x56, 0x78]);
            assert_eq!(payload[9], 6);
            let parsed = PayloadHeader::parse(&payload, 3).unwrap();
            assert_eq!(parsed, (HEADER, b"abc".to_vec()));
        }
    }

    #[test]
    fn what_is_not_a_payload_is_an_error() {
        assert_eq!(
            PayloadHeader::parse(&[0x1f; 9], 10),
            Err(PayloadError::TooShort { actual: 9 })
        );
        let mut payload = HEADER.compress(&[7; 500]);
        let long = GzipError::TooLong { limit: 499 };
        assert_eq!(
            PayloadHeader::parse(&payload, 499),
            Err(PayloadError::Gzip(long))
        );
        *payload.last_mut().unwrap() ^= 1;
        assert!(PayloadHeader::parse(&payload, 500).is_err());
        assert!(HEADER.store(&[0; 65_536]).is_err());
    }

    proptest! {
        #[test]
        fn packed_and_unpacked_is_the_same(
            data in proptest::collection::vec(any::<u8>(), 0..3000),
            (protocol, from_port, to_port) in any::<(u8, u16, u16)>(),
        ) {
            let header = PayloadHeader { protocol, from_port, to_port };
            for packed in [header.store(&data).unwrap(), header.compress(&data)] {
                let parsed = PayloadHeader::parse(&packed, data.len());
                prop_assert_eq!(parsed.unwrap(), (header, data.clone()));
            }
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = PayloadHeader::parse(&bytes, 1000);
        }
    }
}
