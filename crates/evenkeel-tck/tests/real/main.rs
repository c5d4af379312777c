//! Children that report, crash and hang, of which the test binary is its own; and adapters that do not keep the protocol.

#[cfg(unix)]
mod cli;
#[cfg(unix)]
mod protocol;
#[cfg(unix)]
mod settings;

use std::{env, process::Command, time::Duration};

use evenkeel_tck::{Adapter, AdapterError, Verdict, child, retry};

const PART: &str = "EVENKEEL_TCK_TEST_CHILD";

/// Runs the part that this variable names; does nothing in the parent.
#[test]
#[ignore = "real tier"]
fn child() {
    match env::var(PART).as_deref() {
        Ok("reports") => child::report(&Verdict::Crashed("in a word:\nbadly".to_owned())).unwrap(),
        Ok("reports all") => child::report_all(&retry::SUITE.run(&Nothing)).unwrap(),
        Ok("aborts") => std::process::abort(),
        Ok("spins") => loop {
            std::hint::spin_loop();
        },
        _ => {}
    }
}

/// It cannot be configured.
struct Nothing;

impl Adapter<retry::Settings> for Nothing {
    fn supports(&self, _: retry::Capability) -> Result<(), &'static str> {
        Err("there is no such thing")
    }

    fn configure(&self, _: &retry::Settings) -> Result<retry::Policy, AdapterError> {
        Err(AdapterError::NotExpressible("anything"))
    }
}

fn command(part: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a test has a path"));
    command.args(["--exact", "child", "--include-ignored", "--nocapture"]).env(PART, part);
    command
}

fn run(part: &str, limit: Duration) -> Verdict {
    child::run(command(part), limit)
}

#[test]
#[ignore = "real tier"]
fn a_whole_report_comes_back() {
    let told = child::run_all(&retry::SUITE, command("reports all"), Duration::from_secs(60)).unwrap();
    let wanted = retry::SUITE.run(&Nothing);
    assert_eq!(format!("{told}"), format!("{wanted}"));
    assert_eq!(told.findings.len(), wanted.findings.len());
    let error = child::run_all(&retry::SUITE, command("aborts"), child::LIMIT).unwrap_err();
    assert_eq!(error.to_string(), "ended by signal 6");
    let error = child::run_all(&retry::SUITE, command("spins"), Duration::from_millis(200)).unwrap_err();
    assert_eq!(error.to_string(), "it is still running after 200ms");
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
