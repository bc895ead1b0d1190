//! What goes over the stream: `[type: u8][length: u32 BE][body]`.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Digest, Error, FileName, Reason};

/// The most bytes of a file in one frame.
pub(super) const MAX_DATA: usize = 64 * 1024;
/// The version of the protocol.
pub(super) const VERSION: u16 = 1;

const MAGIC: &[u8; 8] = b"RAMSONtx";
const HEADER_LEN: usize = 5;

/// One message; the sender's first, then the receiver's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// 1: `[magic: 8][version: u16][files: u32][bytes: u64]`
    Hello {
        version: u16,
        files: u32,
        bytes: u64,
    },
    /// 2: `[id: u32][size: u64][SHA-256: 32][name]`
    Offer {
        id: u32,
        size: u64,
        digest: Digest,
        /// Unchecked: a bad name is refused, and the transfer goes on.
        name: Vec<u8>,
    },
    /// 3: `[id: u32][offset: u64]`
    Start { id: u32, offset: u64 },
    /// 4: `[bytes]`
    Data(Vec<u8>),
    /// 5: `[id: u32]`
    End { id: u32 },
    /// 6: nothing
    Bye,
    /// 7: `[id: u32]`
    Abort { id: u32 },
    /// 8, from both: nothing
    Working,
    /// 0x81: `[magic: 8][version: u16]`
    Welcome { version: u16 },
    /// 0x82: `[id: u32][offset: u64][SHA-256 of the bytes before it: 32]`
    Resume {
        id: u32,
        offset: u64,
        prefix: Digest,
    },
    /// 0x83: `[id: u32]`
    Have { id: u32 },
    /// 0x84: `[id: u32][reason: u8]`
    RefuseFile { id: u32, reason: Reason },
    /// 0x85: `[id: u32]`
    Done { id: u32 },
    /// 0x86: `[id: u32]`
    Damaged { id: u32 },
    /// 0x87: `[reason: u8]`
    RefuseAll { reason: Reason },
    /// 0x88: nothing
    Goodbye,
    /// 0x89: `[id: u32][bytes: u64]`
    Progress { id: u32, bytes: u64 },
}

impl Frame {
    /// The whole frame as bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; HEADER_LEN];
        let kind: u8 = match self {
            Self::Hello {
                version,
                files,
                bytes,
            } => {
                out.extend_from_slice(MAGIC);
                out.extend_from_slice(&version.to_be_bytes());
                out.extend_from_slice(&files.to_be_bytes());
                out.extend_from_slice(&bytes.to_be_bytes());
                1
            }
            Self::Offer {
                id,
                size,
                digest,
                name,
            } => {
                out.extend_from_slice(&id.to_be_bytes());
                out.extend_from_slice(&size.to_be_bytes());
                out.extend_from_slice(digest);
                out.extend_from_slice(name);
                2
            }
            Self::Start { id, offset } => {
                out.extend_from_slice(&id.to_be_bytes());
                out.extend_from_slice(&offset.to_be_bytes());
                3
            }
            Self::Data(bytes) => {
                out.extend_from_slice(bytes);
                4
            }
            Self::End { id } => {
                out.extend_from_slice(&id.to_be_bytes());
                5
            }
            Self::Bye => 6,
            Self::Abort { id } => {
                out.extend_from_slice(&id.to_be_bytes());
                7
            }
            Self::Working => 8,
            Self::Welcome { version } => {
                out.extend_from_slice(MAGIC);
                out.extend_from_slice(&version.to_be_bytes());
                0x81
            }
            Self::Resume { id, offset, prefix } => {
                out.extend_from_slice(&id.to_be_bytes());
                out.extend_from_slice(&offset.to_be_bytes());
                out.extend_from_slice(prefix);
                0x82
            }
            Self::Have { id } => {
                out.extend_from_slice(&id.to_be_bytes());
                0x83
            }
            Self::RefuseFile { id, reason } => {
                out.extend_from_slice(&id.to_be_bytes());
                out.push(reason.code());
                0x84
            }
            Self::Done { id } => {
                out.extend_from_slice(&id.to_be_bytes());
                0x85
            }
            Self::Damaged { id } => {
                out.extend_from_slice(&id.to_be_bytes());
                0x86
            }
            Self::RefuseAll { reason } => {
                out.push(reason.code());
                0x87
            }
            Self::Goodbye => 0x88,
            Self::Progress { id, bytes } => {
                out.extend_from_slice(&id.to_be_bytes());
                out.extend_from_slice(&bytes.to_be_bytes());
                0x89
            }
        };
        let len = u32::try_from(out.len() - HEADER_LEN).expect("bodies are small");
        let header = [[kind].as_slice(), &len.to_be_bytes()].concat();
        for (place, byte) in out.iter_mut().zip(header) {
            *place = byte;
        }
        out
    }

    /// Reads the body of a frame.
    fn decode(kind: u8, body: Vec<u8>) -> Option<Self> {
        let mut rest = body.as_slice();
        let frame = match kind {
            1 => {
                expect_magic(&mut rest)?;
                Self::Hello {
                    version: u16::from_be_bytes(take(&mut rest)?),
                    files: u32::from_be_bytes(take(&mut rest)?),
                    bytes: u64::from_be_bytes(take(&mut rest)?),
                }
            }
            2 => Self::Offer {
                id: id(&mut rest)?,
                size: u64::from_be_bytes(take(&mut rest)?),
                digest: take(&mut rest)?,
                name: std::mem::take(&mut rest).to_vec(),
            },
            3 => Self::Start {
                id: id(&mut rest)?,
                offset: u64::from_be_bytes(take(&mut rest)?),
            },
            4 if body.is_empty() => return None,
            4 => return Some(Self::Data(body)),
            5 => Self::End { id: id(&mut rest)? },
            6 => Self::Bye,
            7 => Self::Abort { id: id(&mut rest)? },
            8 => Self::Working,
            0x81 => {
                expect_magic(&mut rest)?;
                Self::Welcome {
                    version: u16::from_be_bytes(take(&mut rest)?),
                }
            }
            0x82 => Self::Resume {
                id: id(&mut rest)?,
                offset: u64::from_be_bytes(take(&mut rest)?),
                prefix: take(&mut rest)?,
            },
            0x83 => Self::Have { id: id(&mut rest)? },
            0x84 => Self::RefuseFile {
                id: id(&mut rest)?,
                reason: Reason::from_code(u8::from_be_bytes(take(&mut rest)?)),
            },
            0x85 => Self::Done { id: id(&mut rest)? },
            0x86 => Self::Damaged { id: id(&mut rest)? },
            0x87 => Self::RefuseAll {
                reason: Reason::from_code(u8::from_be_bytes(take(&mut rest)?)),
            },
            0x88 => Self::Goodbye,
            0x89 => Self::Progress {
                id: id(&mut rest)?,
                bytes: u64::from_be_bytes(take(&mut rest)?),
            },
            _ => return None,
        };
        rest.is_empty().then_some(frame)
    }
}

