//! Look-ups of RouterInfos, one floodfill after another, nearer each time (network database,
//! iterative look-ups), and exploration.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use ramson_proto::Now;
use ramson_wire::i2np::{DatabaseLookup, DatabaseSearchReply, LookupKind, ReplyEncryption};
use ramson_wire::{
    Distance, I2npMessage, Instant, MessageType, RouterHash, RoutingKey, TunnelDelivery, UtcDay,
};
use zeroize::Zeroizing;

use super::{Core, DropReason, Origin};
use crate::asked::{Asked, MAX_ASKED};
use crate::destination::{DestinationId, DestinationMessage, Floodfill};
use crate::inbox::Sender;

/// Look-ups at once.
const MAX_LOOKUPS: usize = 64;
/// How long one floodfill may take, a dial included.
const PATIENCE: Duration = Duration::from_millis(1600);
/// How long a look-up may take.
const DEADLINE: Duration = Duration::from_secs(12);
/// How often something is explored, while few routers are known and later.
const EXPLORE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(120)];
/// Few.
const FEW: usize = 30;

/// How many wait for one look-up at most.
const MAX_WAITING: usize = 16;

/// What came of a look-up that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookupOutcome {
    /// Who was looked for.
    pub router: RouterHash,
    /// The RouterInfo came.
    pub found: bool,
    /// When that was known.
    pub at: Instant,
}

#[derive(Debug)]
struct Lookup {
    kind: LookupKind,
    waiting: Vec<Sender<LookupOutcome>>,
    started: Instant,
    asked: Asked,
    next_at: Instant,
}

/// All look-ups that are under way.
#[derive(Debug)]
pub(super) struct Lookups {
    us: RouterHash,
    lookups: BTreeMap<[u8; 32], Lookup>,
    explore_at: Instant,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    /// Look-ups of others: answered with the entry, and with the names of others.
    pub(super) answered: [u64; 2],
    /// Encrypted ones among them.
    pub(super) answered_encrypted: u64,
}

impl Lookups {
    pub(super) fn new(us: RouterHash) -> Self {
        Self {
            us,
            lookups: BTreeMap::new(),
            explore_at: Instant::ZERO,
            succeeded: 0,
            failed: 0,
            answered: [0; 2],
            answered_encrypted: 0,
        }
    }

    /// Begins to look for a router; says whether it is being looked for.
    pub(super) fn find_router(&mut self, router: RouterHash, now: Now) -> bool {
        router != self.us && self.start(router.0, LookupKind::RouterInfo, now)
    }

    fn start(&mut self, key: [u8; 32], kind: LookupKind, now: Now) -> bool {
        if self.lookups.contains_key(&key) {
            return true;
        }
        if self.lookups.len() >= MAX_LOOKUPS {
            return false;
        }
        let lookup = Lookup {
            kind,
            waiting: Vec::new(),
            started: now.instant,
            asked: Asked::default(),
            next_at: now.instant,
        };
        self.lookups.insert(key, lookup);
        true
    }

    /// A RouterInfo is there.
    pub(super) fn found(&mut self, router: RouterHash, now: Now) {
        if let Some(lookup) = self.lookups.remove(&router.0) {
            self.succeeded += 1;
            lookup.tell(router, true, now);
        }
    }

    /// Begins to look for a router on behalf of somebody, to whom the outcome is posted.
    pub(super) fn find_for(&mut self, router: RouterHash, reply: Sender<LookupOutcome>, now: Now) {
        let started = self.find_router(router, now);
        match self.lookups.get_mut(&router.0) {
            Some(lookup) if started && lookup.waiting.len() < MAX_WAITING => {
                lookup.waiting.push(reply);
            }
            _ => {
                let outcome = LookupOutcome {
                    router,
                    found: false,
                    at: now.instant,
                };
                let _ = reply.post(outcome);
            }
        }
    }
}

impl Lookup {
    /// Whoever has no room for the outcome does not learn it.
    fn tell(self, router: RouterHash, found: bool, now: Now) {
        for reply in self.waiting {
            let _ = reply.post(LookupOutcome {
                router,
                found,
                at: now.instant,
            });
        }
    }
}

impl Core {
    /// Somebody wants a router looked up: now, and not with the next tick.
    pub(super) fn look_up_for(
        &mut self,
        router: RouterHash,
        reply: Sender<LookupOutcome>,
        now: Now,
    ) {
        self.lookups.find_for(router, reply, now);
        let asked = self.lookups.lookups.get(&router.0);
        if asked.is_some_and(|lookup| lookup.asked.len() == 0) {
            self.ask_next(router.0, now);
        }
    }

