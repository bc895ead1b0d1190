use thiserror::Error;

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CloseReason {
    /// Both sides finished, and everything written here was acknowledged.
    #[error("the stream was finished by both sides")]
    Finished,
    /// The peer did not let the stream come about.
    #[error("the peer refused the stream")]
    Refused,
    /// Nothing answered the SYN.
    #[error("the peer did not answer")]
    ConnectTimedOut,
    /// The peer reset the stream.
    #[error("the peer reset the stream")]
    ResetByPeer,
    /// The stream was reset here.
    #[error("the stream was reset")]
    ResetLocally,
    /// Nothing answered what was sent.
    #[error("the peer stopped answering")]
    TimedOut,
    /// Nothing came or went for so long that the stream was to end.
    #[error("nothing happened on the stream for too long")]
    Inactive,
    /// The application did not accept the stream in time.
    #[error("the stream was not accepted in time")]
    NotAccepted,
    /// The peer said that it sent less than it had sent.
    #[error("the peer contradicted itself")]
    ProtocolViolation,
    /// There are no sequence numbers left.
    #[error("the stream has no sequence numbers left")]
    Exhausted,
}

/// Why bytes are not taken to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WriteError {
    /// The own side is finished.
    #[error("the sending side of the stream is finished")]
    Finished,
    /// The stream is over.
    #[error(transparent)]
    Closed(#[from] CloseReason),
}

/// What a read brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read<T> {
    /// Something.
    Data(T),
    /// Nothing now; [`super::StreamEvent::Readable`] tells when to try again.
    Pending,
    /// The peer finished, and all it sent has been read.
    End,
}

/// Why a packet was dropped, or what was wrong about it. Each has a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum PacketError {
    /// It is longer than anyone makes them.
    #[error("the packet is too long")]
    TooLong,
    /// It ends too early.
    #[error("the packet is malformed")]
    Malformed,
    /// Its options are cut, too long, or of unknown types.
    #[error("the options of the packet are malformed")]
    MalformedOptions,
    /// It must be signed and is not.
    #[error("the packet is not signed")]
    Unsigned,
    /// Its signature does not fit or cannot be checked.
    #[error("the signature of the packet does not fit")]
    BadSignature,
    /// The transient key that signed it has expired.
    #[error("the transient key of the packet has expired")]
    ExpiredKey,
    /// It came over a session of another Destination than the one it is of, or names another.
    #[error("the packet is not of the Destination it should be of")]
    WrongSender,
    /// It is a SYN for another Destination.
    #[error("the packet is for another Destination")]
    WrongTarget,
    /// It is of no stream.
    #[error("the packet is of no stream")]
    UnknownStream,
    /// The number that its sender gave the stream is not the one it gave before.
    #[error("the packet has another stream number of its sender than before")]
    WrongStream,
    /// Its flags contradict each other: SYN with a sequence number, an opening SYN without a
    /// number of the sender's.
    #[error("the flags of the packet contradict its numbers")]
    Flags,
    /// It acknowledges what was never sent. What it carries is taken all the same.
    #[error("the packet acknowledges what was never sent")]
    AckOfUnsent,
    /// It has a sequence number far ahead of what is missing.
    #[error("the packet is too far ahead")]
    TooFarAhead,
    /// There is no room for it.
    #[error("there is no room for the packet")]
    NoRoom,
    /// It is there already.
    #[error("the packet has come before")]
    Duplicate,
    /// It has a sequence number behind the end of the stream.
    #[error("the packet is behind the end of the stream")]
    BehindEnd,
    /// It opens a stream that has been, or overtook one whose SYN never came.
    #[error("the packet opens a stream that is over")]
    Replayed,
    /// The sender is not let in.
    #[error("the sender is not let in")]
    Denied,
    /// There are too many streams, or too many of late.
    #[error("there are too many streams")]
    TooManyStreams,
    /// Nobody listens.
    #[error("nobody listens")]
    NotListening,
    /// It answers no ping, or pings are not answered now.
    #[error("the packet is an unwanted ping or pong")]
    UnwantedEcho,
}

impl PacketError {
    /// Every one of them.
    pub const ALL: [Self; 21] = [
        Self::TooLong,
        Self::Malformed,
        Self::MalformedOptions,
        Self::Unsigned,
        Self::BadSignature,
        Self::ExpiredKey,
        Self::WrongSender,
        Self::WrongTarget,
        Self::UnknownStream,
        Self::WrongStream,
        Self::Flags,
        Self::AckOfUnsent,
        Self::TooFarAhead,
        Self::NoRoom,
        Self::Duplicate,
        Self::BehindEnd,
        Self::Replayed,
        Self::Denied,
        Self::TooManyStreams,
        Self::NotListening,
        Self::UnwantedEcho,
    ];
}
