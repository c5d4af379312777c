//! The cost of a call for its thread, its task and its runtime.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-20" retry_20 "Retries without delay let other tasks run.").needs(Needs::BESIDE),
    rule!(Should "RETRY-21" alone retry_21 "A retry without delay needs no timer.").needs(Needs::TIMERS),
    rule!(Should "RETRY-22" alone retry_22 "A call of one attempt needs no timer.").needs(Needs::TIMERS),
    rule!(Should "RETRY-23" retry_23 "A wait costs at most two polls.").needs(Needs::POLLS),
    rule!(Must "RETRY-24" retry_24 "The stack does not grow with the number of retries.").once(),
];

async fn retry_20(subject: &Subject) -> Checked {
    let settings = Settings::fixed(ms(0)).attempts(2000);
    let (run, turns) = beside(run_call(subject, &settings, |_| Step::TRANSIENT)).await;
    run?.require(turns > 0, "another task to run during 2000 attempts", "none ran")
}

fn retry_21(subject: &Subject) -> Checked {
    without_timers(subject, &Settings::fixed(ms(0)), Step::TRANSIENT)
}

fn retry_22(subject: &Subject) -> Checked {
    without_timers(subject, &Settings::doubling(), Step::OK)?;
    without_timers(subject, &Settings::doubling().attempts(1), Step::TRANSIENT)
}

/// Makes a call in a runtime without timers, where creating a timer panics.
fn without_timers(subject: &Subject, settings: &Settings, step: Step) -> Checked {
    // A configuration may need a timer, before the call.
    let usual = runtime(Builder::new_current_thread().enable_time())?;
    let policy = configure_on(&usual, subject, settings)?;
    let runtime = runtime(&mut Builder::new_current_thread())?;
    let record = Record::start();
    let operation = Operation::new(&record, move |_| step);
    // Nothing of the call is used after a panic.
    let called = catch_unwind(AssertUnwindSafe(|| runtime.block_on(async { policy.call(operation).await })));
    called.map(drop).map_err(|payload| {
        let message = panic_message(&*payload);
        let got =
            if message.contains("timers are disabled") { "a timer was set".to_owned() } else { message };
        Verdict::fail("no timer", got)
    })
}

async fn retry_23(subject: &Subject) -> Checked {
    let policy = configure(subject, &Settings::doubling())?;
    let record = Record::start();
    let mut call = policy.call(Operation::new(&record, |_| Step::TRANSIENT));
    let mut polls = 0;
    let _outcome = poll_fn(|cx| {
        polls += 1;
        call.as_mut().poll(cx)
    })
    .await;
    let most = 1 + 2 * record.waits().len();
    record.require(polls <= most, format_args!("at most {most} polls for three waits"), polls)
}

async fn retry_24(subject: &Subject) -> Checked {
    let attempts = 10_000;
    let run = run_call(subject, &Settings::fixed(ms(0)).attempts(attempts), |_| Step::TRANSIENT).await?;
    run.equal("number of attempts", run.attempts(), attempts as usize)
}