    /// Tells a Destination the floodfills that are closest to a key.
    pub(super) fn name_floodfills(&mut self, key: [u8; 32], id: DestinationId, now: Now) {
        let us = self.own.hash();
        let links = &self.links;
        let closest = self
            .netdb
            .closest_floodfills(&key, now.unix, 2 * MAX_ASKED, |router| {
                *router == us || links.is_failing(router, now)
            });
        let found = closest.into_iter().filter_map(|router| {
            let info = self.netdb.router(&router)?;
            let encryption_key = info.identity().encryption_key()?;
            Some(Floodfill {
                router,
                encryption_key,
            })
        });
        let found = found.collect();
        self.tunnels
            .tell(id, DestinationMessage::Floodfills { key, found });
    }

    /// Looks for routers that we do not know.
    pub(super) fn find_named(&mut self, routers: &[RouterHash], now: Now) {
        for router in routers {
            if self.netdb.router(router).is_none() {
                self.lookups.find_router(*router, now);
            }
        }
    }

    /// Asks the next floodfill where one is due.
    pub(super) fn look_up(&mut self, now: Now) {
        self.explore(now);
        let due: Vec<[u8; 32]> = self
            .lookups
            .lookups
            .iter()
            .filter(|(_, lookup)| lookup.next_at <= now.instant)
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            self.ask_next(key, now);
        }
    }

    fn ask_next(&mut self, key: [u8; 32], now: Now) {
        let Some(lookup) = self.lookups.lookups.get(&key) else {
            return;
        };
        let late = now.instant.saturating_since(lookup.started) > DEADLINE;
        let asked = &lookup.asked;
        let links = &self.links;
        let us = self.own.hash();
        let nearest = |but: &dyn Fn(&RouterHash) -> bool| {
            let skip = |router: &RouterHash| {
                but(router) || *router == us || router.0 == key || links.is_failing(router, now)
            };
            let found = self.netdb.closest_floodfills(&key, now.unix, 1, skip);
            found.first().copied()
        };
        let new = || nearest(&|router| asked.was_asked(router));
        let next = asked.has_room().then(new).flatten();
        let next = next.or_else(|| nearest(&|router| !asked.again(router)));
        let Some(floodfill) = next.filter(|_| !late) else {
            let explored = lookup.kind == LookupKind::Exploration;
            let ended = self.lookups.lookups.remove(&key);
            if let Some(lookup) = ended
                && !explored
            {
                self.lookups.failed += 1;
                self.links.give_up(RouterHash(key));
                lookup.tell(RouterHash(key), false, now);
            }
            return;
        };
        let question = DatabaseLookup {
            key,
            from: us,
            kind: lookup.kind,
            tunnel: None,
            excluded: asked.routers().copied().collect(),
            encryption: None,
        };
        // A router that is looked for is mostly the next of a tunnel that others wait for: a
        // neighbour is asked, who learns little by it. What we explore is nobody's business.
        let direct = question.kind != LookupKind::Exploration && links.is_linked(&floodfill);
        if let Some(lookup) = self.lookups.lookups.get_mut(&key) {
            lookup.asked.ask(floodfill);
            lookup.next_at = now.instant + PATIENCE;
        }
        if direct || !self.ask_through_tunnels(floodfill, &question, now) {
            self.ask_directly(floodfill, &question, now);
        }
    }

    fn ask_directly(&mut self, floodfill: RouterHash, question: &DatabaseLookup, now: Now) {
        let mut body = BytesMut::new();
        if question.encode(&mut body).is_ok()
            && let Ok(message) = self.message(MessageType::DatabaseLookup, body.freeze(), now)
        {
            self.send_to(floodfill, &message, now);
        }
    }

    /// Asks so that only the floodfill can read it, and nobody knows who asks; says whether there
    /// were tunnels for it.
    fn ask_through_tunnels(
        &mut self,
        floodfill: RouterHash,
        question: &DatabaseLookup,
        now: Now,
    ) -> bool {
        let Some(encryption_key) = self
            .netdb
            .router(&floodfill)
            .and_then(|info| info.identity().encryption_key())
        else {
            return false;
        };
        let (Some(outbound), Some(inbound)) = (self.best_outbound(now), self.best_inbound(now))
        else {
            return false;
        };
        let (gateway, tunnel) = (inbound.gateway, inbound.gateway_tunnel);
        let answer = self.answers.expect(&mut self.random, now.instant);
        let question = DatabaseLookup {
            from: gateway,
            tunnel: Some(tunnel),
            encryption: Some(ReplyEncryption::Ratchet {
                key: Zeroizing::new(answer.key),
                tag: answer.tag,
            }),
            ..question.clone()
        };
        let mut body = BytesMut::new();
        if question.encode(&mut body).is_err() {
            return false;
        }
        let Ok(message) = self.message(MessageType::DatabaseLookup, body.freeze(), now) else {
            return false;
        };
        let delivery = TunnelDelivery::Router(floodfill);
        self.seal_through(outbound, delivery, &encryption_key, &message, now)
    }

    /// A floodfill does not have what we asked for, and names others.
    pub(super) fn search_reply(&mut self, _origin: Origin, message: &I2npMessage, now: Now) {
        let Ok(reply) = DatabaseSearchReply::parse(message.body()) else {
            self.drop(DropReason::Malformed);
            return;
        };
        let Some(lookup) = self.lookups.lookups.get_mut(&reply.key) else {
            self.drop(DropReason::UnexpectedReply);
            return;
        };
        let exploring = lookup.kind == LookupKind::Exploration;
        let target = RoutingKey::new(&reply.key, UtcDay::of(now.unix));
        let asker: Option<Distance> = lookup
            .asked
            .was_asked(&reply.from)
            .then(|| target.distance(&reply.from));
        let first = lookup.asked.answered(reply.from);
        let mut unknown = Vec::new();
        for peer in reply.peers.iter().take(16) {
            // Only those that are nearer than who names them, or anybody while exploring.
            let nearer = asker
                .as_ref()
                .is_some_and(|asker| target.distance(peer) < *asker);
            if (exploring || nearer) && self.netdb.router(peer).is_none() {
                unknown.push(*peer);
            }
        }
        if exploring {
            self.lookups.lookups.remove(&reply.key);
        }
        for peer in unknown.into_iter().take(3) {
            if peer.0 != reply.key {
                self.lookups.find_router(peer, now);
            }
        }
        if first && !exploring {
            self.ask_next(reply.key, now);
        }
    }

    /// Asks for routers near a random key.
    fn explore(&mut self, now: Now) {
        if self.lookups.explore_at > now.instant || self.netdb.floodfill_count() == 0 {
            return;
        }
        let few = self.netdb.router_count() < FEW;
        let [soon, later] = EXPLORE;
        self.lookups.explore_at = now.instant + if few { soon } else { later };
        let key = self.random.bytes();
        self.lookups.start(key, LookupKind::Exploration, now);
    }
}

