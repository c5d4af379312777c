//! `cargo xtask features`: every published crate builds with whatever features a user takes.

use std::collections::BTreeSet;

use crate::Result;
use crate::outcome::Outcome;
use crate::packages::public;
use crate::project::{Project, run as execute};

type Features = [(String, Vec<String>)];

pub(crate) fn run(project: &Project) -> Result<Outcome> {
    let mut broken = Vec::new();
    for package in public(project)? {
        for set in sets(&package.features) {
            let set = set.join(",");
            // Warnings are errors in the crate itself only, so that its dependencies are built once.
            let command = project.cargo("rustc").args(["--profile", "check", "--lib", "-p", &package.name]);
            let command = command.args(["--no-default-features", "--features", &set]);
            if execute(command.args(["--", "-D", "warnings"])).is_err() {
                broken.push(format!("{} does not build with the features [{set}]", package.name));
            }
        }
    }
    Ok(Outcome::of_findings(&broken))
}

/// No feature, each, each two, all; sets that switch on the same things come once.
fn sets(features: &Features) -> Vec<Vec<&str>> {
    let names: Vec<&str> = features.iter().map(|(name, _)| name.as_str()).collect();
    let mut sets: Vec<Vec<&str>> = vec![Vec::new()];
    sets.extend(names.iter().map(|&name| vec![name]));
    for (at, &one) in names.iter().enumerate() {
        sets.extend(names[at + 1..].iter().map(|&other| vec![one, other]));
    }
    sets.push(names);
    let mut seen = BTreeSet::new();
    sets.retain(|set| seen.insert(closure(features, set)));
    sets
}

/// All features that a set switches on, in the crate and elsewhere.
///
/// One that only gathers others is as good as those, and does not count itself.
fn closure<'a>(features: &'a Features, set: &[&'a str]) -> BTreeSet<&'a str> {
    let mut open = set.to_vec();
    let mut seen: BTreeSet<&str> = open.iter().copied().collect();
    let mut on = BTreeSet::new();
    while let Some(name) = open.pop() {
        let implied =
            features.iter().find(|(feature, _)| feature == name).map(|(_, implied)| implied.as_slice());
        let gathers =
            |implied: &[String]| implied.iter().all(|one| features.iter().any(|(name, _)| name == one));
        if !implied.is_some_and(|implied| !implied.is_empty() && gathers(implied)) {
            on.insert(name);
        }
        let new = implied.unwrap_or_default().iter().map(String::as_str).filter(|name| seen.insert(name));
        open.extend(new);
    }
    on
}

#[cfg(test)]
mod tests {
    use super::sets;

    fn features(list: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        let owned = |implied: &[&str]| implied.iter().map(|&one| one.to_owned()).collect();
        list.iter().map(|(name, implied)| ((*name).to_owned(), owned(implied))).collect()
    }

    #[test]
    fn few_features_need_few_sets() {
        assert_eq!(sets(&[]), [Vec::<&str>::new()]);
        assert_eq!(sets(&features(&[("http", &["dep:httpdate"])])), [vec![], vec!["http"]]);
        assert_eq!(
            sets(&features(&[("a", &[]), ("b", &[])])),
            [vec![], vec!["a"], vec!["b"], vec!["a", "b"]]
        );
    }

    #[test]
    fn a_feature_that_gathers_others_is_checked_once() {
        let list: [(&str, &[&str]); 4] =
            [("a", &["dep:a"]), ("b", &["dep:b"]), ("c", &["dep:c"]), ("full", &["a", "b", "c"])];
        let expected: Vec<Vec<&str>> = vec![
            vec![],
            vec!["a"],
            vec!["b"],
            vec!["c"],
            vec!["full"],
            vec!["a", "b"],
            vec!["a", "c"],
            vec!["b", "c"],
        ];
        assert_eq!(sets(&features(&list)), expected);
    }

    #[test]
    fn a_feature_that_implies_another_is_not_lost() {
        let list: [(&str, &[&str]); 2] = [("base", &[]), ("more", &["base", "dep:more"])];
        assert_eq!(sets(&features(&list)), [vec![], vec!["base"], vec!["more"]]);
    }
}
