//! How a reader finds the file: a table in each `lib.rs`, and a head on each file.

use super::{
    rust::has_word,
    tree::{File, Tree},
};

/// A comment of `lib.rs` names each module that it declares: `name`, `name.rs` or a file in `name/`, in backticks.
pub(super) fn lib_rs_lists_its_files(tree: &Tree) -> Vec<String> {
    let libraries = tree.published().filter_map(|package| tree.file(&package.path("src/lib.rs")));
    libraries.flat_map(unlisted).collect()
}

fn unlisted(file: &File) -> Vec<String> {
    // Plain comments: the documentation is for users.
    let table: Vec<&str> = file
        .text
        .lines()
        .filter(|line| line.starts_with("//") && !line.starts_with("///") && !line.starts_with("//!"))
        .collect();
    let listed = |module: &str| {
        let mut quoted = table.iter().flat_map(|line| line.split('`').skip(1).step_by(2));
        quoted.any(|path| path.split(['/', '.']).next() == Some(module))
    };
    let modules = file.bare.lines().filter_map(|line| {
        let line = line.strip_suffix(';').filter(|line| has_word(line, "mod", super::rust::is_word))?;
        line.rsplit(' ').next()
    });
    let missing = modules.filter(|module| !listed(module));
    missing
        .map(|module| format!("{}: add `{module}.rs` to the table of files at its head", file.path))
        .collect()
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
    use super::{files_have_heads, lib_rs_lists_its_files};
    use crate::tidy::tree::findings;

    const PACKAGE: (&str, &str) = ("crates/a/Cargo.toml", "[package]\nname = \"a\"\n");

    #[test]
    fn modules_that_no_table_names_are_found() {
        let lib = "//! `five` is for users.\n// | `one.rs`, `two/deep.rs` | x |\n// | `three` | four |\n\nmod one;\n\
                   pub mod two;\n#[cfg(x)]\nmod three;\npub(crate) mod four;\nmod five;\nmod inline {}\n/// `six`\nmod six;\n";
        let files = [PACKAGE, ("crates/a/src/lib.rs", lib), ("xtask/src/lib.rs", "mod seven;\n")];
        let expected = ["four", "five", "six"]
            .map(|name| format!("crates/a/src/lib.rs: add `{name}.rs` to the table of files at its head"));
        assert_eq!(findings(lib_rs_lists_its_files, &files), expected);
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
