//! Tests that may end their process, in a process of their own.

use std::time::Duration;

use super::{Program, Settings, Step};
use crate::{Adapter, Verdict, adapter::configure, child::errors_of, verdict::Checked};

/// The test whose thread is blocked, and the one that fails with a seed.
pub(crate) const BLOCKED: &str = "TESTKIT-20";
pub(crate) const FAILS_WITH_A_SEED: &str = "TESTKIT-53";

/// The limit of real time for the blocked test: time enough for a process that starts on a slow machine to come to its
/// blocking call, and to say so.
const WALL_LIMIT: Duration = Duration::from_secs(3);

/// The seed that a failing test has to tell.
pub(crate) const SEED: u64 = 8_141_592_653;

/// The words with which the test of the seed fails.
pub(crate) const FAILURE: &str = "the test fails, for its seed to be told";

/// Longer than any kit needs to end a test whose limit has passed.
const LIMIT: Duration = Duration::from_secs(20);

/// The settings of the test of a rule, for the kit that runs it and for the one that starts its process.
fn settings_of(rule: &str) -> Settings {
    let lasts = Duration::from_secs(60);
    Settings { lasts, wall_limit: (rule == BLOCKED).then_some(WALL_LIMIT), ..Settings::default() }
}

/// Runs the test of a rule that needs a process of its own: what [`TestKit::child`](super::TestKit::child) starts.
///
/// # Errors
/// The verdict, if the kit cannot be configured for the test, or there is no such rule.
///
/// # Panics
/// Where the kit fails the test. It may also end the process.
pub fn run_alone(subject: &dyn Adapter<Settings>, rule: &str) -> Result<(), Verdict> {
    match rule {
        BLOCKED => configure(subject, &settings_of(rule))?.run(Program::new([Step::Block])),
        FAILS_WITH_A_SEED => {
            let kit = configure(subject, &settings_of(rule))?;
            let body = async |connect: super::Connector| {
                let connection = connect().await;
                assert!(connection.is_err(), "{FAILURE}");
            };
            kit.simulate(SEED, Box::new(move |connect| Box::pin(body(connect))));
        }
        other => return Err(Verdict::Untested(format!("{other} needs no process of its own"))),
    }
    Ok(())
}

/// Runs that test in a child. Returns whether it succeeded and what it wrote, or `None` if it did not end.
pub(crate) fn run_in_child(
    subject: &dyn Adapter<Settings>,
    rule: &'static str,
) -> Checked<Option<(bool, String)>> {
    let kit = configure(subject, &settings_of(rule))?;
    let command = kit.child(rule);
    let command = command.ok_or_else(|| Verdict::NotExpressible("a process of its own".to_owned()))?;
    let ended = errors_of(command, LIMIT);
    let ended = ended.map_err(|error| Verdict::Untested(format!("no child process: {error}")))?;
    Ok(ended.map(|(errors, status)| (status.success(), errors)))
}
