//! Children that report, crash and hang. The test binary is its own child.

use std::{env, process::Command, time::Duration};

use evenkeel_tck::{Verdict, child};

const PART: &str = "EVENKEEL_TCK_TEST_CHILD";

/// Runs the part that this variable names; does nothing in the parent.
#[test]
#[ignore = "real tier"]
fn child() {
    match env::var(PART).as_deref() {
        Ok("reports") => child::report(&Verdict::Crashed("in a word:\nbadly".to_owned())).unwrap(),
        Ok("aborts") => std::process::abort(),
        Ok("spins") => loop {
            std::hint::spin_loop();
        },
        _ => {}
    }
}

fn run(part: &str, limit: Duration) -> Verdict {
    let mut command = Command::new(env::current_exe().expect("a test has a path"));
    command.args(["--exact", "child", "--include-ignored", "--nocapture"]).env(PART, part);
    child::run(command, limit)
}

#[test]
#[ignore = "real tier"]
fn a_verdict_comes_back() {
    assert_eq!(run("reports", child::LIMIT), Verdict::Crashed("in a word:\nbadly".to_owned()));
}

#[test]
#[ignore = "real tier"]
fn a_child_that_says_nothing_has_crashed() {
    let Verdict::Crashed(how) = run("nothing", child::LIMIT) else { panic!("it did not") };
    assert!(how.starts_with("ended without a verdict"), "{how}");
}

#[cfg(unix)]
#[test]
#[ignore = "real tier"]
fn a_child_that_aborts_has_crashed_by_its_signal() {
    assert_eq!(run("aborts", child::LIMIT), Verdict::Crashed("ended by signal 6".to_owned()));
}

#[test]
#[ignore = "real tier"]
fn a_child_that_spins_is_ended_at_the_limit() {
    let limit = Duration::from_millis(200);
    assert_eq!(run("spins", limit), Verdict::Hung(limit));
}
