//! Names: one meaning for each, and no metaphors; the words are those of the glossary in ARCHITECTURE.md.

use std::collections::BTreeMap;

use super::{
    rust::tokens,
    tree::{File, Tree},
};

/// Public types that several crates have, each with the one meaning that they share.
const SHARED: [(&str, &str); 18] = [
    ("Builder", "sets what the type of its module is built with"),
    ("Clock", "how time passes for a limiter or in a test"),
    ("Connector", "how clients reach a server of the test kit"),
    ("Demand", "how much is wanted: of a limit, of a source"),
    ("Error", "the error of its module, written with the module's name"),
    ("Finding", "something that is wrong: with an implementation, with a program that stands still"),
    ("Outcome", "how the task, the statement or the run ended that has it as a field"),
    ("Policy", "how the calls of an operation are retried"),
    ("Reason", "why something ended, as the glossary has it"),
    ("Reply", "what a server of the test kit answers"),
    ("Report", "the account of a whole run"),
    ("Script", "what a server of the test kit does"),
    ("Server", "a server of the test kit, in memory"),
    ("Settle", "what becomes of something that was taken: permits, deliveries"),
    ("Snapshot", "the numbers of a type now, as the glossary has it"),
    ("Source", "where items come from"),
    ("Task", "a task of a group or a program, before it is spawned"),
    ("Verdict", "a judgement: of a failure, of an implementation"),
];

/// The reference suite.
const SUITE: &str = "evenkeel-tck";

/// Words that name by comparison, in files and types; as a part of a name, too.
const METAPHORS: [&str; 43] = [
    "aftermath",
    "alarm",
    "alarms",
    "ambient",
    "bequeath",
    "books",
    "cleaner",
    "desk",
    "doom",
    "gate",
    "gates",
    "guest",
    "heir",
    "instruments",
    "lane",
    "lanes",
    "lasting",
    "leaving",
    "lent",
    "meter",
    "orphan",
    "pace",
    "passage",
    "patience",
    "presence",
    "roll",
    "seat",
    "seated",
    "seats",
    "settlement",
    "sheet",
    "shift",
    "steering",
    "till",
    "trail",
    "trial",
    "turned",
    "turnstile",
    "unasked",
    "unfit",
    "untrodden",
    "upshot",
    "vital",
];

/// Names with such a word in its plain meaning.
const PLAIN: [(&str, &str); 3] = [
    ("lanes", "the lanes of a chart, one above the other"),
    ("Lanes", "the same"),
    ("VitalTaskEnded", "shutdown calls a task vital whose end stops the program"),
];

/// Whole names that mean little or something else, in the folders where they stood; the glossary's table has the better ones.
const UNCLEAR: [(&str, &[&str]); 11] = [
    ("", &["at_once", "none_ok", "runner", "seq", "took", "wall", "way", "won"]),
    (
        "crates/evenkeel-limit/src/",
        &["ask", "atomics", "called", "control", "decided", "interleavings", "terms", "turn"],
    ),
    ("crates/evenkeel-pool/src/", &["line", "manage", "turn"]),
    ("crates/evenkeel-postgres/src/", &["home", "kept", "recent", "stage"]),
    ("crates/evenkeel-retry/src/", &["invalid", "judge", "latencies", "later", "progress", "run", "tries"]),
    (
        "crates/evenkeel-shutdown/src/",
        &["busy", "given", "job", "plan", "process", "sequence", "waited", "watched"],
    ),
    ("crates/evenkeel-stream/src/", &["window"]),
    ("crates/evenkeel-task/src/", &["label", "member", "members", "observe", "page", "turn"]),
    ("crates/evenkeel-tck/src/", &["beyond", "cuts", "life", "several"]),
    ("crates/evenkeel-testkit/src/world/", &["busy", "idle", "quiet", "rest"]),
    ("examples/harvest/src/", &["floor", "held", "left"]),
];

