use std::{collections::BTreeSet, fmt, fmt::Write as _};

use thiserror::Error;
use zeroize::Zeroize;

/// The longest line a machine takes when it is not told otherwise, in bytes without the newline.
pub const DEFAULT_LINE_LIMIT: usize = 64 * 1024;

/// The longest datagram payload, in bytes (samv3, V3 Datagram MTU Considerations).
pub const PAYLOAD_LIMIT: usize = 64 * 1024;

/// One line taken apart: `WORD WORD KEY=VALUE KEY="VALUE" ...`
/// (samv3, Encoding and Escaping).
///
/// Values are wiped when the line is dropped, for some are private keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// The words before the first `KEY=VALUE`.
    pub words: Vec<String>,
    /// The `KEY=VALUE` pairs in their order, values without quotes and escapes.
    pub pairs: Vec<(String, String)>,
    /// The words behind the first `KEY=VALUE`; yosemite's numbers, or a key without a value.
    pub bare: Vec<String>,
    /// Of PING and PONG, what stands behind the word and one space, as it came; else empty.
    pub text: String,
}

impl Line {
    /// Takes a request apart, as a bridge must.
    ///
    /// A quote opens and closes anywhere in a value; inside and outside of quotes `\"` and `\\` are escapes
    /// and any other backslash is itself.
    ///
    /// # Errors
    ///
    /// Each [`LineError`] that can lie in a single line.
    pub fn parse_request(text: &str) -> Result<Line, LineError> {
        Line::parse(text, true)
    }

    /// Takes a reply apart, as a client must.
    ///
    /// Nothing is refused but an empty line and NUL: of a key given twice the first counts for
    /// [`Line::get`], an open quote is a character, escapes exist in quotes only. i2pd writes MESSAGE
    /// without quotes, so there the value goes on until a key that replies have.
    ///
    /// # Errors
    ///
    /// [`LineError::Empty`] and [`LineError::Nul`].
    pub fn parse_reply(text: &str) -> Result<Line, LineError> {
        Line::parse(text, false)
    }

    fn parse(text: &str, strict: bool) -> Result<Line, LineError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.contains('\0') {
            return Err(LineError::Nul);
        }
        let mut line = Line::default();
        let mut rest = text.trim_start_matches(is_space);
        if rest.is_empty() {
            return Err(LineError::Empty);
        }
        let first = rest.split(is_space).next().unwrap_or_default();
        if first.eq_ignore_ascii_case("PING") || first.eq_ignore_ascii_case("PONG") {
            let tail = rest.get(first.len()..).unwrap_or_default();
            line.words.push(first.to_owned());
            line.text = tail.get(1..).unwrap_or_default().to_owned();
            return Ok(line);
        }
        let mut seen = BTreeSet::new();
        let mut unclosed = false;
        while !rest.is_empty() {
            let (word, tail) = split_where(rest, |c| is_space(c) || c == '=');
            rest = if let Some(value) = tail.strip_prefix('=').filter(|_| !word.is_empty()) {
                if strict && !seen.insert(word) {
                    return Err(LineError::DuplicateKey {
                        key: word.to_owned(),
                    });
                }
                let (value, tail) = if strict {
                    strict_value(value)?
                } else {
                    reply_value(word, value, &mut unclosed)
                };
                line.pairs.push((word.to_owned(), value));
                tail
            } else if tail.starts_with('=') && strict {
                return Err(LineError::EmptyKey);
            } else {
                let (word, tail) = if strict {
                    strict_value(rest)?
                } else {
                    plain(split_where(rest, is_space))
                };
                if line.pairs.is_empty() {
                    &mut line.words
                } else {
                    &mut line.bare
                }
                .push(word);
                tail
            };
            rest = rest.trim_start_matches(is_space);
        }
        Ok(line)
    }

    /// Returns the value of `key`, the first if it came twice.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value.as_str())
    }

    /// Tells whether the line starts with these two words, in any case.
    pub fn is(&self, command: &str, subcommand: &str) -> bool {
        matches!(&*self.words, [a, b, ..]
            if a.eq_ignore_ascii_case(command) && b.eq_ignore_ascii_case(subcommand))
    }

    /// Tells whether `word` stands alone behind the two command words.
    pub fn has_word(&self, word: &str) -> bool {
        self.words
            .iter()
            .skip(2)
            .chain(&self.bare)
            .any(|w| w == word)
    }
}

/// Shows the words and keys, not the values.
impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.pairs.iter().map(|(key, _)| key).collect();
        f.debug_struct("Line")
            .field("words", &self.words)
            .field("keys", &keys)
            .finish()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.pairs.iter_mut().for_each(|(_, value)| value.zeroize());
    }
}

