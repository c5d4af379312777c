//! Attempts that last, and the series that starts over after one of them.

use super::{deadlines::until, delays::near, prelude::*};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-60" retry_60 "The failure of an attempt that lasted for the healthy period counts as the first."),
    rule!(Must "RETRY-61" retry_61 "After such an attempt the delays start over.").after("RETRY-10"),
    rule!(Must "RETRY-62" retry_62 "After an attempt that was shorter nothing starts over.")
        .after("RETRY-10"),
    rule!(Must "RETRY-63" retry_63 "Neither waits nor other attempts count for the healthy period."),
    rule!(Must "RETRY-64" retry_64 "The total time and the deadline go on.").after("RETRY-33"),
    rule!(Must "RETRY-65" retry_65 "A healthy period of zero is refused, or is no reason to try for ever."),
];

const HEALTHY: Duration = secs(60);
const HOUR: Duration = secs(3600);

fn lasting(settings: Settings) -> Settings {
    Settings { reset_after: Some(HEALTHY), ..settings }
}

async fn retry_60(subject: &Subject) -> Checked {
    let script = |attempt| Step::TRANSIENT.taking(if attempt <= 10 { HEALTHY } else { ms(0) });
    let run = run_call(subject, &lasting(Settings::doubling()), script).await?;
    run.equal("number of attempts, of which ten last and four are allowed,", run.attempts(), 10 + 3)
}

async fn retry_61(subject: &Subject) -> Checked {
    let script = |attempt| match attempt {
        3 => Step::TRANSIENT.taking(HEALTHY),
        6 => Step::OK,
        _ => Step::TRANSIENT,
    };
    let run = run_call(subject, &lasting(Settings::doubling().attempts(100)), script).await?;
    delays(&run, &[100, 200, 100, 200, 400])
}

async fn retry_62(subject: &Subject) -> Checked {
    let script = |attempt| Step::TRANSIENT.taking(if attempt == 2 { HEALTHY - ms(1) } else { ms(0) });
    let run = run_call(subject, &lasting(Settings::doubling()), script).await?;
    delays(&run, &[100, 200, 400])
}

fn delays(run: &FinishedCall, millis: &[u64]) -> Checked {
    let (waits, want) = (run.waits(), millis.iter().copied().map(ms).collect::<Vec<_>>());
    run.require(
        waits.len() == want.len() && waits.iter().zip(&want).all(|(wait, want)| near(*wait, *want)),
        format_args!("delays of about {want:?}"),
        format_args!("{waits:?}"),
    )
}

async fn retry_63(subject: &Subject) -> Checked {
    let policy = configure(subject, &lasting(Settings::fixed(secs(50))))?;
    let run = FinishedCall::within(HOUR, &policy, |_| Step::TRANSIENT.taking(secs(50))).await?;
    run.equal("number of attempts", run.attempts(), 4)
}

async fn retry_64(subject: &Subject) -> Checked {
    let total = Settings { total_timeout: Some(secs(150)), ..Settings::fixed(secs(1)).attempts(1000) };
    ends_within_150s(subject, total).await?;
    match needs(subject, Capability::Deadline) {
        Ok(()) => ends_within_150s(subject, until(secs(150), secs(1))).await,
        Err(_) => Ok(()),
    }
}

async fn ends_within_150s(subject: &Subject, settings: Settings) -> Checked {
    let policy = configure(subject, &lasting(settings))?;
    let run = FinishedCall::within(HOUR, &policy, |_| Step::TRANSIENT.taking(HEALTHY)).await?;
    let expected = vec![secs(0), secs(61), secs(122)];
    run.equal("attempts of 60s each within 150s at", run.begun(), expected)
}

async fn retry_65(subject: &Subject) -> Checked {
    let settings = Settings { reset_after: Some(ms(0)), ..Settings::fixed(secs(1)) };
    let Some(policy) = unless_refused(subject, &settings)? else { return Ok(()) };
    let run = FinishedCall::within(HOUR, &policy, |_| Step::TRANSIENT).await?;
    run.require(run.attempts() <= 4, "at most 4 attempts", run.attempts())
}
