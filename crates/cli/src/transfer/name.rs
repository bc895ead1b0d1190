use std::fmt;
use std::path::{Path, PathBuf};

/// The name of a file within a transfer: a relative path that cannot leave its folder.
///
/// Parts with `/` between them, 1 to 32, each of 1 to 240 bytes of UTF-8, 1024 bytes in all. No
/// part is `.` or `..`, holds a backslash or a control character, or looks like the file of an
/// unfinished transfer; on Windows none holds what is special there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

/// Why a text is no [`FileName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is nothing, in all or between two slashes.
    #[error("a part of it is empty")]
    Empty,
    /// It has `.` or `..` in it.
    #[error("'.' and '..' do not belong in it")]
    Dots,
    /// A character that does not belong there.
    #[error("it has a character in it that is not allowed")]
    Character,
    /// A part, or all, is too long, or it is too deep.
    #[error("it is too long or too deep")]
    TooLong,
    /// It is the name of an unfinished file.
    #[error("'.NAME.KEY.part' is the name of an unfinished transfer")]
    Part,
    /// It is not UTF-8.
    #[error("it is no UTF-8")]
    NotUtf8,
}

impl FileName {
    /// The longest name in bytes.
    pub const MAX_LEN: usize = 1024;
    const MAX_PART_LEN: usize = 240;
    const MAX_DEPTH: usize = 32;

    /// Checks a name that came from outside.
    ///
    /// # Errors
    ///
    /// [`NameError`], whatever is wrong first.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.len() > Self::MAX_LEN || text.split('/').count() > Self::MAX_DEPTH {
            return Err(NameError::TooLong);
        }
        for part in text.split('/') {
            match part {
                "" => return Err(NameError::Empty),
                "." | ".." => return Err(NameError::Dots),
                _ if part.len() > Self::MAX_PART_LEN => return Err(NameError::TooLong),
                _ if part.contains(is_forbidden) => return Err(NameError::Character),
                _ if cfg!(windows) && part.ends_with(['.', ' ']) => {
                    return Err(NameError::Character);
                }
                _ if part.starts_with('.') && part.ends_with(".part") => {
                    return Err(NameError::Part);
                }
                _ => {}
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a part of it begins with a dot.
    pub fn is_hidden(&self) -> bool {
        self.0.split('/').any(|part| part.starts_with('.'))
    }

    /// Where it is under `folder`.
    pub fn under(&self, folder: &Path) -> PathBuf {
        let mut path = folder.to_owned();
        path.extend(self.0.split('/'));
        path
    }

    /// The folders on the way, the outermost first.
    pub(super) fn folders(&self, folder: &Path) -> Vec<PathBuf> {
        let mut path = folder.to_owned();
        let mut parts: Vec<&str> = self.0.split('/').collect();
        parts.pop();
        let grow = |part: &str| {
            path.push(part);
            path.clone()
        };
        parts.into_iter().map(grow).collect()
    }
}

fn is_forbidden(c: char) -> bool {
    c.is_control()
        || c == '\\'
        // Characters that turn text around on a screen make one name look like another.
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || (cfg!(windows) && matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|'))
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for (text, error) in [
            ("", NameError::Empty),
            ("/etc/passwd", NameError::Empty),
            ("a//b", NameError::Empty),
            ("a/", NameError::Empty),
            ("..", NameError::Dots),
            ("a/../../b", NameError::Dots),
            ("./a", NameError::Dots),
            ("a\0b", NameError::Character),
            ("a\nb", NameError::Character),
            ("..\\b", NameError::Character),
            ("cod\u{202e}txt.exe", NameError::Character),
            (".x.part", NameError::Part),
            ("a/.x.part", NameError::Part),
        ] {
            assert_eq!(FileName::new(text), Err(error), "{text:?}");
        }
        assert_eq!(FileName::new(&"x".repeat(241)), Err(NameError::TooLong));
        assert_eq!(FileName::new(&"x/".repeat(40)), Err(NameError::TooLong));
        for text in ["a", "a/b c/ü.txt", "...", "x.part", ".hidden"] {
            assert!(FileName::new(text).is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_passes_stays_inside(text in "[a./\\\\\0]{0,12}|\\PC{0,40}") {
            if let Ok(name) = FileName::new(&text) {
                let path = name.under(Path::new("/folder"));
                prop_assert!(path.starts_with("/folder") && path != Path::new("/folder"));
                let up = std::path::Component::ParentDir;
                prop_assert!(path.components().all(|part| part != up));
                for folder in name.folders(Path::new("/folder")) {
                    prop_assert!(path.starts_with(folder));
                }
            }
        }
    }
}
