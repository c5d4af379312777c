//! The sections that the docs of async functions and futures must have.

use super::{
    rust,
    tree::{File, Tree},
};

pub(super) fn async_functions_say_what_dropping_does(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in sources(tree) {
        for (index, line) in file.bare.lines().enumerate() {
            if line.trim_start().starts_with("pub async fn ") && !says_cancel_safety(file, index) {
                let message = "add `# Cancel safety` to its docs: what state dropping the future leaves";
                found.push(file.finding(index + 1, message));
            }
        }
    }
    found
}

pub(super) fn future_types_say_what_dropping_does(tree: &Tree) -> Vec<String> {
    let unsaid =
        public_types(tree, &["Future"]).into_iter().filter(|(file, line)| !says_cancel_safety(file, *line));
    let message = "a future: add `# Cancel safety` to its docs: what state dropping it leaves";
    unsaid.map(|(file, line)| file.finding(line + 1, message)).collect()
}

pub(super) fn future_types_must_be_used(tree: &Tree) -> Vec<String> {
    let types = public_types(tree, &["Future", "Stream"]).into_iter();
    let unmarked = types
        .filter(|(file, line)| !lead(file, *line).any(|text| text.trim_start().starts_with("#[must_use")));
    let message = "a future or stream: add `#[must_use = \"... do nothing unless polled\"]`";
    unmarked.map(|(file, line)| file.finding(line + 1, message)).collect()
}

fn sources(tree: &Tree) -> impl Iterator<Item = &File> {
    tree.rust_files()
        .filter(|file| file.path.starts_with("crates/") && file.path.split('/').nth(2) == Some("src"))
}

/// Where the public types with an `impl Trait for Type` are declared: file and index of the line.
fn public_types<'a>(tree: &'a Tree, traits: &[&str]) -> Vec<(&'a File, usize)> {
    let mut found = Vec::new();
    for file in sources(tree) {
        let crate_sources = format!("crates/{}/src/", file.path.split('/').nth(1).unwrap_or_default());
        for name in implementors(file, traits) {
            for home in tree.rust_files().filter(|home| home.path.starts_with(&crate_sources)) {
                let lines = home.bare.lines().enumerate();
                found.extend(lines.filter(|(_, line)| declares(line, name)).map(|(index, _)| (home, index)));
            }
        }
    }
    found
}

/// The `C` of each `impl Trait for a::b::C<D>`.
fn implementors<'a>(file: &'a File, traits: &[&str]) -> Vec<&'a str> {
    let tokens = rust::tokens(&file.bare);
    let starts =
        (2..tokens.len()).filter(|&at| tokens[at - 1].1 == "for" && traits.contains(&tokens[at - 2].1));
    let path = |at: usize| tokens[at..].iter().map(|&(_, token)| token);
    let part_of_path =
        |token: &&str| *token == ":" || (*token != "where" && token.starts_with(rust::is_word));
    starts.filter_map(|at| path(at).take_while(part_of_path).last()).collect()
}

fn declares(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let declared = line.strip_prefix("pub struct ").or(line.strip_prefix("pub enum "));
    declared.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| !rest.starts_with(rust::is_word))
}

fn says_cancel_safety(file: &File, line: usize) -> bool {
    lead(file, line).any(|text| text.trim() == "/// # Cancel safety")
}

/// The lines of docs and attributes right above an item, from the bottom up.
fn lead(file: &File, line: usize) -> impl Iterator<Item = &str> {
    let above: Vec<(&str, &str)> = file.text.lines().zip(file.bare.lines()).take(line).collect();
    let belongs =
        |(text, bare): &(&str, &str)| !text.trim().is_empty() && !bare.trim_end().ends_with([';', '{', '}']);
    above.into_iter().rev().take_while(belongs).map(|(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::findings;

    const GOOD: &str = r#"
impl Limiter {
    /// Waits.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken.
    #[expect(
        clippy::x,
        reason = "y; z"
    )]
    pub async fn acquire(&self) {}

    pub(crate) async fn inner(&self) {}
}

pin_project! {
    /// A future.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    #[must_use = "futures do nothing unless polled"]
    pub struct Acquire<'a> { x: &'a u8 }
}

impl<'a> Future for Acquire<'a> {}
impl Future for Private {}
struct Private;
"#;

    #[test]
    fn async_functions_without_cancel_safety_are_found() {
        let bad = "/// # Cancel safety\npub fn a() {}\n\n/// Waits.\n    pub async fn b() {}\n";
        let files =
            [("crates/a/src/lib.rs", GOOD), ("crates/b/src/c/d.rs", bad), ("crates/a/tests/it/x.rs", bad)];
        let found = findings(async_functions_say_what_dropping_does, &files);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/b/src/c/d.rs:5: add `# Cancel safety`"));
    }

    #[test]
    fn futures_without_cancel_safety_are_found_where_they_are_declared() {
        let files = [
            ("crates/a/src/lib.rs", GOOD),
            ("crates/b/src/imp.rs", "impl<T> std::future::Future for super::types::Wait<T> where T: X {}\n"),
            ("crates/b/src/types.rs", "/// Waits.\npub struct Wait<T>(T);\npub struct Waiter;\n"),
            ("crates/c/src/lib.rs", "/// Another crate's.\npub struct Wait;\n"),
        ];
        let found = findings(future_types_say_what_dropping_does, &files);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/b/src/types.rs:2: a future: add `# Cancel safety`"));
    }

    #[test]
    fn futures_and_streams_without_must_use_are_found() {
        let bad = "pub enum Wait {}\nimpl Future for Wait {}\n#[must_use]\nfn f() {}\n\
            pub struct Pages;\nimpl Stream for Pages {}\n";
        let found = findings(
            future_types_must_be_used,
            &[("crates/a/src/lib.rs", GOOD), ("crates/b/src/lib.rs", bad)],
        );
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("crates/b/src/lib.rs:1: a future or stream: add `#[must_use"));
        assert!(found[1].starts_with("crates/b/src/lib.rs:5: "));
    }
}