/// Decodes the body of a frame and encodes the frame again.
#[cfg(feature = "fuzzing")]
pub(crate) fn again(kind: u8, body: &[u8]) -> Option<Vec<u8>> {
    let fits = body.len() <= max_len(kind);
    let frame = Frame::decode(kind, body.to_vec()).filter(|_| fits)?;
    Some(frame.encode())
}

/// The longest body of this type.
fn max_len(kind: u8) -> usize {
    match kind {
        4 => MAX_DATA,
        2 => 44 + FileName::MAX_LEN,
        _ => 64,
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (front, back) = rest.split_first_chunk()?;
    *rest = back;
    Some(*front)
}

fn id(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_be_bytes)
}

fn expect_magic(rest: &mut &[u8]) -> Option<()> {
    (take::<8>(rest)? == *MAGIC).then_some(())
}

/// Reads the next frame. Not cancel-safe.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Frame, Error> {
    let mut header = [0; HEADER_LEN];
    from.read_exact(&mut header).await.map_err(stream)?;
    let [kind, length @ ..] = header;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > max_len(kind) {
        return Err(Error::Protocol {
            what: "a message is too long",
        });
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await.map_err(stream)?;
    Frame::decode(kind, body).ok_or(Error::Protocol {
        what: "a message is malformed",
    })
}

/// Writes a frame and flushes it.
pub(super) async fn write(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> Result<(), Error> {
    to.write_all(&frame.encode()).await.map_err(stream)?;
    to.flush().await.map_err(stream)
}

pub(super) fn stream(source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => Error::Ended,
        _ => Error::Stream { source },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Frame> {
        let reason = (0_u8..9).prop_map(Reason::from_code);
        prop_oneof![
            any::<(u16, u32, u64)>().prop_map(|(version, files, bytes)| Frame::Hello {
                version,
                files,
                bytes
            }),
            (
                any::<(u32, u64, Digest)>(),
                proptest::collection::vec(any::<u8>(), 0..=FileName::MAX_LEN)
            )
                .prop_map(|((id, size, digest), name)| Frame::Offer {
                    id,
                    size,
                    digest,
                    name
                }),
            any::<(u32, u64)>().prop_map(|(id, offset)| Frame::Start { id, offset }),
            proptest::collection::vec(any::<u8>(), 1..3000).prop_map(Frame::Data),
            any::<u32>().prop_map(|id| Frame::End { id }),
            Just(Frame::Bye),
            any::<u32>().prop_map(|id| Frame::Abort { id }),
            Just(Frame::Working),
            any::<u16>().prop_map(|version| Frame::Welcome { version }),
            any::<(u32, u64, Digest)>().prop_map(|(id, offset, prefix)| Frame::Resume {
                id,
                offset,
                prefix
            }),
            any::<u32>().prop_map(|id| Frame::Have { id }),
            (any::<u32>(), reason.clone())
                .prop_map(|(id, reason)| Frame::RefuseFile { id, reason }),
            any::<u32>().prop_map(|id| Frame::Done { id }),
            any::<u32>().prop_map(|id| Frame::Damaged { id }),
            reason.prop_map(|reason| Frame::RefuseAll { reason }),
            Just(Frame::Goodbye),
            any::<(u32, u64)>().prop_map(|(id, bytes)| Frame::Progress { id, bytes }),
        ]
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    proptest! {
        #[test]
        fn a_round_trip_keeps_the_frame(frames in proptest::collection::vec(frames(), 1..5)) {
            let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
            run(async {
                let mut rest = bytes.as_slice();
                for frame in &frames {
                    assert_eq!(&read(&mut rest).await.unwrap(), frame);
                }
                assert!(matches!(read(&mut rest).await, Err(Error::Ended)));
            });
        }

        #[test]
        fn nothing_panics_and_a_cut_is_no_frame(
            frame in frames(), cut in any::<proptest::sample::Index>(),
            noise in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let bytes = frame.encode();
            run(async {
                let mut short = &bytes[..cut.index(bytes.len())];
                assert!(read(&mut short).await.is_err());
                let mut noise = noise.as_slice();
                while read(&mut noise).await.is_ok() {}
            });
        }
    }

    #[test]
    fn lengths_are_checked_before_memory_is_taken() {
        for kind in 0..=255 {
            let header = [kind, 0xff, 0xff, 0xff, 0xff];
            let error = run(async { read(&mut header.as_slice()).await.unwrap_err() });
            assert!(matches!(error, Error::Protocol { .. }));
        }
    }
}
