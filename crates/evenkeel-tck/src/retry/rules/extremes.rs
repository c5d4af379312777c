//! Times that the clock cannot express, and settings that lead to them.

use super::{
    delays::{capped, near, one_attempt_in_a_year},
    prelude::*,
    retry_after::asking,
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-71" retry_71 "With jitter, too, a delay beyond what the clock can express is waited for.")
        .after("RETRY-19"),
    rule!(Must "RETRY-72" retry_72 "A limit of time beyond what the clock can express is no limit."),
    rule!(Must "RETRY-73" retry_73 "A wait asked for beyond what the clock can express is waited for, or ends the call."),
    rule!(Must "RETRY-74" retry_74 "A factor beyond all bounds is refused, or leads to the cap."),
];

pub(super) const MORE: &[Rule<Settings>] = &[
    rule!(Must "RETRY-87" retry_87 "The last moment that the clock can express is a deadline like any other."),
];

const LONGEST: Option<Duration> = Some(Duration::MAX);

async fn retry_71(subject: &Subject) -> Checked {
    let growing = Settings { initial: Duration::MAX, cap: Duration::MAX, ..Settings::doubling() };
    for settings in [Settings::fixed(Duration::MAX), growing] {
        let settings = Settings { jitter: Some(Jitter::Usual), ..settings };
        one_attempt_in_a_year(&configure(subject, &settings)?, Step::TRANSIENT).await?;
    }
    Ok(())
}

async fn retry_72(subject: &Subject) -> Checked {
    let settings = || Settings::fixed(secs(1));
    let limits = [
        Settings { total_timeout: LONGEST, ..settings() },
        Settings { attempt_timeout: LONGEST, ..settings() },
        Settings { reset_after: LONGEST, ..settings() },
    ];
    let limits: Vec<Settings> = limits.into_iter().filter(|settings| has(subject, settings)).collect();
    if limits.is_empty() {
        return needs(subject, Capability::TotalTimeout);
    }
    for settings in limits {
        let run = run_call(subject, &settings, |_| Step::TRANSIENT.taking(ms(10))).await?;
        run.equal("number of attempts", run.attempts(), 4)?;
    }
    Ok(())
}

async fn retry_73(subject: &Subject) -> Checked {
    needs(subject, Capability::RetryAfter)?;
    let policy = configure(subject, &Settings::doubling())?;
    one_attempt_in_a_year(&policy, asking(Duration::MAX)).await.map(drop)
}

async fn retry_74(subject: &Subject) -> Checked {
    for factor in [1e300, f64::INFINITY] {
        let settings = Settings { growth: Growth::Exponential(factor), ..Settings::doubling() };
        let Some(policy) = unless_refused(subject, &settings)? else { continue };
        let run = FinishedCall::of(&policy, |_| Step::TRANSIENT).await?;
        capped(&run, settings.cap)?;
        let last = run.waits().last().copied().unwrap_or_default();
        run.require(
            near(last, settings.cap),
            format_args!("at last, with the factor {factor:e}, about {:?}", settings.cap),
            format_args!("{last:?}"),
        )?;
    }
    Ok(())
}

async fn retry_87(subject: &Subject) -> Checked {
    let settings = Settings { deadline: Some(last_moment()), ..Settings::fixed(secs(1)) };
    let run = run_call(subject, &settings, |_| Step::TRANSIENT.taking(ms(10))).await?;
    run.equal("number of attempts", run.attempts(), 4)
}

fn last_moment() -> Instant {
    let (mut last, mut step) = (Instant::now(), Duration::MAX);
    while !step.is_zero() {
        match last.checked_add(step) {
            Some(later) => last = later,
            None => step /= 2,
        }
    }
    last
}
