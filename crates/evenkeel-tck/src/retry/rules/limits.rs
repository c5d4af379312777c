//! The time of a call, and of an attempt.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-32" retry_32 "The total time is measured on the runtime's clock."),
    rule!(Must "RETRY-33" retry_33 "No attempt begins after the total time.").after("RETRY-32"),
    rule!(Must "RETRY-34" retry_34 "A wait that would outlast the total time is not begun.")
        .after("RETRY-32"),
    rule!(Should "RETRY-35" retry_35 "An attempt in flight is dropped when the total time is over.")
        .after("RETRY-32"),
    rule!(Must "RETRY-36" retry_36 "An attempt is dropped at its own limit, and another one made."),
];

pub(super) const MORE: &[Rule<Settings>] =
    &[rule!(Must "RETRY-81" retry_81 "Attempts that are dropped at their own limit use up attempts.")
        .after("RETRY-36")];

/// A total time of five seconds, for as many attempts as fit.
pub(super) fn five_seconds(delay: Duration) -> Settings {
    Settings { total_timeout: Some(secs(5)), ..Settings::fixed(delay).attempts(1_000_000) }
}

async fn retry_32(subject: &Subject) -> Checked {
    let policy = configure(subject, &five_seconds(secs(1)))?;
    // An end, early or late: RETRY-33 and RETRY-34 ask when.
    FinishedCall::within(secs(60), &policy, |_| Step::TRANSIENT).await.map(drop)
}

async fn retry_33(subject: &Subject) -> Checked {
    let run = run_call(subject, &five_seconds(secs(1)), |_| Step::TRANSIENT.taking(secs(2))).await?;
    run.equal("attempts of 2s each at", run.begun(), vec![secs(0), secs(3)])?;
    // The second one fails at 4s: an implementation that looks at the time then, and not again, is late.
    let crossing = run_call(subject, &five_seconds(secs(2)), |_| Step::TRANSIENT.taking(secs(1))).await?;
    none_begins_late(&crossing)
}

/// A last attempt at the end itself, after a shorter wait, is allowed.
fn none_begins_late(run: &FinishedCall) -> Checked {
    let begun = run.begun();
    run.require(
        begun.iter().all(|at| *at <= secs(5)),
        "no attempt after 5s",
        format_args!("attempts at {begun:?}"),
    )
}

async fn retry_34(subject: &Subject) -> Checked {
    let run = run_call(subject, &five_seconds(secs(3)), |_| Step::TRANSIENT).await?;
    none_begins_late(&run)?;
    let last = run.ended().last().copied().unwrap_or_default();
    run.equal("time after the last attempt", run.elapsed.saturating_sub(last), ms(0))
}

async fn retry_35(subject: &Subject) -> Checked {
    let run = run_call(subject, &five_seconds(secs(1)), |_| Step::TRANSIENT.taking(secs(60))).await?;
    run.equal("the only attempt, of 60s, dropped at", run.freed(), vec![secs(5)])
}

async fn retry_36(subject: &Subject) -> Checked {
    let settings = Settings { attempt_timeout: Some(secs(2)), ..Settings::fixed(secs(1)) };
    let script = |attempt| if attempt == 1 { Step::OK.taking(secs(60)) } else { Step::OK };
    let run = run_call(subject, &settings, script).await?;
    run.equal("attempts, the first of 60s, at", run.begun(), vec![secs(0), secs(3)])?;
    run.equal("attempts dropped at", run.freed(), vec![secs(2), secs(3)])?;
    run.returns(Expected::ValueOf(2))
}

async fn retry_81(subject: &Subject) -> Checked {
    let settings = Settings { attempt_timeout: Some(secs(2)), ..Settings::fixed(secs(1)) };
    let policy = configure(subject, &settings)?;
    let run = FinishedCall::within(secs(60), &policy, |_| Step::OK.taking(secs(60))).await?;
    run.equal("attempts of 60s each at", run.begun(), [0, 3, 6, 9].map(secs).to_vec())
}
