//! The files that every crate must have beside its code.

use std::path::Path;

use super::{
    rust::has_word,
    tree::{Package, Tree},
};
use crate::readme::Page;

const FILES: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

pub(super) fn published_crates_have_their_files(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for package in tree.published() {
        let missing = FILES.into_iter().filter(|name| tree.file(&package.path(name)).is_none());
        found.extend(missing.map(|name| {
            let how = if name.starts_with("LICENSE") { "link or copy the root's" } else { "write it" };
            format!("{}: missing: {how}", package.path(name))
        }));
        let changes = tree.file(&package.path("CHANGELOG.md"));
        if changes.is_some_and(|file| !begins_with_a_section(&file.text)) {
            let how = "begin with `# Changelog` and a section, `## Unreleased` or `## 0.1.0`, with a list of changes";
            found.push(format!("{}: {how}", package.path("CHANGELOG.md")));
        }
    }
    found
}

/// Whether a list of changes can become that of a release: its newest section has something.
fn begins_with_a_section(text: &str) -> bool {
    let section = text.strip_prefix("# Changelog\n\n## ").and_then(|rest| rest.split_once("\n\n"));
    section.is_some_and(|(name, changes)| {
        let is_version = name.starts_with(|c: char| c.is_ascii_digit()) && name.contains('.');
        (name == "Unreleased" || is_version) && changes.starts_with("- ")
    })
}

pub(super) fn manifests_are_complete(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for package in &tree.packages {
        let mut wanted = Vec::new();
        if !package.is_alone() {
            wanted.push(("lints", "workspace", "true"));
        }
        if package.published {
            wanted.extend([
                ("package", "readme", "README.md"),
                ("package", "version.workspace", "true"),
                ("package", "edition.workspace", "true"),
                ("package", "rust-version.workspace", "true"),
                ("package", "license.workspace", "true"),
                ("package", "repository.workspace", "true"),
                ("package.metadata.docs.rs", "all-features", "true"),
                ("package.metadata.docs.rs", "rustdoc-args", r#"["--cfg", "docsrs"]"#),
            ]);
        }
        let wrong =
            wanted.iter().filter(|(table, key, value)| package.manifest.get(table, key) != Some(value));
        found.extend(wrong.map(|(table, key, value)| {
            let is_text = *value != "true" && !value.starts_with('[');
            let value = if is_text { format!("\"{value}\"") } else { value.to_string() };
            package.finding(1, &format!("add `{key} = {value}` to [{table}]"))
        }));
        if package.manifest.get("package", "description").is_none_or(str::is_empty) {
            found.push(
                package.finding(1, "add a `description` to [package]: what the crate does, in one line"),
            );
        }
        if package.published {
            let lists = [("keywords", &is_keyword as &dyn Fn(&str) -> bool), ("categories", &is_category)];
            found.extend(lists.iter().filter_map(|(key, fits)| wrong_list(package, key, fits)));
        }
    }
    found
}

/// The categories of crates.io that our crates may be in.
const CATEGORIES: [&str; 8] = [
    "asynchronous",
    "concurrency",
    "database",
    "development-tools::debugging",
    "development-tools::testing",
    "network-programming",
    "parsing",
    "web-programming::http-client",
];

fn is_category(category: &str) -> bool {
    CATEGORIES.contains(&category)
}

/// Whether the registry takes a keyword.
fn is_keyword(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '+');
    word.len() <= 20 && word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(plain)
}

/// The finding about a list that a registry refuses: it takes one to five words of a form.
fn wrong_list(package: &Package, key: &str, fits: &dyn Fn(&str) -> bool) -> Option<String> {
    let list = package.manifest.get("package", key).unwrap_or_default();
    let words: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    if !(1..=5).contains(&words.len()) {
        return Some(package.finding(1, &format!("add `{key} = [\"…\"]` to [package]: one to five of them")));
    }
    let word = words.iter().find(|word| !fits(word))?;
    Some(package.finding(
        1,
        &format!(
            "the registry takes no `{word}` among the {key}: 20 letters at most, or a category that it has"
        ),
    ))
}

