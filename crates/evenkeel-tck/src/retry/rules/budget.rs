//! A share of all calls that may be retried.

use std::{
    panic::resume_unwind,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst},
    thread,
};

use super::{prelude::*, retry_after::asking};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-47" retry_47 "With an empty budget a call makes one attempt, and gives its error."),
    rule!(Must "RETRY-48" retry_48 "A budget allows its share of retries, to within one percent of the calls."),
    rule!(Must "RETRY-49" retry_49 "A call dropped during a wait gives its retry back to the budget.")
        .needs(Needs::CANCEL),
    rule!(Must "RETRY-50" retry_50 "In an outage, many calls at once make no more retries than their budget has."),
    rule!(Must "RETRY-51" retry_51 "A budget that fills by time does so on the runtime's clock."),
    rule!(Must "RETRY-52" threads retry_52 "Two threads do not take one retry of a budget twice."),
];

pub(super) const MORE: &[Rule<Settings>] = &[
    rule!(Must "RETRY-77" retry_77 "Retries after waits that errors ask for are taken from the budget."),
    rule!(Must "RETRY-78" retry_78 "A call that is stopped during a wait gives its retry back to the budget.")
        .after("RETRY-46"),
    rule!(Must "RETRY-79" retry_79 "An hour after the last call, the budget has no more left than its reserve."),
    rule!(Must "RETRY-80" retry_80 "A budget that fills by time does so however long no call is made.").after("RETRY-51"),
];

pub(super) const ONE: Budget = Budget { percent: 0, reserve: 1, per_second: 0 };

pub(super) fn with(budget: Budget, settings: Settings) -> Settings {
    Settings { budget: Some(budget), ..settings }
}

pub(super) async fn failing(policy: &Policy) -> Checked<FinishedCall> {
    FinishedCall::of(policy, |_| Step::TRANSIENT).await
}

async fn retry_47(subject: &Subject) -> Checked {
    let policy = configure(subject, &with(ONE, Settings::fixed(ms(0))))?;
    failing(&policy).await?;
    let run = failing(&policy).await?;
    run.equal("number of attempts", run.attempts(), 1)?;
    run.returns(Expected::ErrorOf(1))
}

async fn retry_48(subject: &Subject) -> Checked {
    let calls = 200;
    for percent in [10, 30, 60, 90] {
        let budget = Budget { percent, reserve: 200, per_second: 0 };
        let policy = configure(subject, &with(budget, Settings::fixed(ms(0)).attempts(1000)))?;
        failing(&policy).await?;
        for _ in 0..calls {
            FinishedCall::of(&policy, |_| Step::OK).await?;
        }
        let run = failing(&policy).await?;
        let (got, want) = (run.retries(), percent as usize * calls / 100);
        run.require(
            got.abs_diff(want) <= calls / 100,
            format_args!("{want} retries for {calls} calls, of {percent} %"),
            got,
        )?;
    }
    Ok(())
}

async fn retry_49(subject: &Subject) -> Checked {
    let policy = configure(subject, &with(ONE, Settings::doubling()))?;
    let record = Record::start();
    let _cut = timeout(ms(50), policy.call(Operation::new(&record, |_| Step::TRANSIENT))).await;
    let run = failing(&policy).await?;
    run.equal("number of attempts after a call that was dropped,", run.attempts(), 2)
}

async fn retry_50(subject: &Subject) -> Checked {
    let (calls, budget) = (300, Budget { percent: 10, reserve: 10, per_second: 0 });
    let policy = configure(subject, &with(budget, Settings::doubling()))?;
    let record = Record::start();
    let tasks: Vec<_> = (0..calls)
        .map(|_| tokio::task::spawn_local(policy.call(Operation::new(&record, |_| Step::TRANSIENT))))
        .collect();
    for task in tasks {
        task.await.map(drop).unwrap_or_else(|error| resume_unwind(error.into_panic()));
    }
    let (made, most) = (record.begun().len(), calls + calls / 10 + 10);
    record.require(made <= most, format_args!("at most {most} attempts for {calls} calls"), made)
}

