//! Tests run on paused time, except for the ones against real servers.

use super::tree::{File, Tree};

pub(super) fn tests_do_not_wait_for_the_wall_clock(tree: &Tree) -> Vec<String> {
    let real = |file: &&File| ["tests/real/", "tests/soak/"].iter().any(|tier| file.path.contains(tier));
    let tests = tree.rust_files().filter(|file| file.path.split('/').any(|part| part == "tests"));
    let how = "sleeps in real time: use tokio::time::sleep on paused time, or move the test to tests/real";
    lines_with(tests.filter(|file| !real(file)), "thread::sleep", how)
}

pub(super) fn time_is_paused_from_the_start(tree: &Tree) -> Vec<String> {
    let how = "pauses a running clock: build the runtime paused, as the test kit's World does";
    lines_with(tree.rust_files(), "time::pause(", how)
}

fn lines_with<'a>(files: impl Iterator<Item = &'a File>, call: &str, how: &str) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let lines = file.bare.lines().enumerate().filter(|(_, line)| line.contains(call));
        found.extend(lines.map(|(index, _)| file.finding(index + 1, how)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{tests_do_not_wait_for_the_wall_clock, time_is_paused_from_the_start};
    use crate::tidy::tree::findings;

    #[test]
    fn real_sleeps_are_found_outside_the_real_tier() {
        let sleeps = "\nfn f() { std::thread::sleep(d); }\n";
        let files = [
            ("crates/a/src/lib.rs", sleeps),
            ("crates/a/tests/it/bad.rs", sleeps),
            ("crates/a/tests/it/good.rs", "// thread::sleep\nfn f() { tokio::time::sleep(d); }\n"),
            ("tests/real/good.rs", sleeps),
            ("tests/soak/good.rs", sleeps),
            ("tests/suite/bad.rs", sleeps),
        ];
        let found = findings(tests_do_not_wait_for_the_wall_clock, &files);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("crates/a/tests/it/bad.rs:2: sleeps in real time"));
        assert!(found[1].starts_with("tests/suite/bad.rs:2: sleeps in real time"));
    }

    #[test]
    fn pausing_later_is_found() {
        let files = [("a.rs", "fn f() {\n    tokio::time::pause();\n}\n"), ("b.rs", "// time::pause()\n")];
        let found = findings(time_is_paused_from_the_start, &files);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("a.rs:2: pauses a running clock"));
    }
}
