//! Waiters: their order, and the object that serves them.

use evenkeel_testkit::probe::meter;

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "POOL-08" pool_08 "A waiter gets an object at the instant at which it is returned."),
    rule!(Must "POOL-09" pool_09 "Waiters are served in the order in which they came."),
    rule!(Must "POOL-10" pool_10 "A newcomer does not overtake a waiter, not even between a return and the wake of the waiter."),
    rule!(Must "POOL-11" pool_11 "A caller whose creation is slow takes an object that is returned meanwhile."),
    rule!(Must "POOL-12" pool_12 "An object whose caller was served by another one goes to the next caller.")
        .after("POOL-11"),
    rule!(Should "POOL-13" pool_13 "A return wakes one waiter.").needs(Needs::POLLS),
    rule!(Should "POOL-14" pool_14 "A task that takes and returns objects without end lets others run.")
        .needs(Needs::BESIDE),
];

async fn pool_08(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1))?;
    let first = run.enter(1, ms(1234)).await;
    let second = run.enter(2, ms(0)).await;
    run.everybody([first, second]).await?;
    run.equal("an object returned after 1234ms, leased again at", run.got_at(2), Some(ms(1234)))
}

async fn pool_09(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(2))?;
    let mut callers = Vec::new();
    for caller in 1..=8 {
        callers.push(run.enter(caller, ms(10)).await);
    }
    run.everybody(callers).await?;
    run.equal("callers served in the order", run.served(), Vec::from_iter(1..=8))
}

async fn pool_10(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1))?;
    let first = run.lease(1).await?;
    let waiter = run.enter(2, ms(10)).await;
    let mut newcomer = run.get(3);
    drop(first);
    let answer = poll_once(&mut newcomer).await;
    let overtook = answer.is_some();
    drop(answer);
    run.require(!overtook, "the waiter first", "the newcomer")?;
    let newcomer = run.spawn(async { drop(newcomer.await) });
    run.everybody([waiter, newcomer]).await?;
    run.equal("callers served in the order", run.served(), vec![1, 2, 3])
}

/// A pool of two, one of whose objects takes ten seconds to create, and the time at which the other one is returned.
async fn slow_second(subject: &Subject) -> Checked<Run> {
    needs(subject, Capability::Create)?;
    let settings = Settings::of(2);
    settings.backend.creates(|number| Step::OK.after(if number == 1 { ms(0) } else { secs(10) }));
    Run::start(subject, &settings)
}

async fn pool_11(subject: &Subject) -> Checked {
    let run = slow_second(subject).await?;
    let first = run.enter(1, secs(1)).await;
    let second = run.enter(2, ms(0)).await;
    run.everybody([first, second]).await?;
    run.equal(
        "an object returned at 1s, a creation until 10s, the caller served at",
        run.got_at(2),
        Some(secs(1)),
    )
}

async fn pool_12(subject: &Subject) -> Checked {
    let run = slow_second(subject).await?;
    let first = run.enter(1, secs(1)).await;
    let second = run.enter(2, secs(60)).await;
    sleep(secs(5)).await;
    let third = run.enter(3, ms(0)).await;
    run.everybody([first, second, third]).await?;
    run.equal("a creation from 0s to 10s, a third caller at 5s, served at", run.got_at(3), Some(secs(10)))?;
    run.equal("creations", run.creations().len(), 2)
}

async fn pool_13(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1))?;
    let first = run.lease(1).await?;
    let mut waiters = Vec::new();
    for caller in 2..=51 {
        let get = meter(run.get(caller));
        waiters.push(run.spawn(async move {
            let (answer, counts) = get.await;
            sleep(ms(1)).await;
            drop(answer);
            counts.polls
        }));
        settle().await;
    }
    drop(first);
    let mut polls = 0;
    for waiter in waiters {
        polls += run.ended("an object for each", waiter).await?.unwrap_or_default();
    }
    run.require(polls <= 200, "50 waiters polled 4 times at most", format_args!("{polls} polls"))
}

async fn pool_14(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1))?;
    let (ended, turns) = beside(async {
        for caller in 1..=2000 {
            drop(run.lease(caller).await?);
        }
        Checked::Ok(())
    })
    .await;
    ended?;
    run.require(turns >= 4, "turns for others, in 2000 gets that never wait", turns)
}
