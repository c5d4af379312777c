//! Objects that leave the pool, leases that outlive it, and runtimes that end.

use std::thread;

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "POOL-53" pool_53 "An object that is discarded is dropped at once, and makes room for a waiter."),
    rule!(Must "POOL-54" pool_54 "An object that is detached stays with its user, and makes room for a waiter."),
    rule!(Must "POOL-55" pool_55 "A lease outlives its pool, and its object is dropped when it is returned."),
    rule!(Must "POOL-56" pool_56 "With the last handle idle objects are dropped, and no creation is left.")
        .needs(Needs::CANCEL),
    rule!(Must "POOL-57" pool_57 "A lease may be returned outside of a runtime.").needs(Needs::THREADS),
    rule!(Must "POOL-58" threads pool_58 "A runtime that ends takes no object and no room with it."),
];

async fn pool_53(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::Discard)?;
    let run = Run::start(subject, &Settings::of(1))?;
    let first = run.lease(1).await?;
    let waiter = run.enter(2, ms(0)).await;
    first.discard();
    settle().await;
    run.equal("objects dropped", run.freed(), vec![1])?;
    run.everybody([waiter]).await?;
    run.equal("the waiter is served", run.got(2), Some((ms(0), 2)))?;
    run.has_at_most(1)
}

async fn pool_54(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::Detach)?;
    let run = Run::start(subject, &Settings::of(1))?;
    let first = run.lease(1).await?;
    let waiter = run.enter(2, ms(0)).await;
    let object = first.detach();
    run.everybody([waiter]).await?;
    run.equal("objects dropped", run.freed(), vec![])?;
    run.equal("the waiter is served", run.got(2), Some((ms(0), 2)))?;
    drop(object);
    Ok(())
}

async fn pool_55(subject: &Subject) -> Checked {
    needs(subject, Capability::OwnedLeases)?;
    let mut run = Run::start(subject, &Settings::of(1))?;
    let held = run.lease(1).await?;
    run.drop_pool();
    sleep(secs(1)).await;
    run.equal("objects dropped while one is in use", run.freed(), vec![])?;
    run.equal("its number", held.object().number(), 1)?;
    drop(held);
    settle().await;
    run.equal("objects dropped when it was returned", run.freed(), vec![1])
}

async fn pool_56(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::OwnedLeases)?;
    let settings = Settings::of(2);
    settings.backend.creates(|number| Step::OK.after(if number == 1 { ms(0) } else { secs(10) }));
    let mut run = Run::start(subject, &settings)?;
    let first = run.lease(1).await?;
    let caller = run.enter(2, ms(0)).await;
    caller.abort();
    drop(first);
    settle().await;
    drop(caller.await);
    run.drop_pool();
    sleep(secs(20)).await;
    run.equal("objects alive 20s after the last handle was dropped:", run.alive(), 0)
}

async fn pool_57(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1))?;
    let held = run.lease(1).await?;
    let returned = thread::spawn(move || drop(held)).join();
    run.require(returned.is_ok(), "a return in a thread without a runtime", "a panic")?;
    run.lends(1).await
}

fn pool_58(subject: &Subject) -> Checked {
    let paused = || runtime(Builder::new_current_thread().enable_time().start_paused(true));
    let (first, second) = (paused()?, paused()?);
    let run = second.block_on(async { Run::start(subject, &Settings::of(2)) })?;
    let creates = subject.supports(Capability::Create).is_ok();
    run.backend.creates(move |number| if number == 2 { Step::HANGS } else { Step::OK });
    let held = first.block_on(async {
        let held = run.lease(1).await?;
        if creates {
            // Its creation hangs, and ends with its runtime.
            run.enter(2, ms(0)).await;
        }
        Checked::Ok(held)
    })?;
    let waiter = second.block_on(run.enter(3, ms(0)));
    drop(first);
    second.block_on(async { drop(held) });
    let ended = second.block_on(async {
        run.everybody([waiter]).await?;
        run.lends(2).await
    });
    second.block_on(async { drop(run) });
    ended
}
