//! What inputs reach, told by the targets while a test listens.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::{Debug, Display};

thread_local! {
    static REACHED: RefCell<Option<BTreeSet<String>>> = const { RefCell::new(None) };
}

/// Runs `run` and returns what it reached on this thread.
pub fn reached_by(run: impl FnOnce()) -> BTreeSet<String> {
    REACHED.set(Some(BTreeSet::new()));
    run();
    REACHED.take().unwrap_or_default()
}

/// Notes that something was reached.
pub(crate) fn reached(what: impl Display) {
    REACHED.with_borrow_mut(|reached| {
        if let Some(reached) = reached {
            reached.insert(what.to_string());
        }
    });
}

/// Notes a variant of an enum, by name; of one that wraps another, with that name, too.
pub(crate) fn reached_variant(of: &str, value: &impl Debug) {
    let listening = REACHED.with_borrow(Option::is_some);
    if listening {
        for name in variant(value) {
            reached(format_args!("{of} {name}"));
        }
    }
}

/// The name of a variant, and that with the name of the variant in it.
fn variant(value: &impl Debug) -> Vec<String> {
    let shown = format!("{value:?}");
    let mut names = shown.split(|c: char| !c.is_alphanumeric());
    let first = names.next().unwrap_or_default();
    let inner = names.next().filter(|_| shown.contains('('));
    let inner = inner.filter(|inner| inner.starts_with(char::is_uppercase));
    let both = inner.map(|inner| format!("{first} {inner}"));
    std::iter::once(first.to_owned()).chain(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_told_by_name_and_only_to_who_listens() {
        reached("nothing");
        let reached = reached_by(|| {
            reached("one");
            reached_variant("result", &Some(Ok::<u8, u8>(7)));
            reached_variant("result", &Some(7));
        });
        let names: Vec<&str> = reached.iter().map(String::as_str).collect();
        assert_eq!(names, ["one", "result Some", "result Some Ok"]);
    }
}
