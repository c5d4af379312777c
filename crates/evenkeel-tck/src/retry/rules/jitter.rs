//! Chance in the delays.

use std::collections::BTreeSet;

use super::{prelude::*, retry_after::asking};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-25" retry_25 "With jitter, too, no delay is longer than the cap."),
    rule!(Should "RETRY-26" retry_26 "At the cap, jitter still spreads the delays."),
    rule!(Must "RETRY-27" retry_27 "Jitter does not compound from one retry to the next."),
    rule!(Must "RETRY-28" retry_28 "Two calls of one policy draw different delays."),
    rule!(Must "RETRY-29" retry_29 "The same seed gives the same delays, and another seed gives others."),
    rule!(Must "RETRY-30" retry_30 "Jitter of more than 100 percent is refused, or makes no delay zero."),
    rule!(Must "RETRY-31" retry_31 "Jitter spreads delays of whole seconds like any others."),
];

pub(super) const MORE: &[Rule<Settings>] = &[
    rule!(Must "RETRY-75" retry_75 "Two policies of the same settings draw different delays."),
    rule!(Must "RETRY-76" retry_76 "With jitter, too, no wait is shorter than the error asks for.")
        .after("RETRY-37"),
];

const HOUR: Duration = secs(3600);

fn jittered(initial: Duration, cap: Duration, attempts: u32) -> Settings {
    Settings { initial, cap, jitter: Some(Jitter::Usual), ..Settings::doubling().attempts(attempts) }
}

/// The delays of a call behind the first ones; the rule asks for this number in all.
fn behind(first: usize, run: &FinishedCall, number: usize) -> Checked<Vec<Duration>> {
    let mut waits = run.waits();
    run.require(waits.len() == number, format_args!("{number} delays"), waits.len())?;
    Ok(waits.split_off(first))
}

async fn retry_25(subject: &Subject) -> Checked {
    let run = run_call(subject, &jittered(secs(1), secs(10), 200), |_| Step::TRANSIENT).await?;
    let above = run.waits().iter().filter(|wait| **wait > secs(10)).count();
    run.require(above == 0, "no delay above 10s", format_args!("{above} of {} above it", run.retries()))
}

async fn retry_26(subject: &Subject) -> Checked {
    let run = run_call(subject, &jittered(secs(1), secs(10), 400), |_| Step::TRANSIENT).await?;
    // The first four are below the cap.
    let waits = behind(4, &run, 399)?;
    let at_cap = waits.iter().filter(|wait| **wait == secs(10)).count();
    run.require(
        at_cap * 100 <= waits.len(),
        "at most 1 % of the delays at exactly 10s",
        format_args!("{at_cap} of {}", waits.len()),
    )
}

async fn retry_27(subject: &Subject) -> Checked {
    let run = run_call(subject, &jittered(secs(1), secs(4), 503), |_| Step::TRANSIENT).await?;
    // The first two are below the cap.
    let waits = behind(2, &run, 502)?;
    let (early, late) = waits.split_at(waits.len() / 2);
    let mean = |waits: &[Duration]| waits.iter().sum::<Duration>() / waits.len() as u32;
    let (early, late) = (mean(early), mean(late));
    run.require(
        early.abs_diff(late) <= early * 3 / 10,
        "the same mean delay over retries 3 to 252 and 253 to 502",
        format_args!("{early:?} and {late:?}"),
    )
}

async fn retry_28(subject: &Subject) -> Checked {
    let policy = configure(subject, &jittered(secs(1), HOUR, 6))?;
    let first = FinishedCall::of(&policy, |_| Step::TRANSIENT).await?;
    let second = FinishedCall::of(&policy, |_| Step::TRANSIENT).await?;
    let (waits, again) = (first.waits(), second.waits());
    second.require(waits != again, "two calls with different delays", format_args!("{again:?} in both"))
}

async fn retry_29(subject: &Subject) -> Checked {
    let seeded = |seed| Settings { seed: Some(seed), ..jittered(secs(1), HOUR, 6) };
    let first = run_call(subject, &seeded(7), |_| Step::TRANSIENT).await?;
    let again = run_call(subject, &seeded(7), |_| Step::TRANSIENT).await?;
    let other = run_call(subject, &seeded(8), |_| Step::TRANSIENT).await?;
    again.equal("with the same seed", again.waits(), first.waits())?;
    other.require(
        other.waits() != first.waits(),
        "other delays with another seed",
        format_args!("{:?} with both", other.waits()),
    )
}

async fn retry_30(subject: &Subject) -> Checked {
    let settings = Settings {
        initial: secs(1),
        cap: secs(1),
        jitter: Some(Jitter::Percent(200)),
        ..Settings::doubling().attempts(100)
    };
    let Some(policy) = unless_refused(subject, &settings)? else { return Ok(()) };
    let run = FinishedCall::of(&policy, |_| Step::TRANSIENT).await?;
    let zero = run.waits().iter().filter(|wait| **wait <= ms(1)).count();
    run.require(zero == 0, "no delay of zero", format_args!("{zero} of {}", run.retries()))
}

async fn retry_31(subject: &Subject) -> Checked {
    let calls = 20;
    let mut first_waits = BTreeSet::new();
    for _ in 0..calls {
        let run = run_call(subject, &jittered(secs(1), HOUR, 2), |_| Step::TRANSIENT).await?;
        first_waits.extend(run.waits());
    }
    // In milliseconds, two of them may meet.
    if first_waits.len() >= calls / 2 {
        return Ok(());
    }
    Err(Verdict::fail(
        format_args!("{calls} delays spread around 1s"),
        format_args!("{first_waits:?} and no others"),
    ))
}

async fn retry_75(subject: &Subject) -> Checked {
    let settings = jittered(secs(1), HOUR, 6);
    let first = run_call(subject, &settings, |_| Step::TRANSIENT).await?;
    let second = run_call(subject, &settings, |_| Step::TRANSIENT).await?;
    let (waits, others) = (first.waits(), second.waits());
    second.require(
        waits != others,
        "two policies with different delays",
        format_args!("{others:?} with both"),
    )
}

async fn retry_76(subject: &Subject) -> Checked {
    needs(subject, Capability::RetryAfter)?;
    let attempts = 20;
    let script = move |attempt| if attempt < attempts { asking(secs(5)) } else { Step::OK };
    let run = run_call(subject, &jittered(ms(100), secs(1), attempts), script).await?;
    let shortest = run.waits().into_iter().min().unwrap_or_default();
    run.require(shortest >= secs(5), "no wait below 5s", format_args!("{shortest:?}"))
}
