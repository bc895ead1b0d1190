//! What a network is to be made of.

use anyhow::{Result, bail};

use super::config::Role;
use super::{RamsonSpec, ports};
use crate::peers::Peer;

/// i2pd counts a network with fewer floodfills as one to reseed.
const FLOODFILLS: usize = 3;

/// The routers of a network, by kind.
#[derive(Clone, Debug)]
pub struct NetworkSpec {
    /// The kind of routers.
    pub peer: Peer,
    /// Their number, 3 to 15. Below 6 i2pd lacks hops for two-hop tunnels now and then.
    pub routers: usize,
    /// emissary routers beside them, behind them in order; hops, no floodfills.
    pub emissary: usize,
    /// Our own routers beside them; they have no SAM bridge and are counted apart.
    pub ramson: RamsonSpec,
    /// The routers of that kind are ends only: all hops and floodfills are ours, or those of
    /// `between`.
    pub ends: bool,
    /// Routers behind the ends that carry tunnels and speak NTCP2 alone; those of i2pd are
    /// floodfills too. Only where there are ends.
    pub between: Vec<Peer>,
    /// Routers log what is wrong and nothing else, as is fair when they are measured.
    pub quiet: bool,
    /// Each router has a loopback address of its own, but for emissary, which cannot. Always so
    /// with routers of ours.
    pub apart: bool,
    /// Whether [`Network::start`](super::Network::start) returns only after a stream has crossed
    /// the network.
    pub wait_until_ready: bool,
}

impl NetworkSpec {
    /// Describes a network of `routers` routers that is waited for until it carries streams.
    pub fn new(peer: Peer, routers: usize) -> Self {
        Self {
            peer,
            routers,
            emissary: 0,
            ramson: RamsonSpec::default(),
            ends: false,
            between: Vec::new(),
            quiet: false,
            apart: false,
            wait_until_ready: true,
        }
    }

    /// The kind of each router: first those of the network's kind, except that emissary's
    /// floodfills do not answer encrypted look-ups and i2pd takes their place, behind the others.
    pub(super) fn line_up(&self) -> Result<Vec<Peer>> {
        let least = match self.peer {
            _ if self.ends => 2,
            Peer::Emissary => FLOODFILLS + 2,
            _ => FLOODFILLS,
        };
        let between = self.ramson.routers.saturating_add(self.between.len());
        if self.ends && (self.peer == Peer::Old || self.emissary > 0 || between == 0) {
            bail!(
                "ends need routers between them that are asked for as such, and i2pd from 2.51 on"
            );
        }
        if !self.ends && !self.between.is_empty() {
            bail!("only ends have routers between them");
        }
        match self.peer {
            Peer::Old if self.ramson.routers > 0 || self.emissary > 0 || self.apart => {
                bail!("old i2pd routers are among themselves: they do not work on 127.0.0.1");
            }
            Peer::Emissary if self.emissary > 0 => {
                bail!("emissary is the network's kind already; say how many routers");
            }
            _ => {}
        }
        if self.ramson.floodfills > self.ramson.routers {
            bail!(
                "{} of {} ramson routers cannot be floodfills",
                self.ramson.floodfills,
                self.ramson.routers
            );
        }
        let others = between.saturating_add(self.emissary);
        let most = ports::MAX_ROUTERS.saturating_sub(others);
        if most < least {
            bail!(
                "{others} other routers leave no room: a network has {} routers at most",
                ports::MAX_ROUTERS
            );
        }
        if !(least..=most).contains(&self.routers) {
            bail!(
                "a network of {} has {least} to {most} routers, not {}",
                self.peer.name(),
                self.routers
            );
        }
        let mut line_up = vec![self.peer; self.routers];
        if self.peer == Peer::Emissary && !self.ends {
            let floodfills = FLOODFILLS.max(self.routers / 2);
            line_up.splice(self.routers - floodfills.., vec![Peer::Current; floodfills]);
        }
        line_up.extend(vec![Peer::Emissary; self.emissary]);
        line_up.extend(&self.between);
        Ok(line_up)
    }

    /// What router `index` is for.
    pub(super) fn role(&self, index: usize, peer: Peer) -> Role {
        match peer {
            _ if self.ends && index < self.routers => Role::End,
            _ if self.ends => Role::Between,
            // The first and the last, which the check for readiness uses, are not: a floodfill of
            // this age may keep a LeaseSet of its own to itself.
            Peer::Old if !(1..=FLOODFILLS).contains(&index) => Role::Router,
            Peer::Emissary => Role::Router,
            _ => Role::Floodfill,
        }
    }

    pub(super) fn is_apart(&self) -> bool {
        self.apart || self.ends || self.ramson.routers > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed() -> NetworkSpec {
        let mut spec = NetworkSpec::new(Peer::Current, 4);
        spec.emissary = 2;
        spec.ramson = RamsonSpec {
            routers: 3,
            floodfills: 1,
            release: false,
        };
        spec
    }

    #[test]
    fn those_of_the_networks_kind_come_first() {
        let line_up = mixed().line_up().unwrap();
        let expected = [[Peer::Current; 4].as_slice(), &[Peer::Emissary; 2]].concat();
        assert_eq!(line_up, expected);
        assert_eq!(mixed().role(3, Peer::Current), Role::Floodfill);
        assert_eq!(mixed().role(4, Peer::Emissary), Role::Router);

        let line_up = NetworkSpec::new(Peer::Emissary, 6).line_up().unwrap();
        let expected = [[Peer::Emissary; 3], [Peer::Current; 3]].concat();
        assert_eq!(line_up, expected);
    }

    #[test]
    fn networks_that_cannot_work_are_refused_with_the_reason() {
        let refused = |change: fn(&mut NetworkSpec)| {
            let mut spec = mixed();
            change(&mut spec);
            spec.line_up().unwrap_err().to_string()
        };
        let text = refused(|it| it.ramson.floodfills = 4);
        assert!(text.contains("4 of 3 ramson routers"), "{text}");
        let text = refused(|it| it.routers = 2);
        assert!(text.contains("3 to 10 routers, not 2"), "{text}");
        let text = refused(|it| it.emissary = 10);
        assert!(text.contains("13 other routers leave no room"), "{text}");
        let text = refused(|it| it.peer = Peer::Old);
        assert!(text.contains("among themselves"), "{text}");
        let text = refused(|it| it.peer = Peer::Emissary);
        assert!(text.contains("already"), "{text}");
        let text = refused(|it| it.ends = true);
        assert!(text.contains("nothing else between them"), "{text}");
    }
}
