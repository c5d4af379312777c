//! The sets of features that a user may take.

use std::collections::BTreeSet;

type Features = [(String, Vec<String>)];

/// How many sets are taken; each has those of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sets {
    /// No feature, and all.
    NoneAndAll,
    /// Each alone.
    Each,
    /// All but each.
    AllButEach,
}

/// Sets that switch on the same things come once.
///
/// Code that needs another feature is found when its own is on alone, or when only the other one is off.
pub(super) fn sets(features: &Features, which: Sets) -> Vec<Vec<&str>> {
    let names = features.iter().map(|(name, _)| name.as_str());
    let own: Vec<&str> = names.clone().filter(|name| !gathers(features, name)).collect();
    let mut sets: Vec<Vec<&str>> = vec![Vec::new()];
    sets.extend(names.map(|name| vec![name]).filter(|_| which >= Sets::Each));
    sets.push(own.clone());
    let left_out = own.iter().filter(|_| which >= Sets::AllButEach);
    sets.extend(left_out.map(|left_out| own.iter().copied().filter(|name| name != left_out).collect()));
    let mut seen = BTreeSet::new();
    sets.retain(|set| seen.insert(closure(features, set)));
    sets
}

/// All features that a set switches on, in the crate and elsewhere; those that gather others do not count themselves.
fn closure<'a>(features: &'a Features, set: &[&'a str]) -> BTreeSet<&'a str> {
    let mut open = set.to_vec();
    let mut seen: BTreeSet<&str> = open.iter().copied().collect();
    while let Some(name) = open.pop() {
        open.extend(implied(features, name).iter().map(String::as_str).filter(|name| seen.insert(name)));
    }
    seen.retain(|name| !gathers(features, name));
    seen
}

/// Whether a feature is no more than some of the others.
fn gathers(features: &Features, name: &str) -> bool {
    let implied = implied(features, name);
    !implied.is_empty() && implied.iter().all(|one| features.iter().any(|(name, _)| name == one))
}

fn implied<'a>(features: &'a Features, name: &str) -> &'a [String] {
    features.iter().find(|(feature, _)| feature == name).map_or(&[], |(_, implied)| implied)
}

#[cfg(test)]
mod tests {
    use super::{Sets, sets};

    fn features(list: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        let owned = |implied: &[&str]| implied.iter().map(|&one| one.to_owned()).collect();
        list.iter().map(|(name, implied)| ((*name).to_owned(), owned(implied))).collect()
    }

    #[test]
    fn few_features_need_few_sets() {
        assert_eq!(sets(&[], Sets::AllButEach), [Vec::<&str>::new()]);
        assert_eq!(sets(&features(&[("http", &["dep:httpdate"])]), Sets::AllButEach), [vec![], vec!["http"]]);
        assert_eq!(
            sets(&features(&[("a", &[]), ("b", &[])]), Sets::AllButEach),
            [vec![], vec!["a"], vec!["b"], vec!["a", "b"]]
        );
    }

    #[test]
    fn a_feature_that_gathers_others_is_checked_once() {
        let list: [(&str, &[&str]); 4] =
            [("a", &["dep:a"]), ("b", &["dep:b"]), ("c", &["dep:c"]), ("full", &["a", "b", "c"])];
        let one = [vec![], vec!["a"], vec!["b"], vec!["c"], vec!["full"]];
        let but_one = [vec!["b", "c"], vec!["a", "c"], vec!["a", "b"]];
        let expected = [&one[..], &but_one].concat();
        assert_eq!(sets(&features(&list), Sets::AllButEach), expected);
        assert_eq!(sets(&features(&list), Sets::Each), one);
        assert_eq!(sets(&features(&list), Sets::NoneAndAll), [vec![], vec!["a", "b", "c"]]);
    }

    #[test]
    fn of_many_features_each_is_taken_alone_and_left_out_alone() {
        let list: [(&str, &[&str]); 4] = [("a", &[]), ("b", &[]), ("c", &[]), ("d", &["a", "dep:d"])];
        let expected: Vec<Vec<&str>> = vec![
            vec![],
            vec!["a"],
            vec!["b"],
            vec!["c"],
            vec!["d"],
            vec!["a", "b", "c", "d"],
            vec!["a", "c", "d"],
            vec!["a", "b", "d"],
            vec!["a", "b", "c"],
        ];
        assert_eq!(sets(&features(&list), Sets::AllButEach), expected);
    }

    #[test]
    fn a_feature_that_implies_another_is_not_lost() {
        let list: [(&str, &[&str]); 2] = [("base", &[]), ("more", &["base", "dep:more"])];
        assert_eq!(sets(&features(&list), Sets::AllButEach), [vec![], vec!["base"], vec!["more"]]);
    }
}
