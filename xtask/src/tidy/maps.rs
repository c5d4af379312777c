//! How a reader finds the file: a table in each `lib.rs`, and a head on each file.

use super::{
    rust::{has_word, is_word},
    tree::{File, Tree},
};

/// A comment of `lib.rs` names the file of each module that it declares, and no file that is gone.
pub(super) fn lib_rs_lists_its_files(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for package in tree.published() {
        let Some(file) = tree.file(&package.path("src/lib.rs")) else { continue };
        // Plain comments: the documentation is for users.
        let is_plain =
            |line: &&str| line.starts_with("//") && !line.starts_with("///") && !line.starts_with("//!");
        let table: Vec<&str> = file.text.lines().filter(is_plain).collect();
        let names = |module: &str| {
            let quoted = [format!("`{module}`"), format!("`{module}/")];
            let path = format!("{module}.rs");
            let listed =
                |line: &&str| has_word(line, &path, is_word) || quoted.iter().any(|name| line.contains(name));
            table.iter().any(listed)
        };
        let missing = modules(file).filter(|module| !names(module));
        found.extend(missing.map(|module| format!("{}: add `{module}.rs` to the table of files", file.path)));
        let sources = package.path("src/");
        let gone = table.iter().flat_map(|line| files(line)).filter(|path| !exists(tree, &sources, path));
        found.extend(
            gone.map(|path| format!("{}: the table of files has `{path}`, which is not there", file.path)),
        );
    }
    found
}

fn modules(file: &File) -> impl Iterator<Item = &str> {
    let declared = file.bare.lines().filter_map(|line| line.strip_suffix(';'));
    declared.filter(|line| has_word(line, "mod", is_word)).filter_map(|line| line.rsplit(' ').next())
}

/// The files that a line names; a path that begins with a capital letter stands for several.
fn files(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| !is_word(c) && !matches!(c, '/' | '.' | '*' | '-'));
    words.filter(|word| {
        word.ends_with(".rs")
            && *word != ".rs"
            && !word.contains('*')
            && !word.starts_with(char::is_uppercase)
    })
}

/// Returns whether a file in this folder has this path, or ends with it: a table names a folder once in a row.
fn exists(tree: &Tree, folder: &str, path: &str) -> bool {
    let mut inner = tree.rust_files().filter_map(|file| file.path.strip_prefix(folder));
    inner.any(|file| file.strip_suffix(path).is_some_and(|before| before.is_empty() || before.ends_with('/')))
}

/// ARCHITECTURE.md names no file that is gone.
pub(super) fn architecture_names_files_that_exist(tree: &Tree) -> Vec<String> {
    let Some(page) = tree.file("ARCHITECTURE.md") else { return Vec::new() };
    let mut found = Vec::new();
    for (index, line) in page.text.lines().enumerate() {
        let gone = files(line).filter(|path| !exists(tree, "", path));
        found.extend(
            gone.map(|path| {
                page.finding(index + 1, &format!("`{path}` is not there: name the file of today"))
            }),
        );
    }
    found
}

/// Each file of a crate begins with `//!`: what it holds.
pub(super) fn files_have_heads(tree: &Tree) -> Vec<String> {
    let sources = tree.published().map(|package| package.path("src/")).collect::<Vec<_>>();
    let is_source = |file: &&File| sources.iter().any(|folder| file.path.starts_with(folder));
    let has_head = |file: &File| ["//!", "#![doc"].iter().any(|head| file.text.starts_with(head));
    let bare = tree.rust_files().filter(is_source).filter(|file| !has_head(file));
    bare.map(|file| format!("{}: begin with `//!` and a line that says what the file holds", file.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{architecture_names_files_that_exist, files_have_heads, lib_rs_lists_its_files};
    use crate::tidy::tree::findings;

    const PACKAGE: (&str, &str) = ("crates/a/Cargo.toml", "[package]\nname = \"a\"\n");

    #[test]
    fn modules_that_no_table_names_are_found_and_files_that_are_gone() {
        let lib = "//! `five` is for users.\n// one.rs | x\n// | `two/deep.rs`, `X/many.rs` | x |\n// | `three`, `deep.rs` | four, old.rs |\n\n\
                   mod one;\npub mod two;\n#[cfg(x)]\nmod three;\npub(crate) mod four;\nmod five;\nmod inline {}\n/// `six`\nmod six;\n";
        let files = [
            PACKAGE,
            ("crates/a/src/lib.rs", lib),
            ("crates/a/src/one.rs", ""),
            ("crates/a/src/two/deep.rs", ""),
            ("xtask/src/lib.rs", "mod seven;\n"),
        ];
        let missing = ["four", "five", "six"]
            .map(|name| format!("crates/a/src/lib.rs: add `{name}.rs` to the table of files"));
        let gone = "crates/a/src/lib.rs: the table of files has `old.rs`, which is not there";
        assert_eq!(
            findings(lib_rs_lists_its_files, &files),
            [missing.as_slice(), &[gone.to_owned()]].concat()
        );
    }

    #[test]
    fn pages_that_name_files_of_yesterday_are_found() {
        let page =
            "| limit `core.rs`, `a/b.rs` | `x/*.rs`, `{a,b}.rs`, X/core.rs |\nand `gone.rs`, `re.rs`.\n";
        let files = [("ARCHITECTURE.md", page), ("crates/a/src/core.rs", ""), ("crates/a/src/a/b.rs", "")];
        let found = findings(architecture_names_files_that_exist, &files);
        let expected = ["gone.rs", "re.rs"]
            .map(|path| format!("ARCHITECTURE.md:2: `{path}` is not there: name the file of today"));
        assert_eq!(found, expected);
    }

    #[test]
    fn files_without_heads_are_found() {
        let files = [
            PACKAGE,
            ("crates/a/src/lib.rs", "#![doc = \"x\"]\n"),
            ("crates/a/src/good.rs", "//! Text.\n"),
            ("crates/a/src/bad.rs", "// Text.\nmod x; //! late\n"),
            ("crates/a/tests/it/main.rs", "mod x;\n"),
        ];
        let expected = ["crates/a/src/bad.rs: begin with `//!` and a line that says what the file holds"];
        assert_eq!(findings(files_have_heads, &files), expected);
    }
}
