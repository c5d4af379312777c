//! Errors that say how long to wait.

use std::time::Duration;

use super::limits::five_seconds;
use crate::{
    Rule,
    duration::{ms, secs},
    retry::{
        Adapter, Capability, Hint, Settings,
        operation::Step,
        trial::{Trial, configure, needs, trial},
    },
    rule::{Checked, rule},
};

pub(super) const RULES: &[Rule<dyn Adapter>] = &[
    rule!(Must "RETRY-37" retry_37 "A wait is never shorter than the error asks for."),
    rule!(Must "RETRY-38" retry_38 "Waits that errors ask for use up attempts."),
    rule!(Must "RETRY-39" retry_39 "A wait asked for that would outlast the total time is not begun.")
        .after("RETRY-32"),
    rule!(Must "RETRY-40" retry_40 "Nobody waits longer than the limit for waits asked for."),
    rule!(Should "RETRY-41" retry_41 "After a wait asked for, the delays go on or begin anew.")
        .after("RETRY-37"),
];

pub(super) const fn asking(wait: Duration) -> Step {
    Step::refusing(Hint::RetryAfter(wait))
}

async fn retry_37(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::RetryAfter)?;
    let script = |attempt| if attempt == 1 { asking(secs(5)) } else { Step::OK };
    let trial = trial(subject, &Settings::doubling(), script).await?;
    let wait = trial.record.waits().first().copied().unwrap_or_default();
    trial.require(wait >= secs(5), || "a wait of at least 5s".to_owned(), || format!("{wait:?}"))
}

async fn retry_38(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::RetryAfter)?;
    let policy = configure(subject, &Settings::doubling())?;
    let trial = Trial::within(secs(60), &policy, |_| asking(secs(1))).await?;
    trial.equal("number of attempts", trial.attempts(), 4)
}

async fn retry_39(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::RetryAfter)?;
    let trial = trial(subject, &five_seconds(secs(1)), |_| asking(secs(60))).await?;
    trial.equal("given up at", trial.elapsed, ms(0))
}

async fn retry_40(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::RetryAfter)?;
    let settings = Settings { max_retry_after: Some(secs(2)), ..Settings::doubling() };
    let script = |attempt| if attempt == 1 { asking(secs(3600)) } else { Step::OK };
    let trial = trial(subject, &settings, script).await?;
    trial.require(trial.elapsed <= secs(2), || "at most 2s".to_owned(), || format!("{:?}", trial.elapsed))
}

async fn retry_41(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::RetryAfter)?;
    let script = |attempt| if attempt == 1 { asking(secs(5)) } else { Step::TRANSIENT };
    let trial = trial(subject, &Settings::doubling(), script).await?;
    let next = trial.record.waits().get(1).copied().unwrap_or_default();
    // Within a percent, as in RETRY-10.
    let is = |want: Duration| next.abs_diff(want) <= want / 100 + ms(1);
    trial.require(
        is(ms(100)) || is(ms(200)),
        || "a delay of 100ms or 200ms after the one asked for".to_owned(),
        || format!("{next:?}"),
    )
}
