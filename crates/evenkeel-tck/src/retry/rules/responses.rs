//! Responses that count as failures.

use super::{
    budget::{ONE, with},
    delays::near,
    prelude::*,
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-66" retry_66 "A response that counts as a failure is retried, after the delay.")
        .after("RETRY-10"),
    rule!(Must "RETRY-67" retry_67 "Responses that count as failures use up attempts.").after("RETRY-66"),
    rule!(Must "RETRY-68" retry_68 "When a call gives up, its last response comes back."),
    rule!(Must "RETRY-69" retry_69 "A wait is never shorter than a response asks for.").after("RETRY-66"),
    rule!(Must "RETRY-70" retry_70 "Retries of responses are taken from the budget.").after("RETRY-66"),
];

const BUSY: Step = Step::responding(Hint::Transient);

pub(super) fn judging(settings: Settings) -> Settings {
    Settings { responses: true, ..settings }
}

async fn retry_66(subject: &Subject) -> Checked {
    let script = |attempt| if attempt < 3 { BUSY } else { Step::OK };
    let run = run_call(subject, &judging(Settings::doubling()), script).await?;
    run.returns(Expected::ValueOf(3))?;
    let waits = run.waits();
    run.require(
        near(waits[0], ms(100)) && near(waits[1], ms(200)),
        "delays of about 100ms and 200ms",
        format_args!("{waits:?}"),
    )
}

async fn retry_67(subject: &Subject) -> Checked {
    let policy = configure(subject, &judging(Settings::fixed(secs(1))))?;
    let run = FinishedCall::within(secs(60), &policy, |_| BUSY).await?;
    run.equal("number of attempts", run.attempts(), 4)
}

async fn retry_68(subject: &Subject) -> Checked {
    let run = run_call(subject, &judging(Settings::doubling()), |_| BUSY).await?;
    run.returns(Expected::ValueOf(run.attempts() as u32))
}

async fn retry_69(subject: &Subject) -> Checked {
    needs(subject, Capability::RetryAfter)?;
    let asking = Step::responding(Hint::RetryAfter(secs(5)));
    let script = move |attempt| if attempt == 1 { asking } else { Step::OK };
    let run = run_call(subject, &judging(Settings::doubling()), script).await?;
    let wait = run.waits().first().copied().unwrap_or_default();
    run.require(wait >= secs(5), "a wait of at least 5s", format_args!("{wait:?}"))
}

async fn retry_70(subject: &Subject) -> Checked {
    let policy = configure(subject, &judging(with(ONE, Settings::fixed(ms(0)))))?;
    let run = FinishedCall::of(&policy, |_| BUSY).await?;
    run.equal("number of attempts, of a budget with one retry,", run.attempts(), 2)
}
