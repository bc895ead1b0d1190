use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes};

use crate::mapping::string_len;
use crate::{DecodeError, EncodeError, Mapping, Reader, base64};

/// A way to reach a router (Common structures, RouterAddress):
/// `[cost: u8][expiration: u64 BE][len: u8][style][options: Mapping]`.
#[derive(Clone, PartialEq, Eq)]
pub struct RouterAddress {
    cost: u8,
    expiration: u64,
    /// At most 255 bytes.
    style: Bytes,
    options: Mapping,
}

impl RouterAddress {
    /// Makes an address of the transport `style`, such as `NTCP2`. Lower costs are preferred.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLong`] for a style of more than 255 bytes.
    pub fn new(cost: u8, style: &str, options: Mapping) -> Result<Self, EncodeError> {
        string_len(style.as_bytes())?;
        Ok(Self {
            cost,
            expiration: 0,
            style: Bytes::copy_from_slice(style.as_bytes()),
            options,
        })
    }

    /// Takes an address from a reader over a part of `parent`, which is shared.
    pub(crate) fn share(parent: &Bytes, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let cost = reader.u8()?;
        // Everyone writes zero and nobody looks at it, but signatures cover it.
        let expiration = reader.u64()?;
        let len = usize::from(reader.u8()?);
        let style = parent.slice_ref(reader.take(len)?);
        let options = Mapping::share_signed(parent, reader)?;
        Ok(Self {
            cost,
            expiration,
            style,
            options,
        })
    }

    /// Appends the address.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_u8(self.cost);
        out.put_u64(self.expiration);
        out.put_u8(string_len(&self.style).expect("every constructor checks the length"));
        out.put_slice(&self.style);
        self.options.encode(out);
    }

    /// Returns the cost; only Java I2P ranks by it.
    pub fn cost(&self) -> u8 {
        self.cost
    }

    /// Returns the name of the transport, the empty text if it is not UTF-8.
    pub fn style(&self) -> &str {
        std::str::from_utf8(&self.style).unwrap_or_default()
    }

    /// Returns the options.
    pub fn options(&self) -> &Mapping {
        &self.options
    }

    /// Returns the option `host` if it is an IP address; names are not for routers.
    pub fn host(&self) -> Option<IpAddr> {
        self.options.get("host")?.parse().ok()
    }

    /// Returns the option `port` if it is one.
    pub fn port(&self) -> Option<u16> {
        let text = self.options.get("port")?;
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|&port| digits && port != 0)
    }

    /// Returns what is needed to speak NTCP2 with the router, `None` if this is no valid NTCP2
    /// address.
    pub fn ntcp2(&self) -> Option<Ntcp2Address> {
        Ntcp2Address::of(self)
    }
}

impl fmt::Debug for RouterAddress {
    /// Writes style, cost and the names of the options: their values hold IP addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self
            .options
            .iter()
            .map(|(key, _)| String::from_utf8_lossy(key))
            .collect();
        f.debug_struct("RouterAddress")
            .field("style", &self.style())
            .field("cost", &self.cost)
            .field("options", &keys)
            .finish()
    }
}

/// An NTCP2 address (NTCP2, Published Router Info).
///
/// One without host and port tells the key of a router that only calls others.
#[derive(Clone, PartialEq, Eq)]
pub struct Ntcp2Address {
    /// Where the router listens, `None` if it does not say.
    pub host: Option<IpAddr>,
    /// The TCP port beside the host.
    pub port: Option<u16>,
    /// The static X25519 key of the Noise handshake.
    pub static_key: [u8; 32],
    /// The initial vector that hides the first key of the handshake; only published addresses have
    /// one.
    pub iv: Option<[u8; 16]>,
    /// Whether the letter 4 is among the address's capabilities.
    pub caps_ipv4: bool,
    /// Whether the letter 6 is among the address's capabilities.
    pub caps_ipv6: bool,
}

impl Ntcp2Address {
    fn of(address: &RouterAddress) -> Option<Self> {
        if !matches!(address.style(), "NTCP2" | "NTCP") {
            return None;
        }
        let options = address.options();
        // A list of versions, in which i2pd would not find the 2.
        let speaks_2 = options
            .get("v")?
            .split(',')
            .any(|version| version.trim() == "2");
        if !speaks_2 {
            return None;
        }
        let static_key: [u8; 32] = decode_exact(options.get("s")?)?;
        // Keys have 255 bits; i2pd ignores addresses with one more.
        if static_key.last().is_some_and(|&byte| byte >= 0x80) {
            return None;
        }
        let host = match options.get_bytes(b"host") {
            Some(_) => Some(address.host()?),
            None => None,
        };
        let iv = match options.get("i") {
            Some(text) => Some(decode_exact(text)?),
            None => None,
        };
        let caps = options.get("caps").unwrap_or_default();
        Some(Self {
            host,
            port: address.port(),
            static_key,
            iv,
            caps_ipv4: caps.contains('4'),
            caps_ipv6: caps.contains('6'),
        })
    }

    /// Returns where to connect and the initial vector, if the address has all of them.
    pub fn published(&self) -> Option<(SocketAddr, [u8; 16])> {
        Some((SocketAddr::new(self.host?, self.port?), self.iv?))
    }

    /// Says whether the router speaks IPv4 over it: by its host or, without one, its capabilities.
    pub fn ipv4(&self) -> bool {
        self.host.map_or(self.caps_ipv4, |host| host.is_ipv4())
    }

    /// Says whether the router speaks IPv6 over it.
    pub fn ipv6(&self) -> bool {
        self.host.map_or(self.caps_ipv6, |host| host.is_ipv6())
    }