/// Why bytes are no line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LineError {
    /// No newline within the limit.
    #[error("line of more than {limit} bytes")]
    TooLong {
        /// The most bytes a line may have.
        limit: usize,
    },
    /// Bytes that are not UTF-8.
    #[error("line is not UTF-8")]
    NotUtf8,
    /// A quote that nothing closes.
    #[error("quote without an end")]
    OpenQuote,
    /// The same key twice.
    #[error("key {key} given twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A `=` with nothing before it.
    #[error("value without a key")]
    EmptyKey,
    /// Nothing but white space.
    #[error("empty line")]
    Empty,
    /// A NUL character.
    #[error("NUL in a line")]
    Nul,
}

/// Splits a byte stream into lines and payloads.
///
/// Each byte is looked at once for its newline, whatever pieces it comes in. What has been read is wiped.
#[derive(Clone)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Where what is not yet taken begins.
    start: usize,
    /// Before this index there is no newline since `start`.
    scanned: usize,
    limit: usize,
}

impl LineBuffer {
    /// Creates an empty buffer for lines of up to `limit` bytes, the newline not counted.
    pub fn new(limit: usize) -> Self {
        LineBuffer {
            bytes: Vec::new(),
            start: 0,
            scanned: 0,
            limit,
        }
    }

    /// Adds bytes behind those there are.
    pub fn push(&mut self, bytes: &[u8]) {
        // Moves what is left to the front only when that is less than what has been taken: O(n) over all.
        if self.start > self.bytes.len() / 2 {
            let left = self.bytes.len() - self.start;
            self.bytes.copy_within(self.start.., 0);
            if let Some(old) = self.bytes.get_mut(left..) {
                old.zeroize();
            }
            self.bytes.truncate(left);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next line, without its LF or CR LF.
    ///
    /// # Errors
    ///
    /// [`LineError::NotUtf8`], the line being gone then, and [`LineError::TooLong`], which stays.
    pub fn next_line(&mut self) -> Result<Option<String>, LineError> {
        let unscanned = self.bytes.get(self.scanned..).unwrap_or_default();
        match unscanned.iter().position(|b| *b == b'\n') {
            Some(at) if self.scanned + at - self.start <= self.limit => {
                let end = self.scanned + at;
                let line = self.bytes.get(self.start..end).unwrap_or_default();
                let line = text(line);
                self.start = end + 1;
                self.scanned = self.start;
                line.map(Some)
            }
            None if self.len() <= self.limit => {
                self.scanned = self.bytes.len();
                Ok(None)
            }
            _ => Err(LineError::TooLong { limit: self.limit }),
        }
    }

    /// Takes what there is as a line that the end of the stream ended; `None` if there is nothing.
    ///
    /// # Errors
    ///
    /// As for [`LineBuffer::next_line`].
    pub fn last_line(&mut self) -> Result<Option<String>, LineError> {
        match self.len() {
            0 => Ok(None),
            n if n > self.limit => Err(LineError::TooLong { limit: self.limit }),
            _ => text(&self.take_remainder()).map(Some),
        }
    }

    /// Takes `n` bytes once there are as many.
    pub fn take(&mut self, n: usize) -> Option<Vec<u8>> {
        let end = self.start.checked_add(n)?;
        let taken = self.bytes.get(self.start..end)?.to_vec();
        self.start = end;
        self.scanned = self.scanned.max(end);
        Some(taken)
    }

    /// Takes all that is left.
    pub fn take_remainder(&mut self) -> Vec<u8> {
        let rest = self.peek().to_vec();
        self.clear();
        rest
    }

    /// Returns the bytes not yet taken.
    pub fn peek(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Returns how many bytes are not yet taken.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Tells whether every byte has been taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wipes and frees everything.
    pub fn clear(&mut self) {
        self.bytes.zeroize();
        self.bytes = Vec::new();
        self.start = 0;
        self.scanned = 0;
    }
}

impl fmt::Debug for LineBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LineBuffer({} bytes)", self.len())
    }
}

impl Drop for LineBuffer {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

fn text(line: &[u8]) -> Result<String, LineError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    std::str::from_utf8(line)
        .map(str::to_owned)
        .map_err(|_| LineError::NotUtf8)
}

/// Builds a line.
pub(crate) struct LineWriter(String);

impl LineWriter {
    pub(crate) fn new(words: &str) -> Self {
        LineWriter(words.chars().map(flat).collect())
    }

