//! The delays that the observer is told.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-42" retry_42 "The observer is told of each retry once, and of the last failure not at all."),
    rule!(Must "RETRY-43" retry_43 "The observer is told the delay that is slept."),
];

async fn observed(subject: &Subject) -> Checked<FinishedCall> {
    needs(subject, Capability::Observer)?;
    run_call(subject, &Settings::doubling(), |_| Step::TRANSIENT).await
}

async fn retry_42(subject: &Subject) -> Checked {
    let run = observed(subject).await?;
    run.equal("for four attempts, retries observed:", run.observed().len(), 3)
}

async fn retry_43(subject: &Subject) -> Checked {
    let run = observed(subject).await?;
    // The number of calls is the subject of RETRY-42.
    let (told, slept) = (run.observed(), run.waits());
    if told.contains(&None) {
        return Err(Verdict::Unsupported("observer: it is told no delay".to_owned()));
    }
    let mut told: Vec<Duration> = told.into_iter().flatten().collect();
    told.truncate(slept.len());
    // Timers wake by milliseconds.
    let near = told.len() == slept.len() && told.iter().zip(&slept).all(|(a, b)| a.abs_diff(*b) <= ms(1));
    run.require(near, format_args!("the delays slept, {slept:?}"), format_args!("{told:?}"))
}
