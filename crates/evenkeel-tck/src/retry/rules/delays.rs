//! The delays between attempts, without jitter.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-10" retry_10 "The delays grow by the factor, to within one percent."),
    rule!(Should "RETRY-11" retry_11 "The delays are exact.").after("RETRY-10"),
    rule!(Must "RETRY-12" retry_12 "The operation is not called again before its delay is over."),
    rule!(Must "RETRY-13" retry_13 "No delay is longer than the cap."),
    rule!(Must "RETRY-14" retry_14 "An initial delay above the cap is refused, or the cap holds for it, too."),
    rule!(Must "RETRY-15" retry_15 "However many the retries, no delay is shorter than the one before.")
        .once(),
    rule!(Should "RETRY-16" retry_16 "From any initial delay, the delays reach the cap."),
    rule!(Must "RETRY-17" retry_17 "An initial delay of zero stays zero."),
    rule!(Must "RETRY-18" retry_18 "A factor below zero or not a number is refused, or makes no delay shorter."),
    rule!(Must "RETRY-19" retry_19 "A delay beyond what the clock can express is waited for, without a panic."),
];

const YEAR: Duration = secs(365 * 24 * 60 * 60);

/// The time that the granularity of timers, a millisecond, may add.
const TICK: Duration = ms(1);

/// To within one percent.
pub(super) fn near(got: Duration, want: Duration) -> bool {
    got.abs_diff(want) <= want / 100 + TICK
}

/// The delays of six attempts, and what they are to be.
async fn six(subject: &Subject) -> Checked<(FinishedCall, Vec<Duration>)> {
    let run = run_call(subject, &Settings::doubling().attempts(6), |_| Step::TRANSIENT).await?;
    Ok((run, [100, 200, 400, 800, 1600].map(ms).to_vec()))
}

async fn retry_10(subject: &Subject) -> Checked {
    let (run, expected) = six(subject).await?;
    let waits = run.waits();
    run.require(
        waits.len() == expected.len() && waits.iter().zip(&expected).all(|(got, want)| near(*got, *want)),
        format_args!("about {expected:?}"),
        format_args!("{waits:?}"),
    )
}

async fn retry_11(subject: &Subject) -> Checked {
    let (run, expected) = six(subject).await?;
    run.equal("delays of", run.waits(), expected)
}

async fn retry_12(subject: &Subject) -> Checked {
    let (run, _) = six(subject).await?;
    run.equal("calls at the times of the attempts,", run.called(), run.begun())
}

async fn retry_13(subject: &Subject) -> Checked {
    let settings = Settings { cap: secs(1), ..Settings::doubling().attempts(8) };
    let run = run_call(subject, &settings, |_| Step::TRANSIENT).await?;
    capped(&run, secs(1))
}

async fn retry_14(subject: &Subject) -> Checked {
    let settings = Settings { initial: secs(60), cap: secs(1), ..Settings::doubling() };
    let Some(policy) = unless_refused(subject, &settings)? else { return Ok(()) };
    capped(&FinishedCall::of(&policy, |_| Step::TRANSIENT).await?, secs(1))
}

pub(super) fn capped(run: &FinishedCall, cap: Duration) -> Checked {
    let waits = run.waits();
    run.require(
        waits.iter().all(|wait| *wait <= cap),
        format_args!("no delay above {cap:?}"),
        format_args!("{waits:?}"),
    )
}

async fn retry_15(subject: &Subject) -> Checked {
    // Short ones cost less: a timer of a second is sorted several times.
    let settings = Settings { initial: ms(2), cap: ms(32), ..Settings::doubling().attempts(1100) };
    let run = run_call(subject, &settings, |_| Step::TRANSIENT).await?;
    let waits = run.waits();
    let shorter = waits.windows(2).position(|pair| pair[1] < pair[0]);
    let got = shorter.map_or_else(String::new, |n| format!("{:?} before retry {}", waits[n + 1], n + 2));
    run.require(shorter.is_none(), "no delay shorter than the one before", got)
}

async fn retry_16(subject: &Subject) -> Checked {
    let settings = Settings { initial: Duration::from_nanos(1), ..Settings::doubling().attempts(60) };
    let run = run_call(subject, &settings, |_| Step::TRANSIENT).await?;
    let last = run.waits().last().copied().unwrap_or_default();
    run.require(
        near(last, settings.cap),
        format_args!("at last, from a nanosecond, about {:?}", settings.cap),
        format_args!("{last:?}"),
    )
}

async fn retry_17(subject: &Subject) -> Checked {
    let settings = Settings { initial: ms(0), ..Settings::doubling().attempts(20) };
    let run = run_call(subject, &settings, |_| Step::TRANSIENT).await?;
    run.require(run.elapsed <= 20 * TICK, "no time for 20 attempts", format_args!("{:?}", run.elapsed))
}

async fn retry_18(subject: &Subject) -> Checked {
    for factor in [f64::NAN, -2.0] {
        let settings = Settings { growth: Growth::Exponential(factor), ..Settings::doubling() };
        let Some(policy) = unless_refused(subject, &settings)? else { continue };
        let run = FinishedCall::of(&policy, |_| Step::TRANSIENT).await?;
        let waits = run.waits();
        run.require(
            waits.iter().all(|wait| *wait >= settings.initial),
            format_args!("no delay below {:?} for the factor {factor}", settings.initial),
            format_args!("{waits:?}"),
        )?;
    }
    Ok(())
}

async fn retry_19(subject: &Subject) -> Checked {
    let policy = configure(subject, &Settings::fixed(Duration::MAX))?;
    let ended = one_attempt_in_a_year(&policy, Step::TRANSIENT).await?;
    if ended { Err(Verdict::fail("a call that waits for a year", "its end")) } else { Ok(()) }
}

/// Returns whether the call has ended.
pub(super) async fn one_attempt_in_a_year(policy: &Policy, step: Step) -> Checked<bool> {
    let record = Record::start();
    let call = policy.call(Operation::new(&record, move |_| step));
    let ended = timeout(YEAR, call).await.is_ok();
    record.equal("attempts in a year:", record.begun().len(), 1)?;
    Ok(ended)
}