/// A public type of two published crates has one meaning: [`SHARED`] says which.
///
/// The reference suite has a chapter for each pattern, with that pattern's words: `limit::Permit` of the suite is what
/// evenkeel-limit's is.
pub(super) fn public_types_have_one_meaning(tree: &Tree) -> Vec<String> {
    named_in_two_crates(tree, &SHARED)
}

fn named_in_two_crates(tree: &Tree, shared: &[(&str, &str)]) -> Vec<String> {
    // The places of each name by the crate, or by the chapter of the suite.
    let mut places: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for package in tree.published() {
        let folder = package.path("src/");
        for file in tree.rust_files() {
            let Some(inner) = file.path.strip_prefix(&folder) else { continue };
            let chapter = format!("evenkeel-{}", inner.split(['/', '.']).next().unwrap_or_default());
            let is_chapter = package.name == SUITE && tree.published().any(|other| other.name == chapter);
            let owner = if is_chapter { format!("{SUITE}, {chapter}") } else { package.name.clone() };
            for declared in types(file).into_iter().filter(|declared| declared.public) {
                let place = format!("{}:{}", file.path, declared.line);
                places.entry(declared.name).or_default().entry(owner.clone()).or_insert(place);
            }
        }
    }
    for owners in places.values_mut() {
        let mirrored: Vec<String> = owners.keys().map(|owner| format!("{SUITE}, {owner}")).collect();
        owners.retain(|owner, _| !mirrored.contains(owner));
        // The chapters name their own things alike.
        let chapters: Vec<_> = owners.extract_if(.., |owner, _| owner.starts_with(SUITE)).collect();
        owners.extend(chapters.into_iter().map(|(_, place)| (SUITE.to_owned(), place)));
    }
    let mut found = Vec::new();
    for (name, places) in places.iter().filter(|(_, places)| places.len() > 1) {
        if shared.iter().all(|(other, _)| other != name) {
            let owners = places.keys().map(String::as_str).collect::<Vec<_>>().join(" and ");
            let message =
                format!("`{name}` is a public type of {owners}: rename one, or say in SHARED what both mean");
            found.extend(places.values().map(|place| format!("{place}: {message}")));
        }
    }
    found
}

/// No file or type is named by a metaphor, or by a name that has been replaced.
pub(super) fn names_are_the_fields_words(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.rust_files() {
        // The last is the file's own name.
        let mut folders: Vec<&str> = file.path.trim_end_matches(".rs").split('/').collect();
        let stem = folders.pop().unwrap_or_default();
        if let Some(why) = unclear(file, stem, stem) {
            found.push(format!("{}: {why}: name the file after its content", file.path));
        }
        if let Some(why) = folders.into_iter().find_map(metaphor) {
            found.push(format!("{}: {why}: name the folder after its content", file.path));
        }
        for declared in types(file) {
            if let Some(why) = unclear(file, declared.name, &snake(declared.name)) {
                let message = format!("`{}`: {why}: take the field's word", declared.name);
                found.push(file.finding(declared.line, &message));
            }
        }
    }
    found
}

fn unclear(file: &File, name: &str, snake: &str) -> Option<String> {
    if PLAIN.iter().any(|(plain, _)| *plain == name) {
        return None;
    }
    if let Some(why) = metaphor(snake) {
        return Some(why);
    }
    let mut here = UNCLEAR.iter().filter(|(folder, _)| file.path.starts_with(folder));
    here.any(|(_, names)| names.contains(&snake)).then(|| "the name says little".to_owned())
}

fn metaphor(snake: &str) -> Option<String> {
    snake.split('_').find(|word| METAPHORS.contains(word)).map(|word| format!("`{word}` is a metaphor"))
}

struct Type<'a> {
    name: &'a str,
    line: usize,
    public: bool,
}