#[cfg(test)]
impl Lookups {
    pub(super) fn check_bounds(&self) {
        assert!(self.lookups.len() <= MAX_LOOKUPS);
        for lookup in self.lookups.values() {
            assert!(lookup.asked.len() <= MAX_ASKED && lookup.waiting.len() <= MAX_WAITING);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ramson_crypto::Random;

    use super::*;
    use crate::core::RouterKeys;
    use crate::router::Router;
    use crate::testing::{at, config, router_info};

    /// A router that knows these floodfills, and looks for somebody unknown.
    fn looking(floodfills: u8) -> (Core, [u8; 32]) {
        let mut random = Random::from_seed([7; 32]);
        let keys = RouterKeys::generate(&mut random);
        let router = Router::new(config(4000), keys, 1, at(0), random);
        let mut core = router.unwrap().core;
        for seed in 1..=floodfills {
            core.netdb
                .seed_router(router_info(seed, true, at(0)), at(0));
        }
        let wanted = [0x77; 32];
        assert!(core.lookups.find_router(RouterHash(wanted), at(1000)));
        core.ask_next(wanted, at(1000));
        (core, wanted)
    }

    fn asked(core: &Core, key: &[u8; 32]) -> Option<Asked> {
        core.lookups.lookups.get(key).map(|it| it.asked.clone())
    }

    #[test]
    fn who_is_silent_is_asked_once_more_when_there_is_no_other() {
        let (mut core, key) = looking(2);
        for (millis, again) in [(2700, 2), (4400, 1), (6100, 0)] {
            core.look_up(at(millis));
            let asked = asked(&core, &key).unwrap();
            assert_eq!(asked.len(), 2);
            let again_now = asked.routers().filter(|it| asked.again(it)).count();
            assert_eq!(again_now, again, "after {millis} ms");
        }
        core.look_up(at(7800));
        assert!(!core.lookups.lookups.contains_key(&key));
        assert_eq!(core.lookups.failed, 1);
    }

    #[test]
    fn the_next_is_asked_as_soon_as_one_does_not_know() {
        let (mut core, key) = looking(12);
        let mut answered = BTreeSet::new();
        for count in 1..MAX_ASKED {
            let asked = asked(&core, &key).unwrap();
            assert_eq!(asked.len(), count);
            let mut routers = asked.routers().copied();
            let from = routers.find(|it| !answered.contains(it)).unwrap();
            answered.insert(from);
            for _ in 0..2 {
                // The second time it tells nothing.
                answer(&mut core, key, from);
            }
            // Nor does somebody who was not asked.
            answer(&mut core, key, RouterHash([9; 32]));
        }
        let asked = asked(&core, &key).unwrap();
        let mut last = asked.routers().filter(|it| !answered.contains(*it));
        let last = *last.next().unwrap();
        answer(&mut core, key, last);
        assert!(!core.lookups.lookups.contains_key(&key));
    }

    fn answer(core: &mut Core, key: [u8; 32], from: RouterHash) {
        let reply = DatabaseSearchReply {
            key,
            peers: Vec::new(),
            from,
        };
        let mut body = BytesMut::new();
        reply.encode(&mut body).unwrap();
        let kind = MessageType::DatabaseSearchReply;
        let message = core.message(kind, body.freeze(), at(1100)).unwrap();
        core.search_reply(Origin::Peer(from), &message, at(1100));
    }
}
