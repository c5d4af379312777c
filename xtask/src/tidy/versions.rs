//! The rule for the versions of other packages in our prose.

use std::collections::BTreeMap;

use super::tree::{File, Tree};

const PAGE: &str = "COMPARE.md";

/// The packages that stand beside ours, and those of the workspaces of their own: peers of benchmarks and of rules.
const LOCKS: [&str; 3] = ["Cargo.lock", "benches/queues/Cargo.lock", "tests/queues/Cargo.lock"];

/// A version in the comparison is the one that is locked: it is what was tried and measured. Packages that are in no lock
/// file were read about, or tried outside.
pub(super) fn compared_versions_are_locked(tree: &Tree) -> Vec<String> {
    let Some(page) = tree.file(PAGE) else { return Vec::new() };
    let locked = locked(LOCKS.iter().filter_map(|path| tree.file(path)));
    let (mut found, mut quoted, mut before) = (Vec::new(), false, None);
    for (index, line) in page.text.lines().enumerate() {
        quoted = (quoted || line.starts_with("<!-- benches/results/")) && line != "<!-- end -->";
        // Numbers in tables are figures.
        if quoted || line.starts_with('|') {
            before = None;
            continue;
        }
        for word in line.split_whitespace() {
            let bare = word
                .trim_start_matches(['(', '*', '`'])
                .trim_end_matches([')', '*', '`', ',', ';', ':', '.']);
            if let Some(name) = before.replace(bare)
                && is_version(bare)
                && let Some(versions) = locked.get(&*name.to_lowercase())
                && !versions.iter().any(|version| is_part_of(bare, version))
            {
                let versions = versions.join(" and ");
                found.push(page.finding(index + 1, &format!("{name} {bare}: {versions} is locked")));
            }
            // A name and a number of two sentences do not belong together.
            if word.ends_with(['.', ';', ':']) {
                before = None;
            }
        }
    }
    found
}

/// Returns the versions of each package.
fn locked<'a>(files: impl Iterator<Item = &'a File>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut locked = BTreeMap::<&str, Vec<&str>>::new();
    for file in files {
        let mut name = None;
        for line in file.text.lines() {
            let value = |key: &str| line.strip_prefix(key)?.strip_suffix('"');
            if let Some(value) = value("name = \"") {
                name = Some(value);
            } else if let (Some(version), Some(name)) = (value("version = \""), name.take()) {
                locked.entry(name).or_default().push(version);
            }
        }
    }
    locked
}

/// Whether it looks like `1.2` or `1.2.3`.
fn is_version(word: &str) -> bool {
    let parts: Vec<_> = word.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (2..=3).contains(&parts.len()) && parts.iter().all(is_number)
}

fn is_part_of(named: &str, version: &str) -> bool {
    version.strip_prefix(named).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::compared_versions_are_locked;
    use crate::tidy::tree::findings;

    const LOCK: &str = "[[package]]\nname = \"governor\"\nversion = \"0.10.4\"\n\n\
                        [[package]]\nname = \"flume\"\nversion = \"0.10.14\"\n\n\
                        [[package]]\nname = \"flume\"\nversion = \"0.12.0\"\n";
    const QUEUES: &str = "[[package]]\nname = \"apalis-postgres\"\nversion = \"1.0.2\"\n";

    const RULES: &str = "name = \"ruststream\"\nversion = \"0.7.7\"\n";

    fn check(page: &str) -> Vec<String> {
        let files = [
            ("Cargo.lock", LOCK),
            ("COMPARE.md", page),
            ("benches/queues/Cargo.lock", QUEUES),
            ("tests/queues/Cargo.lock", RULES),
        ];
        findings(compared_versions_are_locked, &files)
    }

    #[test]
    fn versions_that_are_locked_or_of_packages_that_are_not() {
        for page in [
            "Beside governor 0.10, (flume 0.12) and apalis-postgres 1.0.2.",
            "RustStream 0.7.7 kept 32.",
            "Beside flume 0.10 and Governor 0.10.4; Polly 8 and Python 3.13.",
            "governor\n0.10, on two lines",
            "| governor 0.63 |\n",
            "<!-- benches/results/limit.md -->\ngovernor 9.18 ns\n<!-- end -->\n",
            "than in governor. 0.63 of it",
        ] {
            assert_eq!(check(page), [""; 0], "{page}");
        }
    }

    #[test]
    fn versions_that_are_not() {
        let found =
            check("# Limits\n\nBeside governor 0.1, flume 0.11,\nand apalis-postgres\n1.1. RustStream 0.8");
        assert_eq!(
            found,
            [
                "COMPARE.md:3: governor 0.1: 0.10.4 is locked",
                "COMPARE.md:3: flume 0.11: 0.10.14 and 0.12.0 is locked",
                "COMPARE.md:5: apalis-postgres 1.1: 1.0.2 is locked",
                "COMPARE.md:5: RustStream 0.8: 0.7.7 is locked",
            ]
        );
    }
}
