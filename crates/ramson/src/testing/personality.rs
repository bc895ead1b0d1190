use std::time::Duration;

use ramson_sam::{ResultCode, Style, Version, negotiate};

/// Which router a [`ScriptedBridge`](super::ScriptedBridge) behaves like, as far as programs see
/// it over SAM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Personality {
    /// i2pd 2.59: SAM 3.3, several sessions on a key, OK to CONNECT before the peer is asked.
    I2pd59,
    /// i2pd 2.56: SAM 3.0 and 3.1, else the same.
    I2pd56,
    /// The Java router: primary sessions, ports, PINGs, CONNECT waits for the peer.
    #[default]
    Java,
    /// emissary 0.4: primary sessions, says SAM 3.2 whatever is offered.
    Emissary,
    /// A bridge that nobody knows and that speaks SAM 3.0 alone.
    Unknown30,
}

impl Personality {
    /// Each of them.
    pub const ALL: [Self; 5] = [
        Self::I2pd59,
        Self::I2pd56,
        Self::Java,
        Self::Emissary,
        Self::Unknown30,
    ];

    pub(super) fn is_i2pd(self) -> bool {
        matches!(self, Self::I2pd59 | Self::I2pd56)
    }

    pub(super) fn versions(self) -> &'static [Version] {
        match self {
            Self::I2pd59 | Self::Java => &Version::ALL,
            Self::I2pd56 => &[Version::V3_0, Version::V3_1],
            Self::Emissary => &[Version::V3_2],
            Self::Unknown30 => &[Version::V3_0],
        }
    }

    pub(super) fn negotiate(self, min: Option<Version>, max: Option<Version>) -> Option<Version> {
        if self == Self::Emissary {
            return Some(Version::V3_2);
        }
        // 2.56 takes the lowest of what is offered, and 3.1 where nothing is.
        let max = match (self, min) {
            (Self::I2pd56, Some(min)) => Some(min),
            _ => max,
        };
        negotiate(min, max, self.versions())
    }

    pub(super) fn has_style(self, style: Style) -> bool {
        match style {
            Style::Stream | Style::Datagram | Style::Raw => true,
            Style::Datagram2 => matches!(self, Self::I2pd59 | Self::Emissary),
            Style::Datagram3 => self == Self::I2pd59,
            Style::Primary => self.has_subsessions(),
            Style::Master => self == Self::Java,
        }
    }

    pub(super) fn has_subsessions(self) -> bool {
        matches!(self, Self::Java | Self::Emissary)
    }

    /// Several sessions may have the same keys.
    pub(super) fn shares_keys(self) -> bool {
        self.is_i2pd()
    }

    /// CONNECT is answered after the peer took the stream.
    pub(super) fn confirms(self) -> bool {
        matches!(self, Self::Java | Self::Emissary)
    }

    /// How long a stream waits for an ACCEPT.
    pub(super) fn accept_wait(self) -> Duration {
        if self.confirms() {
            Duration::from_secs(3)
        } else {
            Duration::from_secs(10)
        }
    }

    pub(super) fn has_ports(self) -> bool {
        self == Self::Java
    }

    /// After a session's end its keys are deaf for this long.
    pub(super) fn deaf_for(self) -> Duration {
        if self.is_i2pd() {
            Duration::from_secs(7)
        } else {
            Duration::ZERO
        }
    }

    pub(super) fn duplicated_dest(self) -> ResultCode {
        match self {
            Self::Emissary => ResultCode::Other("DUPLICATE_DEST".to_owned()),
            _ => ResultCode::DuplicatedDest,
        }
    }

    pub(super) fn duplicated_id(self) -> ResultCode {
        match self {
            Self::Emissary => ResultCode::Other("DUPLICATE_ID".to_owned()),
            _ => ResultCode::DuplicatedId,
        }
    }

    pub(super) fn unknown_name(self) -> ResultCode {
        if self.is_i2pd() {
            ResultCode::InvalidKey
        } else {
            ResultCode::KeyNotFound
        }
    }
}
