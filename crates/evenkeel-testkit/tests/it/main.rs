//! The behavior of the test kit.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, Output},
    time::Duration,
};

mod block;
mod cancel;
mod clock;
mod hang;
mod hold;
#[cfg(feature = "http")]
mod http;
mod leak;
mod net;
mod panic;
#[cfg(feature = "tokio-test")]
mod polled_by_hand;
mod probe;
mod quiescence;
mod real;
mod record;
mod report;
mod seed;
mod sequencer;
mod settle;
#[cfg(feature = "proptest")]
mod strategy;
#[cfg(feature = "timeline")]
mod timeline;
#[cfg(feature = "waker")]
mod wakers;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The message of the panic that `test` ends with.
fn panic_of(test: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(test)).expect_err("a panic");
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => (*payload.downcast::<&str>().expect("a message")).to_owned(),
    }
}

const CHILD: &str = "EVENKEEL_TEST_CHILD";

/// Whether this process is the child that is meant to run a test that ends badly.
fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

/// Runs one test of this binary in a separate process.
fn run_child(test: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env::current_exe().expect("a path"));
    command.args(["--exact", test]).env(CHILD, "1").envs(variables.iter().copied());
    command.output().expect("a child")
}
