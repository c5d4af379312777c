//! Names of streams and prefixes of ack subjects, kept for the life of the process, so that receipts are `Copy`.

use std::{collections::BTreeSet, sync::Mutex};

use evenkeel_base::lock;

static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// Returns the one copy of a name. A program has as many as it has consumers.
pub(super) fn intern(name: &str) -> &'static str {
    let mut names = lock(&NAMES);
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept: &'static str = Box::leak(name.into());
    names.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::intern;

    #[test]
    fn a_name_is_kept_once() {
        let (first, second) = (intern("ORDERS"), intern(&["OR", "DERS"].concat()));
        assert_eq!(first, "ORDERS");
        assert_eq!(first.as_ptr(), second.as_ptr());
        assert_eq!(intern("OTHERS"), "OTHERS");
    }
}
