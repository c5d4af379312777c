//! Callers that give up.

use std::rc::Rc;

use evenkeel_testkit::cancel;

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "POOL-23" alone pool_23 "A get that is dropped at any point loses no object, and no room for one.").needs(Needs::CANCEL),
    rule!(Must "POOL-24" alone pool_24 "A waiter that is dropped at any point holds up nobody behind it.").needs(Needs::CANCEL),
    rule!(Must "POOL-25" pool_25 "An object on its way to a waiter that is dropped goes to the next one at once.").needs(Needs::CANCEL),
    rule!(Must "POOL-26" pool_26 "A get that is not polled takes no object, and no place among the waiters.").needs(Needs::LAZY),
    rule!(Must "POOL-27" pool_27 "A creation goes on when its caller gives up, and its object goes to the next caller.").needs(Needs::CANCEL),
    rule!(Must "POOL-28" alone pool_28 "A get that is dropped during a check loses no room.").needs(Needs::CANCEL),
    rule!(Should "POOL-29" pool_29 "A caller that gives up during a check costs no object that is healthy.").needs(Needs::CANCEL),
];

fn pool_23(subject: &Subject) -> Checked {
    let settings = |is_slow: bool| {
        let settings = Settings::of(2);
        settings.backend.creates(move |_| Step::OK.after(if is_slow { ms(10) } else { ms(0) }));
        settings
    };
    let is_slow = subject.supports(Capability::Create).is_ok();
    let setup = async || Rc::new(unwrap(Run::start(subject, &settings(is_slow))));
    let operation = async |run: Rc<Run>| {
        let _first = run.get(1).await;
        let _second = run.get(2).await;
        sleep(ms(10)).await;
    };
    let check = async |run: Rc<Run>| unwrap(run.lends(2).await);
    explored(|| cancel::every_point(setup, operation, check))
}

fn pool_24(subject: &Subject) -> Checked {
    let setup = async || {
        let run = unwrap(Run::start(subject, &Settings::of(1)));
        drop(run.enter(1, ms(10)).await);
        let get = run.get(3);
        // It comes after the operation.
        drop(run.spawn(async {
            sleep(ms(5)).await;
            drop(get.await);
        }));
        Rc::new(run)
    };
    let operation = async |run: Rc<Run>| {
        if let Ok(held) = run.get(2).await {
            sleep(ms(10)).await;
            drop(held);
        }
    };
    let check = async |run: Rc<Run>| {
        settle().await;
        // One that is not polled may hold it up until it is dropped, after an hour.
        let served = run.got_at(3).unwrap_or_else(|| panic!("the waiter behind it is not served"));
        assert!(served <= secs(3600) + ms(30), "the waiter behind it is served after {served:?}");
        unwrap(run.lends(1).await);
    };
    explored(|| cancel::every_point(setup, operation, check))
}

async fn pool_25(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1))?;
    let first = run.lease(1).await?;
    let mut waiter = run.get(2);
    run.require(poll_once(&mut waiter).await.is_none(), "a waiter", "an answer at once")?;
    let next = run.enter(3, ms(0)).await;
    sleep(ms(10)).await;
    drop(first);
    drop(waiter);
    run.everybody([next]).await?;
    run.equal(
        "an object returned at 10ms, as its waiter is dropped, leased to the next at",
        run.got_at(3),
        Some(ms(10)),
    )
}

async fn pool_26(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1))?;
    let idle = run.get(1);
    let _lease = run.lease(2).await?;
    run.equal("an object, beside a get that is not polled, at", run.got_at(2), Some(ms(0)))?;
    drop(idle);
    let other = run.get(3);
    let next = run.enter(4, ms(0)).await;
    sleep(ms(10)).await;
    drop(_lease);
    run.everybody([next]).await?;
    run.equal("an object returned at 10ms leased to the only waiter at", run.got_at(4), Some(ms(10)))?;
    drop(other);
    Ok(())
}

async fn pool_27(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = Settings::of(1);
    settings.backend.creates(|_| Step::OK.after(ms(100)));
    let run = Run::start(subject, &settings)?;
    for caller in 1..=5 {
        if timeout(ms(80), run.get(caller)).await.is_ok() {
            break;
        }
    }
    run.equal(
        "callers that wait for 80ms, and a creation of 100ms: the second is served at",
        run.got(2),
        Some((ms(100), 1)),
    )
}

/// A pool of one idle object, whose check takes 10 ms.
async fn slow_check(subject: &Subject) -> Checked<Run> {
    needs(subject, Capability::Create)?;
    let settings = Settings::of(1).checked();
    let run = Run::start(subject, &settings)?;
    drop(run.lease(1).await?);
    settle().await;
    run.backend.checks(|_| Step::OK.after(ms(10)));
    Ok(run)
}

fn pool_28(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::Check)?;
    let setup = async || Rc::new(unwrap(slow_check(subject).await));
    let operation = async |run: Rc<Run>| drop(run.get(2).await);
    let check = async |run: Rc<Run>| unwrap(run.lends(1).await);
    explored(|| cancel::every_point(setup, operation, check))
}

async fn pool_29(subject: &Subject) -> Checked {
    let run = slow_check(subject).await?;
    for caller in 2..=5 {
        drop(timeout(ms(5), run.get(caller)).await);
    }
    sleep(secs(1)).await;
    run.equal("objects dropped, after 4 callers that gave up during the check:", run.freed().len(), 0)
}