pub(super) fn readmes_are_crate_docs(tree: &Tree) -> Vec<String> {
    let include = "#![doc = include_str!(\"../README.md\")]";
    let plain = |package: &&Package| {
        tree.file(&package.path("src/lib.rs")).is_none_or(|file| !file.code.contains(include))
    };
    tree.published()
        .filter(plain)
        .map(|package| {
            format!("{}: add `{include}`: its examples are tests then", package.path("src/lib.rs"))
        })
        .collect()
}

/// Each README begins with lines that can be pasted, and hides none; `cargo xtask readme` runs them.
pub(super) fn readmes_can_be_pasted(tree: &Tree) -> Vec<String> {
    let pages = tree.published().map(|package| package.path("README.md")).chain(["README.md".to_owned()]);
    let pages = pages.filter_map(|path| tree.file(&path));
    pages
        .filter_map(|file| {
            let reason = Page::parse("page", Path::new(&file.path), &file.text).err()?;
            Some(format!("{}: {reason}", file.path))
        })
        .collect()
}

pub(super) fn the_front_page_lists_every_crate(tree: &Tree) -> Vec<String> {
    let Some(readme) = tree.file("README.md") else { return vec!["README.md: missing: write it".to_owned()] };
    let part_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let unlisted = |package: &&Package| !has_word(&readme.text, &package.name, part_of_name);
    let missing = tree.published().filter(unlisted);
    missing.map(|package| format!("README.md: add {} to the table of crates", package.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::findings;

    const GOOD: &str = "[package]\nname = \"evenkeel-a\"\ndescription = \"d\"\nreadme = \"README.md\"\n\
        keywords = [\"tokio\", \"rate-limit\"]\ncategories = [\"asynchronous\"]\nversion.workspace = true\n\
        edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\nrepository.workspace = true\n\
        [package.metadata.docs.rs]\nall-features = true\nrustdoc-args = [\"--cfg\", \"docsrs\"]\n[lints]\nworkspace = true\n";
    const BARE: &str = "[package]\nname = \"evenkeel-b\"\n";

    #[test]
    fn missing_files_are_found() {
        let mut files =
            vec![("crates/a/Cargo.toml", GOOD), ("crates/b/Cargo.toml", BARE), ("t/Cargo.toml", BARE)];
        let paths = FILES.map(|name| format!("crates/a/{name}"));
        files.extend(paths.iter().map(|path| (path.as_str(), "# Changelog\n\n## Unreleased\n\n- x\n")));
        let expected = [
            "crates/b/README.md: missing: write it",
            "crates/b/CHANGELOG.md: missing: write it",
            "crates/b/LICENSE-MIT: missing: link or copy the root's",
            "crates/b/LICENSE-APACHE: missing: link or copy the root's",
        ];
        assert_eq!(findings(published_crates_have_their_files, &files), expected);
    }

    #[test]
    fn changes_begin_with_a_section() {
        for text in ["# Changelog\n\n## Unreleased\n\n- x\n", "# Changelog\n\n## 0.1.0 (2026-12-01)\n\n- x\n"]
        {
            assert!(begins_with_a_section(text), "{text}");
        }
        for text in [
            "",
            "# Changes\n",
            "# Changelog\n\n- x\n",
            "# Changelog\n\n## Soon\n\n- x\n",
            "# Changelog\n\n## 0.1.0\n\n",
        ] {
            assert!(!begins_with_a_section(text), "{text}");
        }
    }

    #[test]
    fn incomplete_manifests_are_found() {
        let tool = "[package]\nname = \"tool\"\ndescription = \"d\"\n";
        let alone = format!("[workspace]\nresolver = \"3\"\n{tool}");
        let files = [
            ("alone/Cargo.toml", alone.as_str()),
            ("crates/a/Cargo.toml", GOOD),
            ("crates/b/Cargo.toml", BARE),
            ("tool/Cargo.toml", tool),
        ];
        let expected = [
            "crates/b/Cargo.toml:1: add `workspace = true` to [lints]",
            "crates/b/Cargo.toml:1: add `readme = \"README.md\"` to [package]",
            "crates/b/Cargo.toml:1: add `version.workspace = true` to [package]",
            "crates/b/Cargo.toml:1: add `edition.workspace = true` to [package]",
            "crates/b/Cargo.toml:1: add `rust-version.workspace = true` to [package]",
            "crates/b/Cargo.toml:1: add `license.workspace = true` to [package]",
            "crates/b/Cargo.toml:1: add `repository.workspace = true` to [package]",
            "crates/b/Cargo.toml:1: add `all-features = true` to [package.metadata.docs.rs]",
            "crates/b/Cargo.toml:1: add `rustdoc-args = [\"--cfg\", \"docsrs\"]` to [package.metadata.docs.rs]",
            "crates/b/Cargo.toml:1: add a `description` to [package]: what the crate does, in one line",
            "crates/b/Cargo.toml:1: add `keywords = [\"…\"]` to [package]: one to five of them",
            "crates/b/Cargo.toml:1: add `categories = [\"…\"]` to [package]: one to five of them",
            "tool/Cargo.toml:1: add `workspace = true` to [lints]",
        ];
        assert_eq!(findings(manifests_are_complete, &files), expected);
    }

    #[test]
    fn lists_that_a_registry_refuses_are_found() {
        for (from, to, word) in [
            ("rate-limit", "structured-concurrency", "structured-concurrency"),
            ("rate-limit", "Rate", "Rate"),
            ("rate-limit", "2fast", "2fast"),
            ("rate-limit", "a b", "a b"),
            ("asynchronous", "async", "async"),
        ] {
            let manifest = GOOD.replace(from, to);
            let found = findings(manifests_are_complete, &[("crates/a/Cargo.toml", manifest.as_str())]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(&format!("takes no `{word}`")), "{found:?}");
        }
        let many = GOOD.replace("\"tokio\"", &["\"a\""; 5].join(", "));
        assert_eq!(findings(manifests_are_complete, &[("crates/a/Cargo.toml", many.as_str())]).len(), 1);
    }

    #[test]
    fn crate_docs_without_the_readme_are_found() {
        let files = [
            ("crates/a/Cargo.toml", GOOD),
            ("crates/a/src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n"),
            ("crates/b/Cargo.toml", BARE),
            ("crates/b/src/lib.rs", "// #![doc = include_str!(\"../README.md\")]\n"),
        ];
        let found = findings(readmes_are_crate_docs, &files);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/b/src/lib.rs: add `#![doc"));
    }

    #[test]
    fn pages_that_cannot_be_pasted_are_found() {
        let good = "# a\n\n```toml\n[dependencies]\n```\n\n```rust\nfn main() {}\n```\n";
        let hidden = format!("{good}\n```rust\n# fn hidden() {{}}\n```\n");
        let files = [
            ("crates/a/Cargo.toml", GOOD),
            ("crates/a/README.md", good),
            ("crates/b/Cargo.toml", BARE),
            ("crates/b/README.md", hidden.as_str()),
            ("README.md", "# front\n"),
        ];
        let found = findings(readmes_can_be_pasted, &files);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("crates/b/README.md: `# fn hidden() {}` is hidden"), "{found:?}");
        assert!(found[1].starts_with("README.md: begin with two blocks"), "{found:?}");
    }

    #[test]
    fn a_crate_missing_from_the_front_page_is_found() {
        let readme = ("README.md", "| [evenkeel-a](crates/a) | evenkeel-bee |\n");
        let files = [readme, ("crates/a/Cargo.toml", GOOD), ("crates/b/Cargo.toml", BARE)];
        let found = findings(the_front_page_lists_every_crate, &files);
        assert_eq!(found, ["README.md: add evenkeel-b to the table of crates"]);
        assert_eq!(findings(the_front_page_lists_every_crate, &files[1..]), ["README.md: missing: write it"]);
    }
}