    /// Returns the address to publish. It has the costs i2pd publishes, 3 with a host and 14
    /// without.
    pub fn to_address(&self) -> RouterAddress {
        let mut pairs = vec![("s", base64::encode(&self.static_key)), ("v", "2".into())];
        match self.published() {
            Some((address, iv)) => {
                pairs.push(("host", address.ip().to_string()));
                pairs.push(("port", address.port().to_string()));
                pairs.push(("i", base64::encode(&iv)));
            }
            None => {
                let letters = [(self.caps_ipv4, '4'), (self.caps_ipv6, '6')];
                let caps: String = letters
                    .iter()
                    .filter_map(|(on, c)| on.then_some(*c))
                    .collect();
                if !caps.is_empty() {
                    pairs.push(("caps", caps));
                }
            }
        }
        let cost = if self.published().is_some() { 3 } else { 14 };
        let options = Mapping::from_pairs(pairs).expect("few short pairs with different keys");
        RouterAddress::new(cost, "NTCP2", options).expect("a short style")
    }
}

impl fmt::Debug for Ntcp2Address {
    /// Writes no IP address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ntcp2Address")
            .field("published", &self.published().is_some())
            .field("ipv4", &self.ipv4())
            .field("ipv6", &self.ipv6())
            .finish_non_exhaustive()
    }
}

/// Decodes base64 that is exactly `N` bytes.
fn decode_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    // Nothing longer than the padded text is decoded.
    if text.len() > N.div_ceil(3).saturating_mul(4) {
        return None;
    }
    base64::decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "JANoqlz0X9w77Zi5F2tjDRwazN87z3SxmdJr7OnpGH8=";
    const IV: &str = "9WU5~mDSf-Mk74SGEUpg8g==";

    fn address(style: &str, pairs: &[(&str, &str)]) -> RouterAddress {
        let options = Mapping::from_pairs(pairs.iter().copied()).unwrap();
        RouterAddress::new(3, style, options).unwrap()
    }

    #[test]
    fn a_published_ntcp2_address_says_where_to_connect() {
        let pairs = [
            ("host", "2.36.209.134"),
            ("port", "14031"),
            ("i", IV),
            ("s", KEY),
            ("v", "2"),
        ];
        let ntcp2 = address("NTCP2", &pairs).ntcp2().unwrap();
        let (at, iv) = ntcp2.published().unwrap();
        assert_eq!(at, "2.36.209.134:14031".parse().unwrap());
        assert_eq!(base64::encode(&iv), IV);
        assert_eq!(base64::encode(&ntcp2.static_key), KEY);
        assert!(ntcp2.ipv4() && !ntcp2.ipv6());
        assert_eq!(ntcp2.to_address(), address("NTCP2", &pairs));
        assert!(!format!("{ntcp2:?} {:?}", ntcp2.to_address()).contains("209"));
    }

    #[test]
    fn an_unpublished_ntcp2_address_says_what_it_speaks() {
        let ntcp2 = address("NTCP2", &[("caps", "46"), ("s", KEY), ("v", "2")])
            .ntcp2()
            .unwrap();
        assert_eq!(ntcp2.published(), None);
        assert!(ntcp2.ipv4() && ntcp2.ipv6());
        assert_eq!(ntcp2.to_address().ntcp2(), Some(ntcp2.clone()));
        assert_eq!(ntcp2.to_address().cost(), 14);
        let six = address("NTCP2", &[("caps", "6"), ("s", KEY), ("v", "2")])
            .ntcp2()
            .unwrap();
        assert!(six.ipv6() && !six.ipv4());
    }

    #[test]
    fn a_list_of_versions_may_hold_2() {
        let ntcp2 = |v: &str| address("NTCP", &[("s", KEY), ("v", v)]).ntcp2();
        assert!(ntcp2("2,3").is_some());
        assert!(ntcp2("1,2").is_some());
        assert!(ntcp2("3").is_none());
        assert!(ntcp2("22").is_none());
    }

    #[test]
    fn what_cannot_be_used_is_no_ntcp2_address() {
        let high_bit = base64::encode(&[0xff; 32]);
        let good = [
            ("i", IV),
            ("s", KEY),
            ("v", "2"),
            ("host", "1.2.3.4"),
            ("port", "9000"),
        ];
        assert!(address("NTCP2", &good).ntcp2().is_some());
        assert!(address("SSU2", &good).ntcp2().is_none());
        for (key, value) in [
            ("s", high_bit.as_str()),
            ("s", "AAAA"),
            ("s", ""),
            ("i", "AAAA"),
            ("host", "example.org"),
            ("host", "[::1]"),
            ("v", ""),
        ] {
            let pairs = good.map(|pair| if pair.0 == key { (key, value) } else { pair });
            assert!(address("NTCP2", &pairs).ntcp2().is_none(), "{key}={value}");
        }
        for (key, value) in [("port", "0"), ("port", "65536"), ("port", "+80")] {
            let pairs = good.map(|pair| if pair.0 == key { (key, value) } else { pair });
            let ntcp2 = address("NTCP2", &pairs).ntcp2().unwrap();
            assert_eq!(ntcp2.published(), None, "{value}");
        }
        for missing in ["s", "v"] {
            let pairs: Vec<_> = good
                .into_iter()
                .filter(|(key, _)| *key != missing)
                .collect();
            assert!(address("NTCP2", &pairs).ntcp2().is_none(), "{missing}");
        }
    }

    #[test]
    fn a_style_has_a_length_byte() {
        let error = RouterAddress::new(0, &"x".repeat(256), Mapping::default());
        let (actual, limit) = (256, 255);
        assert_eq!(error, Err(EncodeError::TooLong { actual, limit }));
    }
}
