use std::collections::BTreeMap;
use std::path::Path;

use ramson_wire::{Destination, HostName};

use crate::Error;

/// Host names with their Destinations, from a file in the form of `hosts.txt`.
///
/// One `name=base64` a line; `#` begins a comment, `#!` behind the Destination begins properties,
/// which are left aside (specification "Naming and address book", hosts.txt format).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    entries: BTreeMap<HostName, Destination>,
}

impl Hosts {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when it cannot be read, [`Error::BadHosts`] with the line that is wrong.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| Error::Io {
            what: "the hosts file cannot be read",
            source,
        })?;
        Self::parse(&text).map_err(|(line, reason)| Error::BadHosts {
            path: path.to_owned(),
            line,
            reason,
        })
    }

    pub(crate) fn parse(text: &str) -> Result<Self, (usize, &'static str)> {
        let mut entries = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, rest) = line
                .split_once('=')
                .ok_or((number, "it is not of the form name=Destination"))?;
            let base64 = rest
                .split_once('#')
                .map_or(rest, |(base64, _)| base64)
                .trim();
            let name: HostName = name
                .trim()
                .to_ascii_lowercase()
                .parse()
                .map_err(|_| (number, "what stands before the = is no .i2p host name"))?;
            let destination = Destination::from_base64(base64).map_err(|_| {
                (
                    number,
                    "what stands behind the = is no Destination in base 64",
                )
            })?;
            entries.insert(name, destination);
        }
        Ok(Self { entries })
    }

    /// Adds or replaces one name.
    pub fn insert(&mut self, name: HostName, destination: Destination) {
        self.entries.insert(name, destination);
    }

    /// The Destination behind `name`.
    pub fn get(&self, name: &HostName) -> Option<&Destination> {
        self.entries.get(name)
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }
}

#[cfg(test)]
mod tests {
    use ramson_wire::PrivateKeys;

    use super::*;

    #[test]
    fn reads_names_comments_and_properties() {
        let destination = PrivateKeys::generate().destination().clone();
        let base64 = destination.to_base64();
        let text = format!("# mine\n\nA.i2p={base64}\nb.i2p = {base64}#!date=1#name=x\n");
        let hosts = Hosts::parse(&text).unwrap();
        for name in ["a.i2p", "b.i2p"] {
            assert_eq!(hosts.get(&name.parse().unwrap()), Some(&destination));
        }
        assert_eq!(hosts.get(&"c.i2p".parse().unwrap()), None);
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let base64 = PrivateKeys::generate().destination().to_base64();
        let cut: String = base64.chars().take(40).collect();
        for (text, line) in [
            ("a.i2p".to_owned(), 1),
            (format!("\nexample.com={base64}"), 2),
            (format!("#\n#\na.i2p={cut}"), 3),
        ] {
            assert_eq!(Hosts::parse(&text).unwrap_err().0, line, "{text}");
        }
    }
}
