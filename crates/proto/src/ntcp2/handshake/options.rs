use ramson_wire::{DecodeError, Reader, UnixTime};

/// The options of message 1 (NTCP2, SessionRequest):
/// `[network: u8][version: u8][padding: u16][part 2 of message 3: u16][0: u16][time s: u32][0: u32]`,
/// big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestOptions {
    pub(super) network_id: u8,
    pub(super) version: u8,
    pub(super) padding_len: u16,
    pub(super) part2_len: u16,
    pub(super) time_s: u32,
}

impl RequestOptions {
    pub(super) fn encode(&self) -> [u8; 16] {
        let mut out = [0; 16];
        let mut fields = [self.network_id, self.version]
            .into_iter()
            .chain(self.padding_len.to_be_bytes())
            .chain(self.part2_len.to_be_bytes())
            .chain([0; 2])
            .chain(self.time_s.to_be_bytes());
        out.fill_with(|| fields.next().unwrap_or(0));
        out
    }

    pub(super) fn decode(bytes: &[u8; 16]) -> Self {
        let mut reader = Reader::new(bytes);
        let mut read = || -> Result<Self, DecodeError> {
            let options = Self {
                network_id: reader.u8()?,
                version: reader.u8()?,
                padding_len: reader.u16()?,
                part2_len: reader.u16()?,
                time_s: {
                    reader.u16()?;
                    reader.u32()?
                },
            };
            Ok(options)
        };
        read().expect("the fields take 14 of the 16 bytes")
    }

    pub(super) fn time(&self) -> UnixTime {
        UnixTime::from_secs(self.time_s)
    }
}

/// The options of message 2 (NTCP2, SessionCreated):
/// `[0: u16][padding: u16][0: u32][time s: u32][0: u32]`, big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CreatedOptions {
    pub(super) padding_len: u16,
    pub(super) time_s: u32,
}

impl CreatedOptions {
    pub(super) fn encode(&self) -> [u8; 16] {
        let mut out = [0; 16];
        let mut fields = [0; 2]
            .into_iter()
            .chain(self.padding_len.to_be_bytes())
            .chain([0; 4])
            .chain(self.time_s.to_be_bytes());
        out.fill_with(|| fields.next().unwrap_or(0));
        out
    }

    pub(super) fn decode(bytes: &[u8; 16]) -> Self {
        let mut reader = Reader::new(bytes);
        let mut read = || -> Result<Self, DecodeError> {
            reader.u16()?;
            let padding_len = reader.u16()?;
            reader.u32()?;
            Ok(Self {
                padding_len,
                time_s: reader.u32()?,
            })
        };
        read().expect("the fields take 12 of the 16 bytes")
    }

    pub(super) fn time(&self) -> UnixTime {
        UnixTime::from_secs(self.time_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_stand_where_the_specification_has_them() {
        let request = RequestOptions {
            network_id: 2,
            version: 2,
            padding_len: 0x0102,
            part2_len: 0x0304,
            time_s: 0x0506_0708,
        };
        let bytes = [2, 2, 1, 2, 3, 4, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0];
        assert_eq!(request.encode(), bytes);
        assert_eq!(RequestOptions::decode(&bytes), request);

        let created = CreatedOptions {
            padding_len: 0x0102,
            time_s: 0x0506_0708,
        };
        let bytes = [0, 0, 1, 2, 0, 0, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0];
        assert_eq!(created.encode(), bytes);
        assert_eq!(CreatedOptions::decode(&bytes), created);
    }
}
