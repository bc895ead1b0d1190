use std::fmt;

use ramson_crypto::sha256;

use crate::{RouterHash, UnixTime};

/// A day by UTC: what routing keys and blinded keys hold for. It prints as `yyyyMMdd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcDay {
    /// Days since 1970-01-01.
    number: u64,
}

impl UtcDay {
    const MILLIS: u64 = 86_400_000;

    /// Returns the day this time is in.
    pub fn of(time: UnixTime) -> Self {
        Self {
            number: time.as_millis() / Self::MILLIS,
        }
    }

    /// Returns the day after this one.
    pub fn next(self) -> Self {
        Self {
            number: self.number.saturating_add(1),
        }
    }

    /// Returns the midnight at which the day ends and the next one begins.
    pub fn ends(self) -> UnixTime {
        UnixTime::from_millis(self.next().number.saturating_mul(Self::MILLIS))
    }

    /// Returns year, month and day of month.
    fn date(self) -> (u64, u64, u64) {
        // In years that begin with March the leap day comes last, and the months before any
        // month have (153 n + 2) / 5 days. 400 such years have 146,097 days, and 719,468 days lie
        // between the first of March of year 0 and 1970.
        let days = self.number.saturating_add(719_468);
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        (year, month, day)
    }
}

impl fmt::Display for UtcDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}{month:02}{day:02}")
    }
}

/// Where an entry of the network database belongs on one day (Network database, Kademlia closeness
/// metric): the SHA-256 of its key and the day's `yyyyMMdd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoutingKey(pub [u8; 32]);

impl RoutingKey {
    /// Returns the routing key of an entry's key: the hash of a router or Destination, or what an
    /// encrypted LeaseSet is stored under.
    pub fn new(key: &[u8; 32], day: UtcDay) -> Self {
        Self(sha256(&[&key[..], day.to_string().as_bytes()].concat()))
    }

    /// Returns how far a router is from here. It is the router's hash that counts, not the routing
    /// key of it.
    pub fn distance(&self, router: &RouterHash) -> Distance {
        let mut distance = self.0;
        for (byte, other) in distance.iter_mut().zip(router.as_bytes()) {
            *byte ^= other;
        }
        Distance(distance)
    }
}

/// The exclusive or of a routing key and a router's hash. Less is closer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distance(pub [u8; 32]);

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn day(text: &str) -> UtcDay {
        // Days are counted from below until one has this text.
        (0..40_000)
            .map(|number| UtcDay { number })
            .find(|day| day.to_string() == text)
            .unwrap()
    }

    #[test]
    fn days_have_their_dates() {
        // From `date -u -d @SECONDS +%Y%m%d`.
        for (secs, text) in [
            (0, "19700101"),
            (86_399, "19700101"),
            (86_400, "19700102"),
            (951_782_400, "20000229"),
            (951_868_800, "20000301"),
            (1_709_164_800, "20240229"),
            (1_735_689_599, "20241231"),
            (1_735_689_600, "20250101"),
            (4_107_542_400, "21000301"),
            (4_107_542_399, "21000228"),
            (u32::MAX, "21060207"),
        ] {
            assert_eq!(UtcDay::of(UnixTime::from_secs(secs)).to_string(), text);
        }
        let last = UtcDay::of(UnixTime::from_millis(u64::MAX));
        assert!(last.next().to_string().len() > 8);
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let mut previous = (1969, 12, 31);
        for number in 0..100_000 {
            let (year, month, day) = UtcDay { number }.date();
            let long = matches!(previous.1, 1 | 3 | 5 | 7 | 8 | 10 | 12);
            let leap = previous.0 % 4 == 0 && previous.0 % 100 != 0 || previous.0 % 400 == 0;
            let last = match previous.1 {
                2 => 28 + u64::from(leap),
                _ => 30 + u64::from(long),
            };
            let expected = match previous {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, day) if day == last => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
            assert_eq!((year, month, day), expected);
            previous = expected;
        }
    }

    #[test]
    fn a_day_ends_at_midnight() {
        let noon = UnixTime::from_secs(1_735_646_400);
        let day = UtcDay::of(noon);
        assert_eq!(day.ends(), UnixTime::from_secs(1_735_689_600));
        assert_eq!(UtcDay::of(day.ends()), day.next());
    }

    /// Made with Python's hashlib: `sha256(bytes(range(32)) + b"20250615")` and of the day after.
    #[test]
    fn routing_keys_are_those_another_program_makes() {
        let key: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let today = day("20250615");
        for (day, expected) in [
            (
                today,
                "b7431eb929f9790cf088c7fc344b7d374eb46974d559dfdcd409c04e7c1861c6",
            ),
            (
                today.next(),
                "368097224683edd54905eb9a5c36b53345796788a906fcb3e4eef8c27a976d4b",
            ),
        ] {
            let routing_key = RoutingKey::new(&key, day);
            assert_eq!(HEXLOWER.encode(&routing_key.0), expected);
        }
    }

    #[test]
    fn distances_compare_from_the_first_byte_on() {
        let mut bytes = [0; 32];
        bytes[31] = 0xff;
        let here = RoutingKey([0; 32]);
        let near = here.distance(&RouterHash(bytes));
        bytes[0] = 1;
        let far = here.distance(&RouterHash(bytes));
        assert!(near < far);
        assert_eq!(far.0, bytes);
        assert_eq!(
            RoutingKey(bytes).distance(&RouterHash(bytes)),
            Distance([0; 32])
        );
    }

    proptest! {
        #[test]
        fn a_closer_router_shares_more_first_bits(key: [u8; 32], a: [u8; 32], b: [u8; 32]) {
            let here = RoutingKey(key);
            let common = |other: [u8; 32]| {
                let bits = key.iter().zip(other).map(|(x, y)| (x ^ y).leading_zeros());
                bits.scan(true, |open, zeros| {
                    let count = if *open { zeros } else { 0 };
                    *open &= zeros == 8;
                    Some(count)
                })
                .sum::<u32>()
            };
            if common(a) > common(b) {
                prop_assert!(here.distance(&RouterHash(a)) < here.distance(&RouterHash(b)));
            }
        }
    }
}
