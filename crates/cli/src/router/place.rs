//! Where in a TOML file something is wrong, and what may have been meant.

use std::fmt;
use std::ops::Range;

/// A line, and the key it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: Option<usize>,
    pub(crate) key: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match &self.key {
            Some(key) => write!(f, ": {key}"),
            None => Ok(()),
        }
    }
}

impl Place {
    /// The place of the value at `span`, or of the key if that is what is there.
    pub(crate) fn of_value(text: &str, span: Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or_default();
        let line = before.matches('\n').count();
        let key = text.lines().nth(line).and_then(|it| {
            let (key, _) = it.split_once('=')?;
            let table = text.lines().take(line).filter_map(table).last();
            let key = key.trim();
            Some(table.map_or_else(|| key.to_owned(), |table| format!("{table}.{key}")))
        });
        Self {
            line: Some(line + 1),
            key,
        }
    }
}

/// The name in a line like `[name]`.
fn table(line: &str) -> Option<&str> {
    let line = line.split('#').next().unwrap_or_default().trim();
    Some(line.strip_prefix('[')?.strip_suffix(']')?.trim())
}

/// Says where and what is wrong; for a key that is not known, also which one is like it.
pub(crate) fn explain(text: &str, error: &toml::de::Error) -> (Place, String) {
    let message = error.message().trim();
    // What is missing as a whole is nowhere.
    let place = match error.span() {
        Some(span) if !message.starts_with("missing field") => Place::of_value(text, span),
        _ => Place::default(),
    };
    let mut names = message.split('`').skip(1).step_by(2);
    let text = match names.next() {
        Some(name) if message.starts_with("unknown field") => {
            let known: Vec<&str> = names.collect();
            let like = known
                .iter()
                .map(|known| (distance(name, known), *known))
                .min()
                .filter(|(distance, known)| *distance <= known.len().div_ceil(3));
            match like {
                Some((_, like)) => format!("there is no key {name}; did you mean {like}?"),
                None => format!("there is no key {name}, only {}", known.join(", ")),
            }
        }
        Some(name) if message.starts_with("missing field") => {
            format!("the key {name} is missing")
        }
        _ => message.replace('\n', "; "),
    };
    (place, text)
}

/// How many letters have to be put in, taken out or replaced, as by Levenshtein.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut next = vec![index + 1];
        for ((there, above), pair) in other.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or_default();
            let replaced = above + usize::from(*there != letter);
            next.push(replaced.min(left + 1).min(pair + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (one, other, wanted) in [
            ("", "", 0),
            ("listen", "listen", 0),
            ("lisen", "listen", 1),
            ("kitten", "sitting", 3),
            ("", "abc", 3),
        ] {
            assert_eq!(distance(one, other), wanted);
            assert_eq!(distance(other, one), wanted);
        }
    }
}