/// The types that a file declares, inside macros as well.
fn types(file: &File) -> Vec<Type<'_>> {
    let tokens = tokens(&file.bare);
    let mut found = Vec::new();
    for (at, &(offset, keyword)) in tokens.iter().enumerate() {
        let Some(&(_, name)) = tokens.get(at + 1) else { break };
        let before = at.checked_sub(1).map_or("", |before| tokens[before].1);
        let declares = matches!(keyword, "struct" | "enum" | "trait" | "union")
            || (keyword == "type" && matches!(before, "pub" | ")" | ";" | "}" | ""));
        if declares && name.starts_with(|c: char| c.is_ascii_uppercase()) {
            let line = file.bare[..offset].matches('\n').count() + 1;
            found.push(Type { name, line, public: before == "pub" });
        }
    }
    found
}

/// `WakeList` becomes `wake_list`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::{named_in_two_crates, names_are_the_fields_words, public_types_have_one_meaning};
    use crate::tidy::tree::findings;

    const A: (&str, &str) = ("crates/a/Cargo.toml", "[package]\nname = \"evenkeel-a\"\n");
    const B: (&str, &str) = ("crates/b/Cargo.toml", "[package]\nname = \"evenkeel-b\"\n");
    const TCK: (&str, &str) = ("crates/tck/Cargo.toml", "[package]\nname = \"evenkeel-tck\"\n");

    #[test]
    fn a_public_type_of_two_crates_is_found() {
        let files = [
            A,
            B,
            TCK,
            (
                "crates/a/src/lib.rs",
                "pub struct Closed;\npub struct Error;\npub(crate) struct Inner;\npub enum Mode {}\n",
            ),
            (
                "crates/b/src/x.rs",
                "pin_project! {\n    pub struct Closed<T> { t: T }\n}\npub enum Error {}\npub type Inner = u8;\n",
            ),
            ("crates/tck/src/a/x.rs", "pub enum Mode {}\n"),
            ("crates/tck/src/a.rs", "pub struct Closed;\n"),
            ("tests/x.rs", "pub enum Mode {}\n"),
        ];
        let found = findings(public_types_have_one_meaning, &files);
        let why = "`Closed` is a public type of evenkeel-a and evenkeel-b: rename one, or say in SHARED what both mean";
        assert_eq!(found, [format!("crates/a/src/lib.rs:1: {why}"), format!("crates/b/src/x.rs:2: {why}")]);
        assert_eq!(
            findings(|tree| named_in_two_crates(tree, &[]), &files).len(),
            4,
            "`Error` is in the list"
        );
        let other = ("crates/tck/src/b.rs", "pub enum Mode {}\n");
        let found = findings(public_types_have_one_meaning, &[files.as_slice(), &[other]].concat());
        assert_eq!(found.len(), 4, "a chapter has the words of its own pattern: {found:?}");
    }

    #[test]
    fn metaphors_and_old_names_are_found() {
        let files = [
            ("crates/a/src/turnstile.rs", "struct Core;\n"),
            (
                "crates/a/src/good.rs",
                "struct Interest; // struct Lane\ntype Alarm = u8;\nenum FastLane {}\nfn f<T: Trait<Type = Desk>>() {}\n",
            ),
            ("crates/evenkeel-testkit/src/world/quiet.rs", "pub trait Idle {}\n"),
            ("crates/evenkeel-testkit/src/world/quiescence.rs", "struct IdleTime;\n"),
            ("crates/evenkeel-pool/src/idle.rs", "struct Idle;\n"),
            ("crates/a/src/till/calls.rs", ""),
            ("examples/harvest/src/timeline/lanes.rs", ""),
        ];
        let expected = [
            "crates/a/src/good.rs:2: `Alarm`: `alarm` is a metaphor: take the field's word",
            "crates/a/src/good.rs:3: `FastLane`: `lane` is a metaphor: take the field's word",
            "crates/a/src/till/calls.rs: `till` is a metaphor: name the folder after its content",
            "crates/a/src/turnstile.rs: `turnstile` is a metaphor: name the file after its content",
            "crates/evenkeel-testkit/src/world/quiet.rs: the name says little: name the file after its content",
            "crates/evenkeel-testkit/src/world/quiet.rs:1: `Idle`: the name says little: take the field's word",
        ];
        assert_eq!(findings(names_are_the_fields_words, &files), expected);
    }
}
