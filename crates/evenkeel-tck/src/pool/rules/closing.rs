//! The end of a pool.

use std::rc::Rc;

use evenkeel_testkit::cancel;

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "POOL-75" pool_75 "A get of a closed pool fails at once."),
    rule!(Must "POOL-76" pool_76 "Waiters are told at once that the pool is closed."),
    rule!(Must "POOL-77" pool_77 "Leases of a closed pool stay usable, and their objects are dropped when they are returned."),
    rule!(Must "POOL-78" pool_78 "A creation under way at the close is not lent, and leaves no object behind."),
    rule!(Must "POOL-79" pool_79 "A close ends when the last lease is back."),
    rule!(Must "POOL-80" pool_80 "A close ends at its deadline, and counts the leases that are out."),
    rule!(Must "POOL-81" pool_81 "A pool can be closed again, and the second close waits as the first."),
    rule!(Must "POOL-82" alone pool_82 "A close that is dropped at any point leaves the pool open or closed, and no waiter untold.").needs(Needs::CANCEL),
];

fn closable(subject: &Subject, max: usize) -> Checked<Run> {
    needs(subject, Capability::Close)?;
    Run::start(subject, &within(subject, Settings::of(max), secs(60)))
}

async fn pool_75(subject: &Subject) -> Checked {
    let run = closable(subject, 2)?;
    drop(run.lease(1).await?);
    settle().await;
    run.ended("a close without leases", run.pool().close(None)).await?;
    let error = run.error(2).await?;
    run.equal("the error", error, GetError::Closed)?;
    run.equal("told at", run.elapsed(), ms(0))
}

async fn pool_76(subject: &Subject) -> Checked {
    let run = closable(subject, 1)?;
    let lease = run.lease(1).await?;
    let waiters = [run.enter(2, ms(0)).await, run.enter(3, ms(0)).await];
    sleep(secs(1)).await;
    let close = run.close_beside(None).await;
    run.everybody(waiters).await?;
    let told = [2, 3].map(|waiter| (waiter, secs(1), GetError::Closed));
    run.equal("waiters told", run.denied(), told.to_vec())?;
    drop(lease);
    drop(run.ended("an end of the close", close).await?);
    Ok(())
}

async fn pool_77(subject: &Subject) -> Checked {
    let run = closable(subject, 2)?;
    let mut leases = run.leases(2).await?;
    drop(leases.pop());
    settle().await;
    let close = run.close_beside(None).await;
    sleep(secs(1)).await;
    let used = leases[0].number;
    run.require(!run.freed().contains(&used), "an object in use", "it is dropped")?;
    drop(leases);
    drop(run.ended("an end of the close", close).await?);
    settle().await;
    run.equal("objects dropped at the end", run.freed().len(), 2)
}

async fn pool_78(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::Close)?;
    let settings = within(subject, Settings::of(1), secs(60));
    settings.backend.creates(|_| Step::OK.after(secs(10)));
    let run = Run::start(subject, &settings)?;
    let caller = run.enter(1, ms(0)).await;
    sleep(secs(1)).await;
    let close = run.close_beside(None).await;
    run.everybody([caller]).await?;
    drop(run.ended("an end of the close", close).await?);
    sleep(secs(20)).await;
    run.equal("callers served after the close:", run.served().len(), 0)?;
    run.equal("objects alive:", run.alive(), 0)
}

async fn pool_79(subject: &Subject) -> Checked {
    needs(subject, Capability::CloseWaits)?;
    let run = closable(subject, 2)?;
    let leases = [run.enter(1, secs(3)).await, run.enter(2, secs(5)).await];
    let close = run.close_beside(None).await;
    run.everybody(leases).await?;
    let stragglers = run.ended("an end of the close", close).await?;
    run.equal(
        "the end of a close, the last lease returned at 5s, at",
        run.first(&Event::Ended),
        Some(secs(5)),
    )?;
    run.equal("leases that are out:", stragglers.unwrap_or(usize::MAX), 0)
}

async fn pool_80(subject: &Subject) -> Checked {
    needs(subject, Capability::CloseDeadline)?;
    let run = closable(subject, 3)?;
    let leases = run.leases(2).await?;
    let early = run.enter(3, secs(1)).await;
    let close = run.close_beside(Some(secs(4))).await;
    let stragglers = run.ended("an end of the close", close).await?;
    run.equal("the end of a close within 4s, at", run.first(&Event::Ended), Some(secs(4)))?;
    run.equal("leases that are out:", stragglers.unwrap_or(usize::MAX), 2)?;
    run.everybody([early]).await?;
    drop(leases);
    settle().await;
    Ok(())
}

async fn pool_81(subject: &Subject) -> Checked {
    needs(subject, Capability::CloseWaits)?;
    let run = closable(subject, 1)?;
    let lease = run.enter(1, secs(5)).await;
    let closes = [run.close_beside(None).await, run.close_beside(None).await];
    for close in closes {
        drop(run.ended("an end of the close", close).await?);
    }
    let ends = run.pick(|at, event| (*event == Event::Ended).then_some(at));
    run.equal("the ends of two closes, the last lease returned at 5s, at", ends, vec![secs(5), secs(5)])?;
    run.everybody([lease]).await
}

fn pool_82(subject: &Subject) -> Checked {
    needs(subject, Capability::Close)?;
    needs(subject, Capability::CloseWaits)?;
    let setup = async || {
        let run = unwrap(closable(subject, 1));
        drop(run.enter(1, ms(10)).await);
        drop(run.enter(2, ms(10)).await);
        Rc::new(run)
    };
    let operation = async |run: Rc<Run>| {
        run.pool().close(None).await;
    };
    let check = async |run: Rc<Run>| {
        let untold = run.pool().get();
        let closed = matches!(timeout(secs(5), untold).await, Ok(Err(GetError::Closed)));
        let served = run.served();
        let told = run.denied().into_iter().filter(|(_, _, error)| *error == GetError::Closed).count();
        assert_eq!(told + served.len(), 2, "callers that were served, or told of the close");
        assert!(closed || served.len() == 2, "closed: {closed}, served: {served:?}");
    };
    explored(|| cancel::every_point(setup, operation, check))
}
