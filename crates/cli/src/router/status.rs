//! What `ramson router status` tells.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ramson::router::{HandshakeFailure, RelayCounters, RouterReport};
use serde::{Deserialize, Serialize};

use crate::output::{human_bytes, human_time};

/// A router in numbers. Nobody is named.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // The names say it, and docs/router.md does at length.
pub struct RouterNumbers {
    pub version: String,
    pub network_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    pub published: bool,
    pub uptime_s: u64,
    pub clock_offset_ms: i64,
    pub ready: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    pub draining: bool,

    pub links: usize,
    pub dials: u64,
    pub dials_failed: u64,
    /// Links that came about with routers that we dialled, and with those that dialled us.
    pub handshakes_dialled: u64,
    pub handshakes_accepted: u64,
    /// Those that did not, by reason.
    pub handshakes_dialled_failed: BTreeMap<String, u64>,
    pub handshakes_accepted_failed: BTreeMap<String, u64>,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    pub received_bytes_per_s: u64,
    pub sent_bytes_per_s: u64,

    pub routers: usize,
    pub floodfills: usize,
    pub lease_sets: usize,
    pub lookups_found: u64,
    pub lookups_not_found: u64,
    pub lookups_encrypted: u64,

    pub exploratory_inbound: usize,
    pub exploratory_outbound: usize,
    pub builds: u64,
    pub builds_failed: u64,
    /// How long it took until the first tunnel of its own stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_tunnel_ms: Option<u64>,

    pub transit_tunnels: usize,
    pub transit_as_gateway: u64,
    pub transit_as_participant: u64,
    pub transit_as_endpoint: u64,
    pub transit_long_records: u64,
    pub transit_refused: u64,
    /// Messages carried, by role.
    pub carried_as_gateway: u64,
    pub carried_as_participant: u64,
    pub carried_as_endpoint: u64,
    pub transit_bytes: u64,
    pub transit_bytes_per_s: u64,

    /// What came to nothing, by reason.
    pub drops: BTreeMap<String, u64>,
}

/// Bytes so far: received, sent, carried for others.
pub(super) type Totals = [u64; 3];

impl RouterNumbers {
    /// Counts a report together. What never changes is left out, and so are rates.
    pub(super) fn of(report: &RouterReport) -> Self {
        let status = &report.status;
        let [gateway, participant, endpoint] = status.transit_accepted;
        let [inbound, outbound] = status.exploratory;
        let [builds, builds_failed] = status.builds;
        let [lookups_found, lookups_not_found] = status.lookups_answered;
        let mut drops = BTreeMap::new();
        for (reason, count) in &status.drops {
            drops.insert(snake_case(&format!("{reason:?}")), *count);
        }
        let mut transit_bytes = 0_u64;
        let mut carried = [0_u64; 3];
        for relay in &report.relays {
            transit_bytes = transit_bytes.saturating_add(relay.transit_bytes);
            let by_role = [relay.gateway, relay.participant, relay.endpoint];
            for (sum, messages) in carried.iter_mut().zip(by_role) {
                *sum = sum.saturating_add(messages);
            }
            for (reason, count) in relay_drops(relay) {
                if count > 0 {
                    *drops.entry(format!("tunnel_{reason}")).or_default() += count;
                }
            }
        }
        let [
            carried_as_gateway,
            carried_as_participant,
            carried_as_endpoint,
        ] = carried;
        let handshakes = &status.handshakes;
        let waiting_for = waiting_for(report);
        Self {
            uptime_s: report.uptime.as_secs(),
            clock_offset_ms: report.clock_offset_ms,
            ready: waiting_for.is_none(),
            waiting_for,
            draining: status.draining,
            links: status.links,
            dials: status.dials,
            dials_failed: status.dials_failed,
            handshakes_dialled: handshakes.dialled,
            handshakes_accepted: handshakes.accepted,
            handshakes_dialled_failed: by_name(&handshakes.dialled_failed),
            handshakes_accepted_failed: by_name(&handshakes.accepted_failed),
            received_bytes: report.received_bytes,
            sent_bytes: report.sent_bytes,
            routers: status.routers,
            floodfills: status.floodfills,
            lease_sets: status.lease_sets,
            lookups_found,
            lookups_not_found,
            lookups_encrypted: status.lookups_encrypted,
            exploratory_inbound: inbound,
            exploratory_outbound: outbound,
            builds,
            builds_failed,
            first_tunnel_ms: status.first_tunnel_after.map(millis),
            transit_tunnels: status.transit_tunnels,
            transit_as_gateway: gateway,
            transit_as_participant: participant,
            transit_as_endpoint: endpoint,
            transit_long_records: status.transit_long_records,
            transit_refused: status.transit_refused,
            carried_as_gateway,
            carried_as_participant,
            carried_as_endpoint,
            transit_bytes,
            drops,
            ..Self::default()
        }
    }

