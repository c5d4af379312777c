//! The number of attempts, the time of the first, and the result.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-01" retry_01 "The first attempt begins at once."),
    rule!(Must "RETRY-02" retry_02 "The operation is not called before the call is polled.")
        .needs(Needs::LAZY),
    rule!(Must "RETRY-03" retry_03 "A success ends the call and is its value."),
    rule!(Must "RETRY-04" retry_04 "A call that fails makes all its attempts, and no more."),
    rule!(Must "RETRY-05" retry_05 "Zero attempts are refused or mean at most one, never no limit."),
    rule!(Must "RETRY-06" retry_06 "Nothing is waited for after the last attempt."),
    rule!(Must "RETRY-07" retry_07 "The error of the last attempt comes back."),
    rule!(Must "RETRY-08" retry_08 "A permanent error ends the call at once."),
    rule!(Must "RETRY-09" retry_09 "Each call of a policy has all its attempts, whatever other calls use."),
];

async fn retry_01(subject: &Subject) -> Checked {
    let run = run_call(subject, &Settings::doubling(), |_| Step::OK).await?;
    run.equal("attempts at", run.begun(), vec![ms(0)])
}

async fn retry_02(subject: &Subject) -> Checked {
    let policy = configure(subject, &Settings::doubling())?;
    let record = Record::start();
    let call = policy.call(Operation::new(&record, |_| Step::OK));
    sleep(ms(50)).await;
    let called = record.called();
    drop(call);
    if called.is_empty() {
        return Ok(());
    }
    Err(record
        .failure("no call of the operation in 50ms without a poll", format_args!("called at {called:?}")))
}

async fn retry_03(subject: &Subject) -> Checked {
    let script = |attempt| if attempt < 3 { Step::TRANSIENT } else { Step::OK };
    let run = run_call(subject, &Settings::doubling(), script).await?;
    run.returns(Expected::ValueOf(3))
}

async fn retry_04(subject: &Subject) -> Checked {
    for attempts in [1, 2, 7] {
        let settings = Settings::doubling().attempts(attempts);
        let run = run_call(subject, &settings, |_| Step::TRANSIENT).await?;
        run.equal("number of attempts", run.attempts(), attempts as usize)?;
    }
    Ok(())
}

async fn retry_05(subject: &Subject) -> Checked {
    let settings = Settings::fixed(secs(1)).attempts(0);
    let Some(policy) = unless_refused(subject, &settings)? else { return Ok(()) };
    let run = FinishedCall::within(secs(60), &policy, |_| Step::TRANSIENT).await?;
    run.require(run.attempts() <= 1, "at most one attempt", run.attempts())
}

async fn retry_06(subject: &Subject) -> Checked {
    let run = run_call(subject, &Settings::doubling(), |_| Step::TRANSIENT.taking(ms(10))).await?;
    let last = run.ended().last().copied().unwrap_or_default();
    run.equal("time after the last attempt", run.elapsed.saturating_sub(last), ms(0))
}

async fn retry_07(subject: &Subject) -> Checked {
    // Only the last text is another: an implementation that tells errors apart by their texts may take a frequent one.
    let script = |attempt| if attempt < 4 { Step::TRANSIENT } else { Step::refusing(Hint::NotSent) };
    let run = run_call(subject, &Settings::doubling(), script).await?;
    run.returns(Expected::ErrorOf(run.attempts() as u32))
}

async fn retry_08(subject: &Subject) -> Checked {
    let script = |attempt| if attempt < 2 { Step::TRANSIENT } else { Step::refusing(Hint::Permanent) };
    let run = run_call(subject, &Settings::doubling(), script).await?;
    run.equal("number of attempts", run.attempts(), 2)
}

async fn retry_09(subject: &Subject) -> Checked {
    let policy = configure(subject, &Settings::doubling())?;
    let call = || {
        let policy = policy.clone();
        tokio::task::spawn_local(async move { FinishedCall::of(&policy, |_| Step::TRANSIENT).await })
    };
    let (first, beside) = (call(), call());
    let mut calls = vec![joined(first).await?, joined(beside).await?];
    calls.push(joined(call()).await?);
    let made: Vec<usize> = calls.iter().map(FinishedCall::attempts).collect();
    calls[0].equal("attempts of two calls beside each other, and of one after them:", made, vec![4, 4, 4])
}

async fn joined(task: tokio::task::JoinHandle<Checked<FinishedCall>>) -> Checked<FinishedCall> {
    task.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
