//! Configuration files of routers in a closed network.

use std::net::{IpAddr, SocketAddr};

use super::ports::RouterPorts;

/// An address that refuses at once and never leaves this machine. i2pd falls back to its own list
/// of reseed hosts when it is given none.
const NOWHERE: &str = "https://127.0.0.1:1/";

/// What an i2pd is for in its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Floodfill and hop.
    Floodfill,
    /// A hop.
    Router,
    /// Neither: it has Destinations and nothing else.
    End,
    /// Floodfill and hop, with no other transport than NTCP2.
    Between,
}

/// Returns the `i2pd.conf` of a router at `address`, without options it does not know.
///
/// The address book stays on, because without it STREAM CONNECT crashes i2pd 2.45; its
/// subscriptions point at a name that cannot exist.
///
/// Its SAM bridge listens at `sam_address`. One that is an end carries nothing for others and has
/// no other transport than NTCP2. A `quiet` one logs what is wrong and nothing else.
pub(super) fn i2pd(
    (address, sam_address): (IpAddr, IpAddr),
    ports: RouterPorts,
    role: Role,
    quiet: bool,
    knows: impl Fn(&str) -> bool,
) -> String {
    let floodfill = matches!(role, Role::Floodfill | Role::Between);
    let end = role == Role::End;
    let ssu2 = matches!(role, Role::Floodfill | Role::Router);
    let level = if quiet { "warn" } else { "info" };
    let RouterPorts {
        network_id,
        transport,
        sam_udp,
        sam,
    } = ports;
    let mut text = format!(
        "netid = {network_id}
host = {address}
address4 = {address}
port = {transport}
ipv4 = true
ipv6 = false
nat = false
reservedrange = false
floodfill = {floodfill}
notransit = {end}
bandwidth = X
share = 100
log = file
loglevel = {level}

[ntcp2]
enabled = true
published = true
port = {transport}

[ssu2]
enabled = {ssu2}
published = {ssu2}
port = {transport}

[sam]
enabled = true
address = {sam_address}
port = {sam}
"
    );
    if knows("sam.portudp") {
        text += &format!("portudp = {sam_udp}\n");
    }
    text += &format!(
        "
[reseed]
urls = {NOWHERE}
yggurls =
threshold = 0

[addressbook]
enabled = true
defaulturl = http://nowhere.invalid/hosts.txt
subscriptions = http://nowhere.invalid/hosts.txt

[nettime]
enabled = false

[upnp]
enabled = false

[http]
enabled = false

[httpproxy]
enabled = false

[socksproxy]
enabled = false
"
    );
    // The Destination behind i2pd's own lookups, which nothing here uses: keep it cheap.
    if knows("shareddest.inbound.length") {
        text += "
[shareddest]
inbound.length = 1
outbound.length = 1
inbound.quantity = 1
outbound.quantity = 1
";
    }
    text
}

/// Returns the `router.toml` of an emissary at `address`, whose SAM bridge listens at `sam_address`.
///
/// It takes the lack of a table for the lack of the service. The empty address book reads its
/// files and downloads nothing. One that is an end takes no part in tunnels of others; it and one
/// that is `quiet`, since it is measured, have no other transport than NTCP2.
pub(super) fn emissary(
    (address, sam_address): (IpAddr, IpAddr),
    ports: RouterPorts,
    role: Role,
    quiet: bool,
) -> String {
    let RouterPorts {
        network_id,
        transport,
        sam_udp,
        sam,
    } = ports;
    let end = role == Role::End;
    let level = if quiet {
        "log = \"emissary=warn\"\n"
    } else {
        ""
    };
    let tunnels = if quiet { 20_000 } else { 1000 };
    let transit = match end {
        true => String::new(),
        false => format!("[transit]\nmax_tunnels = {tunnels}\n\n"),
    };
    let ssu2 = match end || quiet {
        true => String::new(),
        false => format!(
            "
[ssu2]
port = {transport}
ipv4 = true
ipv4_host = \"{address}\"
ipv6 = false
publish = true
"
        ),
    };
    format!(
        "net_id = {network_id}
allow_local = true
insecure_tunnels = true
floodfill = false
{level}
[address-book]

[bandwidth]
bandwidth = 10000000
share_ratio = 0.9

{transit}[ntcp2]
port = {transport}
ipv4 = true
ipv4_host = \"{address}\"
ipv6 = false
publish = true
{ssu2}
[sam]
host = \"{sam_address}\"
tcp_port = {sam}
udp_port = {sam_udp}
"
    )
}

