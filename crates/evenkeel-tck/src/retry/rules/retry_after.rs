//! Errors that say how long to wait.

use super::{limits::five_seconds, prelude::*};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-37" retry_37 "A wait is never shorter than the error asks for."),
    rule!(Must "RETRY-38" retry_38 "Waits that errors ask for use up attempts."),
    rule!(Must "RETRY-39" retry_39 "A wait asked for that would outlast the total time is not begun.")
        .after("RETRY-32"),
    rule!(Must "RETRY-40" retry_40 "Nobody waits longer than the limit for waits asked for."),
    rule!(Should "RETRY-41" retry_41 "After a wait asked for, the delays go on or start over.")
        .after("RETRY-37"),
];

pub(super) const fn asking(wait: Duration) -> Step {
    Step::refusing(Hint::RetryAfter(wait))
}

async fn retry_37(subject: &Subject) -> Checked {
    needs(subject, Capability::RetryAfter)?;
    let script = |attempt| if attempt == 1 { asking(secs(5)) } else { Step::OK };
    let run = run_call(subject, &Settings::doubling(), script).await?;
    let wait = run.waits().first().copied().unwrap_or_default();
    run.require(wait >= secs(5), "a wait of at least 5s", format_args!("{wait:?}"))
}

async fn retry_38(subject: &Subject) -> Checked {
    needs(subject, Capability::RetryAfter)?;
    let policy = configure(subject, &Settings::doubling())?;
    let run = FinishedCall::within(secs(60), &policy, |_| asking(secs(1))).await?;
    run.equal("number of attempts", run.attempts(), 4)
}

async fn retry_39(subject: &Subject) -> Checked {
    needs(subject, Capability::RetryAfter)?;
    let run = run_call(subject, &five_seconds(secs(1)), |_| asking(secs(60))).await?;
    run.equal("given up at", run.elapsed, ms(0))
}

async fn retry_40(subject: &Subject) -> Checked {
    needs(subject, Capability::RetryAfter)?;
    let settings = Settings { max_retry_after: Some(secs(2)), ..Settings::doubling() };
    let script = |attempt| if attempt == 1 { asking(secs(3600)) } else { Step::OK };
    let run = run_call(subject, &settings, script).await?;
    run.require(run.elapsed <= secs(2), "at most 2s", format_args!("{:?}", run.elapsed))
}

async fn retry_41(subject: &Subject) -> Checked {
    needs(subject, Capability::RetryAfter)?;
    let script = |attempt| if attempt == 1 { asking(secs(5)) } else { Step::TRANSIENT };
    let run = run_call(subject, &Settings::doubling(), script).await?;
    let next = run.waits().get(1).copied().unwrap_or_default();
    // Within a percent, as in RETRY-10.
    let is = |want: Duration| next.abs_diff(want) <= want / 100 + ms(1);
    run.require(
        is(ms(100)) || is(ms(200)),
        "a delay of 100ms or 200ms after the one asked for",
        format_args!("{next:?}"),
    )
}
