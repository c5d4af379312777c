//! Objects that are checked, broken, reset or dropped.

use std::sync::{Arc, Weak};

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "POOL-42" pool_42 "An object is checked before it is lent again."),
    rule!(Must "POOL-43" pool_43 "However many idle objects fail their check, the caller gets one that does not."),
    rule!(Must "POOL-44" pool_44 "An object that is broken when it is returned is dropped."),
    rule!(Must "POOL-45" pool_45 "A broken object makes room for a waiter at once."),
    rule!(Must "POOL-46" panics pool_46 "A check that panics costs no more than its object."),
    rule!(Must "POOL-47" panics pool_47 "A destructor that panics costs no room."),
    rule!(Must "POOL-48" pool_48 "The destructor of an object may use its pool.").needs(Needs::CANCEL),
    rule!(Must "POOL-49" pool_49 "An object that was used a moment ago is not checked, and one that was not is."),
    rule!(Must "POOL-50" pool_50 "An object is reset before its next user has it."),
    rule!(Must "POOL-51" pool_51 "An object whose reset fails is dropped, and makes room."),
    rule!(Must "POOL-52" pool_52 "A reset that hangs ends at the time-out for checks, and makes room."),
];

async fn pool_42(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1).checked())?;
    for caller in 1..=3 {
        drop(run.lease(caller).await?);
        settle().await;
    }
    let held = run.lease(4).await?;
    let waiter = run.enter(5, ms(0)).await;
    drop(held);
    run.everybody([waiter]).await?;
    let events = run.pick(|_, event| match event {
        Event::Checked(_) => Some('c'),
        Event::Got(..) => Some('g'),
        _ => None,
    });
    let events = String::from_iter(events);
    run.require(!events.contains("gg"), "a check (c) between two gets (g) of one object", events)
}

async fn pool_43(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let run = Run::start(subject, &Settings::of(4).checked())?;
    drop(run.leases(4).await?);
    settle().await;
    run.backend.checks(|number| if number <= 4 { Step::FAILS } else { Step::OK });
    let held = run.lease(9).await?;
    run.require(
        held.number > 4,
        "a new object, after 4 that are dead",
        format_args!("object {}", held.number),
    )?;
    run.equal("at", run.elapsed(), ms(0))?;
    run.backend.recover();
    drop(held);
    settle().await;
    run.lends(4).await
}

async fn pool_44(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::Broken)?;
    let run = Run::start(subject, &Settings::of(1))?;
    let first = run.lease(1).await?;
    first.object().break_down();
    drop(first);
    settle().await;
    run.equal("objects dropped", run.freed(), vec![1])?;
    let second = run.lease(2).await?;
    run.equal("the next object", second.number, 2)
}

async fn pool_45(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::Broken)?;
    let run = Run::start(subject, &Settings::of(1))?;
    let first = run.lease(1).await?;
    let waiters = [run.enter(2, ms(0)).await, run.enter(3, ms(0)).await];
    first.object().break_down();
    drop(first);
    run.everybody(waiters).await?;
    let got = (run.got(2), run.got(3));
    run.equal("two waiters behind a broken object", got, (Some((ms(0), 2)), Some((ms(0), 2))))?;
    run.has_at_most(1)
}

async fn pool_46(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let run = Run::start(subject, &within(subject, Settings::of(2).checked(), secs(60)))?;
    drop(run.leases(2).await?);
    settle().await;
    run.backend.checks(|number| if number == 1 { Step::PANICS } else { Step::OK });
    // One of the two meets the panic.
    let answers = (run.answer(3).await?, run.answer(4).await?);
    drop(answers);
    settle().await;
    run.lends(2).await
}

async fn pool_47(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let mut settings = Settings::of(2);
    if subject.supports(Capability::Discard).is_err() {
        settings = settings.checked();
    }
    let run = Run::start(subject, &settings)?;
    let held = run.lease(1).await?;
    held.object().destroyed_by(Destructor::Panics);
    drop(catch_unwind(AssertUnwindSafe(|| run.gives_up(subject, held))));
    settle().await;
    // The panic may come out of the next get.
    drop(run.answer(2).await?);
    settle().await;
    run.equal("objects dropped", run.freed(), vec![1])?;
    run.lends(2).await
}

async fn pool_48(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let mut settings = Settings::of(1);
    if subject.supports(Capability::Discard).is_err() {
        settings = settings.checked();
    }
    let run = Arc::new(Run::start(subject, &settings)?);
    let weak: Weak<Run> = Arc::downgrade(&run);
    let held = run.lease(1).await?;
    held.object().destroyed_by(Destructor::Asks(Arc::new(move || {
        if let Some(run) = weak.upgrade() {
            let mut get = run.pool().get();
            drop(get.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        }
    })));
    run.gives_up(subject, held);
    settle().await;
    run.lends(1).await
}

async fn pool_49(subject: &Subject) -> Checked {
    let settings = Settings { validate_after: Some(secs(5)), ..Settings::of(1).checked() };
    let run = Run::start(subject, &settings)?;
    let checks = || {
        run.numbers(|event| match event {
            Event::Checks(number) => Some(*number),
            _ => None,
        })
    };
    for caller in 1..=3 {
        drop(run.lease(caller).await?);
        sleep(secs(4)).await;
    }
    run.equal("checks of an object that was used 4s ago, with a limit of 5s:", checks().len(), 0)?;
    sleep(secs(2)).await;
    drop(run.lease(4).await?);
    run.equal("checks of one that was used 6s ago:", checks().len(), 1)
}

async fn pool_50(subject: &Subject) -> Checked {
    let settings = Settings::of(1).resetting();
    settings.backend.resets(|_| Step::OK.after(ms(10)));
    let run = Run::start(subject, &settings)?;
    let first = run.lease(1).await?;
    let waiter = run.enter(2, ms(0)).await;
    drop(first);
    run.everybody([waiter]).await?;
    run.equal(
        "an object returned at 0ms, whose reset takes 10ms, leased again at",
        run.got_at(2),
        Some(ms(10)),
    )?;
    run.equal("reset at", run.first(&Event::Reset(1)), Some(ms(10)))
}

async fn pool_51(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = Settings::of(1).resetting();
    settings.backend.resets(|number| if number == 1 { Step::FAILS } else { Step::OK });
    let run = Run::start(subject, &settings)?;
    drop(run.lease(1).await?);
    settle().await;
    run.equal("objects dropped", run.freed(), vec![1])?;
    run.lends(1).await
}

async fn pool_52(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = Settings { check_timeout: Some(secs(2)), ..Settings::of(1).resetting() };
    settings.backend.resets(|number| if number == 1 { Step::HANGS } else { Step::OK });
    let run = Run::start(subject, &settings)?;
    drop(run.lease(1).await?);
    let second = run.lease(2).await?;
    run.equal(
        "the caller behind a reset that hangs, with a time-out of 2s,",
        run.got(2),
        Some((secs(2), 2)),
    )?;
    drop(second);
    settle().await;
    Ok(())
}
