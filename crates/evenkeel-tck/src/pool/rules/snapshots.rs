//! The numbers of a pool, idle objects without a wait, and deadlocks.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "POOL-83" pool_83 "The numbers of objects and of idle objects are true at every moment."),
    rule!(Must "POOL-84" pool_84 "The number of waiters is true at every moment.").needs(Needs::CANCEL),
    rule!(Must "POOL-85" pool_85 "Each lease is listed with the time for which it has been out."),
    rule!(Must "POOL-86" pool_86 "A get that does not wait takes an idle object or none, and creates none."),
    rule!(Must "POOL-87" pool_87 "A get that does not wait does not overtake a waiter."),
    rule!(Must "POOL-88" pool_88 "A task that holds the last object and waits for another one is told at once."),
    rule!(Must "POOL-89" pool_89 "A wait that can end is not told to be a deadlock."),
];

/// The rule asks for these numbers of objects, those in use and idle.
async fn counts(run: &Run, when: &str, in_use: usize, idle: usize) -> Checked {
    let Snapshot { size, idle: told, .. } = run.snapshot().await;
    let told = (size.unwrap_or(in_use + idle), told.unwrap_or(idle));
    run.equal(&format!("{when}, objects and idle ones:"), told, (in_use + idle, idle))
}

async fn pool_83(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::CountObjects)?;
    let run = Run::start(subject, &Settings::of(3))?;
    counts(&run, "at first", 0, 0).await?;
    let mut leases = run.leases(3).await?;
    let waiter = run.enter(9, ms(10)).await;
    counts(&run, "all in use, and a waiter", 3, 0).await?;
    drop(leases.pop());
    settle().await;
    counts(&run, "one handed over", 3, 0).await?;
    run.everybody([waiter]).await?;
    settle().await;
    counts(&run, "one returned", 2, 1).await?;
    drop(leases);
    settle().await;
    counts(&run, "all returned", 0, 3).await?;
    run.backend.creates(|_| Step::FAILS);
    let held = run.lease(10).await?;
    if subject.supports(Capability::Discard).is_ok() {
        held.discard();
        settle().await;
        counts(&run, "one discarded", 0, 2).await?;
    }
    Ok(())
}

async fn pool_84(subject: &Subject) -> Checked {
    needs(subject, Capability::CountWaiters)?;
    let run = Run::start(subject, &Settings::of(1))?;
    let first = run.lease(1).await?;
    let mut counts = Vec::new();
    let mut note = async || counts.push(run.snapshot().await.waiting.unwrap_or(usize::MAX));
    note().await;
    let mut waiters = Vec::new();
    for caller in 2..=4 {
        waiters.push(run.enter(caller, secs(1)).await);
        note().await;
    }
    waiters.remove(1).abort();
    settle().await;
    note().await;
    drop(first);
    settle().await;
    note().await;
    run.everybody(waiters).await?;
    note().await;
    run.equal(
        "waiters: none, 3 that come, one that gives up, one served, and the last:",
        counts,
        vec![0, 1, 2, 3, 2, 1, 0],
    )
}

async fn pool_85(subject: &Subject) -> Checked {
    needs(subject, Capability::Holders)?;
    let run = Run::start(subject, &Settings::of(2))?;
    let first = run.lease(1).await?;
    sleep(secs(3)).await;
    let second = run.lease(2).await?;
    sleep(secs(4)).await;
    run.equal("two leases, out for", run.pool().holders(), vec![secs(7), secs(4)])?;
    drop(first);
    run.equal("the first one returned, out for", run.pool().holders(), vec![secs(4)])?;
    drop(second);
    run.equal("both returned, out for", run.pool().holders(), vec![])
}

async fn pool_86(subject: &Subject) -> Checked {
    needs(subject, Capability::TryGet)?;
    needs(subject, Capability::Create)?;
    let run = Run::start(subject, &Settings::of(2))?;
    run.require(run.try_get(1).is_none(), "no object of an empty pool", "an object")?;
    settle().await;
    run.equal("creations", run.creations().len(), 0)?;
    drop(run.lease(2).await?);
    settle().await;
    let held = run.try_get(3);
    run.require(held.is_some(), "the idle object", "none")?;
    run.require(run.try_get(4).is_none(), "no second object", "an object")?;
    drop(held);
    run.equal("creations", run.creations().len(), 1)
}

async fn pool_87(subject: &Subject) -> Checked {
    needs(subject, Capability::TryGet)?;
    let run = Run::start(subject, &Settings::of(1))?;
    let first = run.lease(1).await?;
    let waiter = run.enter(2, ms(10)).await;
    drop(first);
    run.require(run.try_get(3).is_none(), "no object while somebody waits", "an object")?;
    run.everybody([waiter]).await?;
    settle().await;
    run.require(run.try_get(4).is_some(), "the idle object", "none")
}

fn detecting(subject: &Subject, max: usize) -> Checked<Run> {
    let settings = Settings { detects_deadlocks: true, ..Settings::of(max) };
    Run::start(subject, &within(subject, settings, secs(60)))
}

async fn pool_88(subject: &Subject) -> Checked {
    let run = detecting(subject, 2)?;
    let gets = [1, 2, 3].map(|caller| run.get(caller));
    let task = run.spawn(async {
        let [first, second, third] = gets;
        let _leases = (first.await, second.await);
        drop(third.await);
    });
    run.everybody([task]).await?;
    run.equal(
        "a task with both objects that wants a third one, told",
        run.denied(),
        vec![(3, ms(0), GetError::Deadlock)],
    )?;
    run.lends(2).await
}

async fn pool_89(subject: &Subject) -> Checked {
    let run = detecting(subject, 2)?;
    let other = run.enter(1, secs(1)).await;
    let gets = [2, 3].map(|caller| run.get(caller));
    let task = run.spawn(async {
        let [first, second] = gets;
        let _first = first.await;
        drop(second.await);
    });
    run.everybody([other, task]).await?;
    run.equal("callers told of an error", run.denied(), vec![])?;
    run.equal(
        "a task with one object that wants a second one, which is returned at 1s, served at",
        run.got_at(3),
        Some(secs(1)),
    )
}