    pub(super) fn totals(&self) -> Totals {
        [self.received_bytes, self.sent_bytes, self.transit_bytes]
    }

    /// How many of a hundred builds succeeded.
    fn build_success(&self) -> Option<u64> {
        let all = self.builds.saturating_add(self.builds_failed);
        self.builds.saturating_mul(100).checked_div(all)
    }
}

/// The first thing that is missing for a router that is of use.
fn waiting_for(report: &RouterReport) -> Option<String> {
    let status = &report.status;
    let [inbound, outbound] = status.exploratory;
    let [builds, failed] = status.builds;
    let why = if status.routers == 0 {
        "no other router is known: give it a seed".to_owned()
    } else if status.floodfills == 0 {
        "no floodfill is known".to_owned()
    } else if status.links == 0 {
        format!(
            "no link with another router ({} dials, {} failed)",
            status.dials, status.dials_failed
        )
    } else if inbound == 0 || outbound == 0 {
        let missing = if inbound == 0 { "inbound" } else { "outbound" };
        format!("no {missing} tunnel of its own ({builds} built, {failed} failed)")
    } else {
        return None;
    };
    Some(why)
}

fn relay_drops(relay: &RelayCounters) -> [(&'static str, u64); 7] {
    [
        ("unknown", relay.dropped_unknown),
        ("wrong_router", relay.dropped_wrong_router),
        ("malformed", relay.dropped_malformed),
        ("duplicate", relay.dropped_duplicate),
        ("full", relay.dropped_full),
        ("rate", relay.dropped_rate),
        ("expired", relay.dropped_expired),
    ]
}

fn by_name(failures: &BTreeMap<HandshakeFailure, u64>) -> BTreeMap<String, u64> {
    let named =
        |(reason, count): (&HandshakeFailure, &u64)| (snake_case(&format!("{reason:?}")), *count);
    failures.iter().map(named).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `QueueFull` as `queue_full`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

impl fmt::Display for RouterNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (&self.waiting_for, self.draining) {
            (_, true) => "draining",
            (None, false) => "ready",
            (Some(_), false) => "not ready",
        };
        writeln!(
            f,
            "router      {} of network {}, {state}, up {}",
            self.version,
            self.network_id,
            human_time(self.uptime_s)
        )?;
        if let Some(why) = &self.waiting_for {
            writeln!(f, "waiting for {why}")?;
        }
        let published = if self.published {
            ""
        } else {
            ", not published"
        };
        let listen = self.listen.as_deref().unwrap_or("nowhere");
        writeln!(f, "listening   {listen}{published}")?;
        if self.clock_offset_ms != 0 {
            writeln!(f, "clock       corrected by {} ms", self.clock_offset_ms)?;
        }
        writeln!(
            f,
            "links       {} up; {} dials, {} failed",
            self.links, self.dials, self.dials_failed
        )?;
        writeln!(
            f,
            "handshakes  {} as the one who dials, {} as the one who is dialled",
            self.handshakes_dialled, self.handshakes_accepted
        )?;
        for (way, failures) in [
            ("dialling", &self.handshakes_dialled_failed),
            ("dialled", &self.handshakes_accepted_failed),
        ] {
            for (reason, count) in failures {
                writeln!(
                    f,
                    "  failed    {count:>8} {way}: {}",
                    reason.replace('_', " ")
                )?;
            }
        }
        writeln!(
            f,
            "bytes       {} received ({}/s), {} sent ({}/s)",
            human_bytes(self.received_bytes),
            human_bytes(self.received_bytes_per_s),
            human_bytes(self.sent_bytes),
            human_bytes(self.sent_bytes_per_s)
        )?;
        writeln!(
            f,
            "netDb       {} routers, {} of them floodfills; {} LeaseSets",
            self.routers, self.floodfills, self.lease_sets
        )?;
        let answered = self.lookups_found.saturating_add(self.lookups_not_found);
        if answered > 0 {
            writeln!(
                f,
                "  answered  {answered} look-ups, {} of them encrypted; {} found",
                self.lookups_encrypted, self.lookups_found
            )?;
        }
        write!(
            f,
            "own tunnels {} inbound, {} outbound; {} built, {} failed",
            self.exploratory_inbound, self.exploratory_outbound, self.builds, self.builds_failed
        )?;
        match self.build_success() {
            Some(percent) => writeln!(f, " ({percent} % succeed)")?,
            None => writeln!(f)?,
        }
        writeln!(
            f,
            "transit     {} tunnels, {} carried ({}/s)",
            self.transit_tunnels,
            human_bytes(self.transit_bytes),
            human_bytes(self.transit_bytes_per_s)
        )?;
        write!(
            f,
            "  accepted  {} as gateway, {} as participant, {} as endpoint; {} refused",
            self.transit_as_gateway,
            self.transit_as_participant,
            self.transit_as_endpoint,
            self.transit_refused
        )?;
        for (reason, count) in &self.drops {
            write!(f, "\ndropped     {count:>8} {}", reason.replace('_', " "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_in_order() {
        let mut report = RouterReport {
            status: Default::default(),
            relays: vec![RelayCounters::default(); 2],
            received_bytes: 5,
            sent_bytes: 6,
            uptime: std::time::Duration::from_secs(61),
            clock_offset_ms: 0,
        };
        let why = |report: &RouterReport| RouterNumbers::of(report).waiting_for.unwrap_or_default();
        assert!(why(&report).contains("no other router"));
        report.status.routers = 5;
        assert!(why(&report).contains("no floodfill"));
        report.status.floodfills = 1;
        report.status.dials = 3;
        assert!(why(&report).contains("no link with another router (3 dials, 0 failed)"));
        report.status.links = 1;
        assert!(why(&report).contains("no inbound tunnel"));
        report.status.exploratory = [1, 0];
        report.status.builds = [1, 4];
        assert!(why(&report).contains("no outbound tunnel of its own (1 built, 4 failed)"));
        report.status.exploratory = [1, 1];
        report.relays[0].dropped_full = 1;
        report.relays[1].dropped_full = 2;
        report.status.lookups_answered = [3, 4];
        report.status.lookups_encrypted = 5;
        let numbers = RouterNumbers::of(&report);
        assert!(numbers.ready && numbers.waiting_for.is_none());
        assert_eq!(
            numbers.drops,
            BTreeMap::from([("tunnel_full".to_owned(), 3)])
        );
        let text = numbers.to_string();
        assert!(text.contains("1 built, 4 failed (20 % succeed)"), "{text}");
        assert!(text.contains("dropped            3 tunnel full"), "{text}");
        let lookups = "answered  7 look-ups, 5 of them encrypted; 3 found";
        assert!(text.contains(lookups), "{text}");
    }

    #[test]
    fn reasons_are_words_of_json() {
        assert_eq!(snake_case("QueueFull"), "queue_full");
        assert_eq!(snake_case("NotFloodfill"), "not_floodfill");
    }
}
