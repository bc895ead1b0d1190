use std::fmt;

/// The letters a router publishes of itself in the option `caps` of its RouterInfo (Network
/// database, RouterInfo). Unknown letters are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Capabilities<'a>(&'a str);

/// How much bandwidth a router offers, in KB/s: the letter of its capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BandwidthClass {
    /// Below 12.
    K,
    /// Below 48.
    L,
    /// Below 64.
    M,
    /// Below 128.
    N,
    /// Below 256.
    O,
    /// Below 2000.
    P,
    /// From 2000 up.
    X,
}

/// How congested a router says it is (proposal 162).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Congestion {
    /// Letter D.
    Medium,
    /// Letter E; old after a quarter of an hour.
    High,
    /// Letter G: it takes part in no tunnels.
    RejectsAll,
}

impl<'a> Capabilities<'a> {
    /// Wraps the text of the option.
    pub fn new(letters: &'a str) -> Self {
        Self(letters)
    }

    /// Returns the letters as published.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Says whether this letter is among them.
    pub fn has(self, letter: char) -> bool {
        self.0.contains(letter)
    }

    /// Says whether the router is a floodfill: letter f.
    pub fn is_floodfill(self) -> bool {
        self.has('f')
    }

    /// Says whether the router believes to be reachable: letter R.
    pub fn is_reachable(self) -> bool {
        self.has('R')
    }

    /// Says whether the router believes not to be reachable: letter U.
    pub fn is_unreachable(self) -> bool {
        self.has('U')
    }

    /// Says whether the router wants no tunnels of others: letter H.
    pub fn is_hidden(self) -> bool {
        self.has('H')
    }

    /// Returns the bandwidth class; the first letter counts, as in Java I2P.
    pub fn bandwidth(self) -> Option<BandwidthClass> {
        self.0.chars().find_map(BandwidthClass::from_letter)
    }

    /// Returns the congestion, `None` if it says of none.
    pub fn congestion(self) -> Option<Congestion> {
        self.0.chars().filter_map(Congestion::from_letter).max()
    }
}

impl fmt::Debug for Capabilities<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Capabilities({})", self.0)
    }
}

impl BandwidthClass {
    /// Returns the class of a letter, `None` if it is none of these.
    pub fn from_letter(letter: char) -> Option<Self> {
        Some(match letter {
            'K' => Self::K,
            'L' => Self::L,
            'M' => Self::M,
            'N' => Self::N,
            'O' => Self::O,
            'P' => Self::P,
            'X' => Self::X,
            _ => return None,
        })
    }

    /// Returns the class of a router that offers so many KB/s.
    pub fn from_kilobytes_per_s(rate: u32) -> Self {
        match rate {
            0..12 => Self::K,
            12..48 => Self::L,
            48..64 => Self::M,
            64..128 => Self::N,
            128..256 => Self::O,
            256..2000 => Self::P,
            2000.. => Self::X,
        }
    }

    /// Returns the letter.
    pub fn letter(self) -> char {
        match self {
            Self::K => 'K',
            Self::L => 'L',
            Self::M => 'M',
            Self::N => 'N',
            Self::O => 'O',
            Self::P => 'P',
            Self::X => 'X',
        }
    }
}

impl Congestion {
    /// Returns the letter.
    pub fn letter(self) -> char {
        match self {
            Self::Medium => 'D',
            Self::High => 'E',
            Self::RejectsAll => 'G',
        }
    }

    fn from_letter(letter: char) -> Option<Self> {
        Some(match letter {
            'D' => Self::Medium,
            'E' => Self::High,
            'G' => Self::RejectsAll,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_their_meanings() {
        let caps = Capabilities::new("XfRE");
        assert!(caps.is_floodfill() && caps.is_reachable());
        assert!(!caps.is_unreachable() && !caps.is_hidden());
        assert_eq!(caps.bandwidth(), Some(BandwidthClass::X));
        assert_eq!(caps.congestion(), Some(Congestion::High));
        let caps = Capabilities::new("UH");
        assert!(caps.is_unreachable() && caps.is_hidden());
        assert_eq!((caps.bandwidth(), caps.congestion()), (None, None));
        assert_eq!(
            Capabilities::new("PO").bandwidth(),
            Some(BandwidthClass::P),
            "the first counts"
        );
    }

    #[test]
    fn rates_fall_into_classes() {
        for (rate, letter) in [
            (0, 'K'),
            (11, 'K'),
            (12, 'L'),
            (48, 'M'),
            (64, 'N'),
            (128, 'O'),
            (256, 'P'),
            (1999, 'P'),
            (2000, 'X'),
            (u32::MAX, 'X'),
        ] {
            let class = BandwidthClass::from_kilobytes_per_s(rate);
            assert_eq!(class.letter(), letter, "{rate}");
            assert_eq!(BandwidthClass::from_letter(letter), Some(class));
        }
        assert!(BandwidthClass::K < BandwidthClass::X);
    }
}
