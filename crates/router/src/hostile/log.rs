//! What is said while all that goes on: nobody is named.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use ramson_wire::MessageType;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::stage::{Stage, config};
use crate::config::RouterConfig;

/// The lines that were said at info and above.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Listens to what is said in here.
    pub(super) fn record(&self, doing: impl FnOnce()) {
        tracing::subscriber::with_default(self.clone(), doing);
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn with(&self, words: &str) -> Vec<String> {
        let mut lines = self.all();
        lines.retain(|line| line.contains(words));
        lines
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                let _ = write!(self.0, "{}={value:?} ", field.name());
            }
        }
        let mut line = Line(format!("{} ", event.metadata().level()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// All that makes the router speak: refused handshakes, wrong clocks, dials that fail, peers that
/// end our links, noise.
#[test]
fn nobody_is_named_at_info_and_above() {
    let lines = Lines::default();
    let mut secret: Vec<String> = Vec::new();
    lines.record(|| {
        let mut stage = Stage::new(RouterConfig {
            // Whom we dial sees us come from 10.0.0.1.
            published: Some(([10, 0, 0, 77], 4567).into()),
            ..config()
        });
        stage.ahead_ms = 30_000;
        let mut infos = Vec::new();
        for n in 1..=6 {
            let neighbour = stage.neighbour(&format!("10.{n}.44.1"));
            secret.push(format!("10.{n}.44.1"));
            let hash = stage.hash_of(neighbour);
            let hex: String = hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
            secret.push(hex[..12].to_owned());
            secret.push(format!("{hash:?}"));
            secret.push(format!("{hash}"));
            secret.push(format!("{:?}", &hash.0[..4]).replace(['[', ']'], ""));
            if n <= 3 {
                stage.link(neighbour);
                for _ in 0..300 {
                    let mut body = bytes::BytesMut::zeroed(700);
                    stage.random.fill(&mut body);
                    let [kind] = stage.random.bytes();
                    stage.send(neighbour, MessageType::from_code(kind), body);
                }
            }
            infos.push(stage.info_of(neighbour).clone());
        }
        stage.router.handle.seed(infos);
        for _ in 0..60 {
            stage.run(1000);
        }
        stage.ahead_ms = -7_200_000;
        stage.run(1000);
        stage.router.handle.stop();
        stage.run(1000);
    });
    let all = lines.all();
    // It did speak: of the clock, of the address and of the clock that was set.
    assert!(!lines.with("clock is ahead").is_empty(), "{all:?}");
    assert!(!lines.with("clock was set").is_empty(), "{all:?}");
    assert_eq!(lines.with("ntcp2.published").len(), 1, "{all:?}");
    secret.extend(["10.0.0".to_owned(), "4567".to_owned()]);
    for line in &all {
        for name in &secret {
            assert!(!line.contains(name.as_str()), "{line} names {name}");
        }
    }
}
