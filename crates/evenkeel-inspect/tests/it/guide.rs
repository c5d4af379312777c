//! The outages of the guide: each listing is a program of `examples/`, and each dump is what that program prints.
//!
//! A dump is compared by its words, since the width of a line depends on the paths in it. `cargo run -p evenkeel-inspect --example
//! NAME` prints the one that belongs into the guide.

use evenkeel_inspect::Dump;
use evenkeel_testkit::World;

#[expect(dead_code, reason = "`main` is that of a program")]
#[path = "../../examples/call_without_end.rs"]
mod call_without_end;
#[expect(dead_code, reason = "`main` is that of a program")]
#[path = "../../examples/deploy_that_hangs.rs"]
mod deploy_that_hangs;
#[expect(dead_code, reason = "`main` is that of a program")]
#[path = "../../examples/locked_row.rs"]
mod locked_row;
#[expect(dead_code, reason = "`main` is that of a program")]
#[path = "../../examples/nested_connections.rs"]
mod nested_connections;
#[expect(dead_code, reason = "`main` is that of a program")]
#[path = "../../examples/opposite_order.rs"]
mod opposite_order;
#[expect(dead_code, reason = "`main` is that of a program")]
#[path = "../../examples/quota_without_store.rs"]
mod quota_without_store;

const GUIDE: &str = include_str!("../../GUIDE.md");

/// The part of a program that is the same in all of them is not in the guide.
const LOOK: &str = "/// Looks at the";

/// Returns the text between two others, the first of which is there once; to the end, if the second is not there.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (before, rest) = text.split_once(begin).unwrap_or_else(|| panic!("no {begin:?}"));
    assert!(!before.is_empty() && !rest.contains(begin), "{begin:?} is there twice");
    rest.split_once(end).map_or(rest, |(part, _)| part)
}

/// Returns the words of a dump, without the numbers of tasks and brokers, and without the lines of library code.
fn words(dump: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in dump.split_whitespace() {
        let is_number = word.trim_end_matches([',', ':']).parse::<u64>().is_ok();
        let is_of_task = words.last().is_some_and(|last| last == "task" || last == "thread");
        words.push(
            match (is_of_task && is_number, word.rsplit_once("examples/"), word.split_once("/src/")) {
                (true, ..) => "N".to_owned(),
                (_, Some((_, place)), _) => place.trim_matches(['(', ')', ':']).to_owned(),
                (_, _, Some((library, _))) => format!("{library}/src"),
                _ if word.starts_with("'memory") => word.split_once(':').expect("an id").1.to_owned(),
                _ => word.to_owned(),
            },
        );
    }
    words
}

fn check(name: &str, program: &str, look: impl Future<Output = Dump>) {
    let outage = between(GUIDE, &format!("(examples/{name}.rs)"), "\n# ");
    let begin = program.find("\nuse ").expect("imports") + 1;
    let listing = &program[begin..program.find(LOOK).expect("a look")];
    let shown = between(outage, "```rust\n", "```");
    assert_eq!(shown.trim_end(), listing.trim_end(), "the listing of {name}");
    let dump = World::run(async move |_| look.await.to_string());
    let shown = between(outage, "```text\n", "```");
    assert_eq!(words(shown), words(&dump), "the dump of {name} is now\n{dump}");
}

macro_rules! outages {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            check(
                stringify!($name),
                include_str!(concat!("../../examples/", stringify!($name), ".rs")),
                async { self::$name::look().await },
            );
        }
    )*};
}

outages!(nested_connections opposite_order locked_row call_without_end quota_without_store deploy_that_hangs);