async fn retry_51(subject: &Subject) -> Checked {
    let budget = Budget { per_second: 1, ..ONE };
    let policy = configure(subject, &with(budget, Settings::fixed(ms(0))))?;
    failing(&policy).await?;
    sleep(secs(3600)).await;
    let run = failing(&policy).await?;
    run.require(run.attempts() > 1, "a retry, an hour after the last", "none")
}

fn retry_52(subject: &Subject) -> Checked {
    const ROUNDS: usize = 500;
    let first = runtime(Builder::new_current_thread().enable_time())?;
    let policies: Vec<Policy> = (0..ROUNDS)
        .map(|_| configure_on(&first, subject, &with(ONE, Settings::fixed(ms(0)))))
        .collect::<Checked<_>>()?;
    let attempts: Vec<AtomicU32> = policies.iter().map(|_| AtomicU32::new(0)).collect();
    let arrived = AtomicUsize::new(0);
    let race = || {
        let Ok(runtime) = runtime(Builder::new_current_thread().enable_time()) else { return };
        for (round, policy) in policies.iter().enumerate() {
            let record = Record::start();
            let operation = Operation::new(&record, |_| Step::TRANSIENT);
            arrived.fetch_add(1, SeqCst);
            while arrived.load(SeqCst) < 2 * (round + 1) {
                thread::yield_now();
            }
            runtime.block_on(async { policy.call(operation).await });
            attempts[round].fetch_add(record.begun().len() as u32, SeqCst);
        }
    };
    thread::scope(|scope| {
        scope.spawn(race);
        scope.spawn(race);
    });
    match attempts.iter().filter(|made| made.load(SeqCst) > 3).count() {
        0 => Ok(()),
        twice => Err(Verdict::fail(
            "one retry for two calls of a budget with one",
            format_args!("two in {twice} of {ROUNDS} rounds"),
        )),
    }
}

async fn retry_77(subject: &Subject) -> Checked {
    needs(subject, Capability::RetryAfter)?;
    let policy = configure(subject, &with(ONE, Settings::fixed(ms(0))))?;
    let run = FinishedCall::of(&policy, |_| asking(secs(1))).await?;
    run.equal("number of attempts, of a budget with one retry,", run.attempts(), 2)
}

async fn retry_78(subject: &Subject) -> Checked {
    let settings = Settings { stop_after: Some(ms(50)), ..Settings::fixed(ms(40)) };
    let policy = configure(subject, &with(ONE, settings))?;
    // The stop comes 20 ms after the first attempt of this call, and 10 ms after the second one of the next.
    FinishedCall::of(&policy, |_| Step::TRANSIENT.taking(ms(30))).await?;
    let run = failing(&policy).await?;
    run.equal("number of attempts after a call that was stopped,", run.attempts(), 2)
}

async fn retry_79(subject: &Subject) -> Checked {
    let budget = Budget { percent: 50, reserve: 10, per_second: 0 };
    let policy = configure(subject, &with(budget, Settings::fixed(ms(0)).attempts(1000)))?;
    for _ in 0..200 {
        FinishedCall::of(&policy, |_| Step::OK).await?;
    }
    sleep(secs(3600)).await;
    let run = failing(&policy).await?;
    run.require(run.retries() <= 10, "at most 10 retries", run.retries())
}

async fn retry_80(subject: &Subject) -> Checked {
    let policy = configure(subject, &with(Budget { per_second: 1, ..ONE }, Settings::fixed(ms(0))))?;
    failing(&policy).await?;
    for minutes in [1, 10, 15, 30, 45, 2000] {
        sleep(secs(60 * minutes)).await;
        let run = failing(&policy).await?;
        run.require(run.attempts() > 1, format_args!("a retry, {minutes} minutes after the last"), "none")?;
    }
    Ok(())
}