    /// Adds ` KEY=VALUE`, the value in quotes when it has white space, a quote or a backslash.
    ///
    /// Line ends and NUL, for which there is no escape, become spaces: a value never starts a line of its own.
    pub(crate) fn pair(&mut self, key: &str, value: &str) -> &mut Self {
        self.0.push(' ');
        self.0.extend(key.chars().map(flat));
        self.0.push('=');
        let value_start = |c| is_space(flat(c)) || matches!(c, '"' | '\\');
        if !value.contains(value_start) {
            self.0.push_str(value);
            return self;
        }
        self.0.push('"');
        for c in value.chars() {
            if matches!(c, '"' | '\\') {
                self.0.push('\\');
            }
            self.0.push(flat(c));
        }
        self.0.push('"');
        self
    }

    /// Adds a number, if there is one.
    pub(crate) fn number(&mut self, key: &str, value: Option<impl fmt::Display>) -> &mut Self {
        if let Some(value) = value {
            // Writing to a String does not fail.
            let _ = write!(self.0, " {key}={value}");
        }
        self
    }

    /// Adds a value, if there is one.
    pub(crate) fn option(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.pair(key, value);
        }
        self
    }

    /// Adds `KEY=true`, if it is.
    pub(crate) fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        if value {
            self.pair(key, "true");
        }
        self
    }

    pub(crate) fn pairs(&mut self, pairs: &[(String, String)]) -> &mut Self {
        for (key, value) in pairs {
            self.pair(key, value);
        }
        self
    }

    /// Adds ` text` without quotes, if there is any.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        if !text.is_empty() {
            self.0.push(' ');
            self.0.extend(text.chars().map(flat));
        }
        self
    }

    pub(crate) fn finish(&mut self) -> String {
        self.0.push('\n');
        std::mem::take(&mut self.0)
    }
}

/// What separates words: Java also splits at form feed and backspace, which nobody sends.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

fn flat(c: char) -> char {
    if matches!(c, '\n' | '\r' | '\0') {
        ' '
    } else {
        c
    }
}

/// Splits before the first character that is so.
pub(crate) fn split_where(text: &str, is: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is).unwrap_or(text.len()))
}

fn plain<'a>((word, tail): (&str, &'a str)) -> (String, &'a str) {
    (word.to_owned(), tail)
}

fn strict_value(text: &str) -> Result<(String, &str), LineError> {
    let mut value = String::new();
    let mut quoted = false;
    let mut chars = text.chars();
    loop {
        let before = chars.as_str();
        match chars.next() {
            Some(c) if is_space(c) && !quoted => return Ok((value, before)),
            Some('"') => quoted = !quoted,
            Some('\\') => value.push(escaped(&mut chars)),
            Some(c) => value.push(c),
            None if quoted => return Err(LineError::OpenQuote),
            None => return Ok((value, before)),
        }
    }
}

/// The character behind a backslash if it is one that can be escaped, else the backslash.
fn escaped(chars: &mut std::str::Chars<'_>) -> char {
    match chars.as_str().chars().next() {
        Some(c @ ('"' | '\\')) => {
            chars.next();
            c
        }
        _ => '\\',
    }
}

/// Reads a value of a reply; `unclosed` remembers that no quote behind this place ends a value.
fn reply_value<'a>(key: &str, text: &'a str, unclosed: &mut bool) -> (String, &'a str) {
    if let Some(quoted) = text.strip_prefix('"').filter(|_| !*unclosed) {
        let mut value = String::new();
        let mut chars = quoted.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' if chars.as_str().is_empty() || chars.as_str().starts_with(is_space) => {
                    return (value, chars.as_str());
                }
                '\\' => value.push(escaped(&mut chars)),
                c => value.push(c),
            }
        }
        *unclosed = true;
    }
    if key != "MESSAGE" {
        return plain(split_where(text, is_space));
    }
    let (first, mut tail) = split_where(text, is_space);
    let mut end = first.len();
    while !first.is_empty() {
        let (word, next) = split_where(tail.trim_start_matches(is_space), is_space);
        let key = word.split_once('=').map(|(key, _)| key);
        if word.is_empty() || key.is_some_and(|key| REPLY_KEYS.contains(&key)) {
            break;
        }
        end = text.len() - next.len();
        tail = next;
    }
    let (value, tail) = text.split_at(end);
    (value.to_owned(), tail)
}

/// The keys that end a MESSAGE without quotes.
const REPLY_KEYS: [&str; 8] = [
    "RESULT",
    "VERSION",
    "DESTINATION",
    "ID",
    "NAME",
    "VALUE",
    "PUB",
    "PRIV",
];
