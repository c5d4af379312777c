//! A maximum that changes, and objects that are all replaced.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "POOL-70" pool_70 "After a change to fewer, no more than that are leased at once."),
    rule!(Must "POOL-71" pool_71 "Objects that are above a smaller maximum are dropped when they are returned."),
    rule!(Must "POOL-72" pool_72 "A change to fewer and back gives no more room than there was."),
    rule!(Must "POOL-73" pool_73 "A change to more serves waiters at once."),
    rule!(Must "POOL-74" pool_74 "After all objects were retired, no caller gets an object from before."),
];

/// A pool of this number of objects at most, whose maximum can be changed.
fn resizable(subject: &Subject, max: usize) -> Checked<Run> {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::Resize)?;
    Run::start(subject, &Settings::of(max))
}

async fn pool_70(subject: &Subject) -> Checked {
    let run = resizable(subject, 8)?;
    run.pool().resize(3);
    let mut callers = Vec::new();
    for caller in 1..=8 {
        callers.push(run.enter(caller, ms(10)).await);
    }
    run.everybody(callers).await?;
    let peak = run.peak_leased();
    run.equal("leases at once, of a pool that was made for 8, changed to 3:", peak, 3)
}

async fn pool_71(subject: &Subject) -> Checked {
    let run = resizable(subject, 6)?;
    let mut leases = run.leases(6).await?;
    run.pool().resize(2);
    let waiter = run.enter(9, ms(0)).await;
    for left in (0..6).rev() {
        drop(leases.pop());
        settle().await;
        let objects = left.max(2);
        run.equal(&format!("objects, {left} of 6 in use, changed to at most 2:"), run.alive(), objects)?;
        run.require(
            run.got_at(9).is_some() == (left < 2),
            "a waiter served when there is room",
            format_args!("{left} in use"),
        )?;
    }
    run.everybody([waiter]).await
}

async fn pool_72(subject: &Subject) -> Checked {
    let run = resizable(subject, 6)?;
    let leases = run.leases(6).await?;
    run.pool().resize(3);
    run.pool().resize(6);
    let mut callers = Vec::new();
    for caller in 11..=16 {
        callers.push(run.enter(caller, ms(10)).await);
    }
    drop(leases);
    run.everybody(callers).await?;
    run.equal("leases at once, changed from 6 to 3 and back:", run.peak_leased(), 6)?;
    run.has_at_most(6)
}

async fn pool_73(subject: &Subject) -> Checked {
    let run = resizable(subject, 1)?;
    let _lease = run.lease(1).await?;
    let waiters = [run.enter(2, secs(60)).await, run.enter(3, secs(60)).await];
    sleep(secs(1)).await;
    run.pool().resize(3);
    run.everybody(waiters).await?;
    run.equal(
        "two waiters, room for both from 1s, served at",
        (run.got_at(2), run.got_at(3)),
        (Some(secs(1)), Some(secs(1))),
    )
}

async fn pool_74(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::RetireAll)?;
    let run = Run::start(subject, &Settings::of(3))?;
    let mut leases = run.leases(3).await?;
    drop(leases.pop());
    settle().await;
    run.pool().retire_all();
    settle().await;
    let used = run.freed().into_iter().filter(|number| *number != 3).collect::<Vec<_>>();
    run.equal("objects dropped that are in use:", used, vec![])?;
    drop(leases);
    settle().await;
    let used = run.freed().into_iter().filter(|number| *number != 3).count();
    run.equal("objects dropped, of two that were in use and are returned:", used, 2)?;
    let numbers: Vec<u32> = run.leases(3).await?.iter().map(|held| held.number).collect();
    run.require(numbers.iter().all(|number| *number > 3), "new objects", format_args!("{numbers:?}"))?;
    // An idle one may be dropped in place of being lent.
    let mut freed: Vec<u32> = run.freed().into_iter().filter(|number| *number <= 3).collect();
    freed.sort_unstable();
    run.equal("objects dropped, three lent:", freed, vec![1, 2, 3])
}
