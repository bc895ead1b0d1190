use std::time::Duration;

use ramson_sam::Request;

/// What a program says to a bridge, without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// The TCP connection, before anything is said on it.
    Open,
    /// `HELLO VERSION`
    Hello,
    /// `SESSION CREATE`
    SessionCreate,
    /// `SESSION ADD`
    SessionAdd,
    /// `SESSION REMOVE`
    SessionRemove,
    /// `STREAM CONNECT`
    StreamConnect,
    /// `STREAM ACCEPT`
    StreamAccept,
    /// `STREAM FORWARD`
    StreamForward,
    /// `NAMING LOOKUP`
    NamingLookup,
    /// `DEST GENERATE`
    DestGenerate,
    /// `PING`
    Ping,
    /// `PONG` that no PING of the bridge's own asked for.
    Pong,
    /// Any other line.
    Other,
}

impl Verb {
    pub(super) fn of(request: &Request) -> Self {
        match request {
            Request::Hello { .. } => Self::Hello,
            Request::SessionCreate { .. } => Self::SessionCreate,
            Request::SessionAdd { .. } => Self::SessionAdd,
            Request::SessionRemove { .. } => Self::SessionRemove,
            Request::StreamConnect { .. } => Self::StreamConnect,
            Request::StreamAccept { .. } => Self::StreamAccept,
            Request::StreamForward { .. } => Self::StreamForward,
            Request::NamingLookup { .. } => Self::NamingLookup,
            Request::DestGenerate { .. } => Self::DestGenerate,
            Request::Ping(_) => Self::Ping,
            Request::Pong(_) => Self::Pong,
            _ => Self::Other,
        }
    }
}

/// What a bridge does in place of the usual when a program says something.
///
/// Made by [`on`]. The steps are done in the order in which they were named. Unless one of them
/// stands for the answer ([`Self::reply`], [`Self::garbage`], [`Self::silence`], [`Self::close`],
/// [`Self::reset`]), the usual answer follows the last.
#[derive(Clone, Debug)]
#[must_use = "a rule does nothing until ScriptedBridge::add"]
pub struct Rule {
    verb: Verb,
    /// The first time it counts, from 1, and the last.
    first: u32,
    last: u32,
    containing: Option<String>,
    steps: Vec<Step>,
    met: u32,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Delay(Duration),
    /// A line besides the answer.
    Say(String),
    /// A line as the answer.
    Reply(String),
    Garbage(Vec<u8>),
    /// The program's next line must begin with this.
    Expect(String),
    Silence,
    Close,
    Reset,
}

/// Begins a rule for what happens at `verb`: each time, unless told otherwise.
pub fn on(verb: Verb) -> Rule {
    Rule {
        verb,
        first: 1,
        last: u32::MAX,
        containing: None,
        steps: Vec::new(),
        met: 0,
    }
}

impl Rule {
    /// Only the `n`th time from now, counted from 1 over all connections.
    pub fn nth(mut self, n: u32) -> Self {
        (self.first, self.last) = (n, n);
        self
    }

    /// Only the first `n` times from now.
    pub fn times(mut self, n: u32) -> Self {
        self.last = n;
        self
    }

    /// Only where the line contains `text`.
    pub fn containing(mut self, text: impl Into<String>) -> Self {
        self.containing = Some(text.into());
        self
    }

    /// Waits.
    pub fn delay(self, time: Duration) -> Self {
        self.then(Step::Delay(time))
    }

    /// Says a line besides the answer.
    pub fn say(self, line: impl Into<String>) -> Self {
        self.then(Step::Say(line.into()))
    }

    /// Answers by this line, without its newline.
    ///
    /// An OK to SESSION CREATE makes no session, one to STREAM CONNECT no stream.
    pub fn reply(self, line: impl Into<String>) -> Self {
        self.then(Step::Reply(line.into()))
    }

    /// Answers by these bytes.
    pub fn garbage(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Step::Garbage(bytes.into()))
    }

    /// Waits for the program's next line, and closes the connection unless it begins with `text`.
    pub fn expect(self, text: impl Into<String>) -> Self {
        self.then(Step::Expect(text.into()))
    }

    /// Says nothing any more on this connection until the program closes it.
    pub fn silence(self) -> Self {
        self.then(Step::Silence)
    }

    /// Closes the connection.
    pub fn close(self) -> Self {
        self.then(Step::Close)
    }

    /// Resets the connection, so that the program gets an error instead of an end.
    pub fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The steps, if this rule is for this line; counts it.
    pub(super) fn meet(&mut self, verb: Verb, line: &str) -> Option<Vec<Step>> {
        let fits = self
            .containing
            .as_ref()
            .is_none_or(|text| line.contains(text));
        if self.verb != verb || !fits {
            return None;
        }
        self.met = self.met.saturating_add(1);
        (self.first..=self.last)
            .contains(&self.met)
            .then(|| self.steps.clone())
    }
}
