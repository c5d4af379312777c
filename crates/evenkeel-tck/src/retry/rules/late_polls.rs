//! Calls that are polled again long after their wait is over.

use std::{future::poll_fn, task::Poll};

use super::{
    budget::{ONE, failing, with},
    deadlines::until,
    limits::five_seconds,
    prelude::*,
    responses::judging,
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-85" retry_85 "A call whose time ends with its wait makes no other attempt, and gives its last error.").needs(Needs::POLLS)
        .after("RETRY-32"),
    rule!(Must "RETRY-86" retry_86 "A call whose time ends with its wait gives its retry back to the budget.").needs(Needs::POLLS)
        .after("RETRY-32"),
];

async fn retry_85(subject: &Subject) -> Checked {
    needs(subject, Capability::TotalTimeout)?;
    // A deadline is to count from the call that it is for.
    let cases: [fn() -> Settings; 3] =
        [|| five_seconds(secs(1)), || judging(five_seconds(secs(1))), || until(secs(5), secs(1))];
    for settings in cases {
        let settings = settings();
        if has(subject, &settings) {
            let run = left_alone(&configure(subject, &settings)?).await?;
            run.returns(Expected::ErrorOf(1))?;
        }
    }
    Ok(())
}

async fn retry_86(subject: &Subject) -> Checked {
    let policy = configure(subject, &with(ONE, five_seconds(secs(1))))?;
    left_alone(&policy).await?;
    let run = failing(&policy).await?;
    run.equal("number of attempts after a call that came too late,", run.attempts(), 2)
}

/// A call that fails at once, is to wait for a second, and is not polled for a minute.
async fn left_alone(policy: &Policy) -> Checked<FinishedCall> {
    let record = Record::start();
    let mut call = policy.call(Operation::new(&record, |_| Step::TRANSIENT));
    if let Poll::Ready(outcome) = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
        return Ok(FinishedCall { outcome, elapsed: record.elapsed(), record });
    }
    sleep(secs(60)).await;
    FinishedCall::end(secs(60), call, record).await
}