/// Returns the `router.toml` of one of our own routers.
///
/// One that is only measured is `quiet`, and takes more transit tunnels than it will be asked for.
pub(super) fn ramson(address: SocketAddr, network_id: u8, floodfill: bool, quiet: bool) -> String {
    let (level, transit) = match quiet {
        true => ("warn", "\n[transit]\ntunnels = 20000\n"),
        false => ("debug", ""),
    };
    format!(
        "data = \"data\"
seed = \"seed\"
network_id = {network_id}
floodfill = {floodfill}
allow_local = true
allow_same_network = true
log = \"{level}\"
bandwidth_kb_per_s = 100000
threads = 1

[ntcp2]
listen = \"{address}\"
published = \"{address}\"
{transit}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: RouterPorts = RouterPorts {
        network_id: 77,
        transport: 20_001,
        sam_udp: 20_002,
        sam: 20_003,
    };

    fn value<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
        let mut current = "";
        for line in text.lines() {
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                current = name;
            } else if let Some((name, value)) = line.split_once('=')
                && current == section
                && name.trim() == key
            {
                return Some(value.trim());
            }
        }
        None
    }

    #[test]
    fn an_i2pd_router_looks_nowhere_but_at_its_network() {
        let text = i2pd(
            ([127, 0, 0, 1].into(), [127, 0, 0, 1].into()),
            PORTS,
            Role::Floodfill,
            false,
            |_| true,
        );
        assert_eq!(value(&text, "", "netid"), Some("77"));
        assert_eq!(value(&text, "", "reservedrange"), Some("false"));
        assert_eq!(value(&text, "reseed", "urls"), Some("https://127.0.0.1:1/"));
        assert_eq!(value(&text, "reseed", "yggurls"), Some(""));
        for service in ["nettime", "upnp", "http", "httpproxy", "socksproxy"] {
            assert_eq!(value(&text, service, "enabled"), Some("false"), "{service}");
        }
        for (section, key) in [
            ("addressbook", "defaulturl"),
            ("addressbook", "subscriptions"),
        ] {
            assert!(value(&text, section, key).unwrap().contains(".invalid/"));
        }
        assert_eq!(value(&text, "sam", "portudp"), Some("20002"));
    }

    #[test]
    fn options_an_old_router_would_refuse_are_left_out() {
        let text = i2pd(
            ([198, 18, 1, 1].into(), [198, 18, 1, 1].into()),
            PORTS,
            Role::Floodfill,
            false,
            |_| false,
        );
        assert_eq!(value(&text, "sam", "portudp"), None);
        assert!(!text.contains("[shareddest]"));
        assert_eq!(value(&text, "", "address4"), Some("198.18.1.1"));
    }

    #[test]
    fn what_is_measured_is_quiet_and_speaks_ntcp2_alone() {
        let address = [127, 0, 0, 1].into();
        let text = i2pd((address, address), PORTS, Role::Between, true, |_| true);
        assert_eq!(value(&text, "", "loglevel"), Some("warn"));
        assert_eq!(value(&text, "", "floodfill"), Some("true"));
        assert_eq!(value(&text, "", "notransit"), Some("false"));
        assert_eq!(value(&text, "ssu2", "enabled"), Some("false"));
        let text = emissary((address, address), PORTS, Role::Between, true);
        assert_eq!(value(&text, "", "log"), Some("\"emissary=warn\""));
        assert!(!text.contains("ssu2"));
        let text = ramson(([127, 0, 0, 1], 20_001).into(), 77, true, true);
        assert_eq!(value(&text, "", "log"), Some("\"warn\""));
        assert_eq!(value(&text, "transit", "tunnels"), Some("20000"));
    }

    #[test]
    fn an_emissary_has_no_service_that_looks_outside() {
        let address = [127, 0, 0, 1].into();
        let end = emissary((address, address), PORTS, Role::End, false);
        assert_eq!(value(&end, "ntcp2", "port"), Some("20001"));
        assert!(!end.contains("ssu2") && !end.contains("transit"));
        let text = emissary((address, address), PORTS, Role::Router, false);
        assert_eq!(value(&text, "", "net_id"), Some("77"));
        assert_eq!(value(&text, "", "allow_local"), Some("true"));
        assert_eq!(value(&text, "ssu2", "publish"), Some("true"));
        for service in [
            "reseed",
            "port-forwarding",
            "http-proxy",
            "socks-proxy",
            "metrics",
        ] {
            assert!(!text.contains(service), "{service}");
        }
        assert_eq!(value(&text, "address-book", "default"), None);
    }
}
