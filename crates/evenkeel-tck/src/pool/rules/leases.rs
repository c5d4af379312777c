//! Leases: one object for one caller, no more objects than the maximum, and no fewer.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "POOL-01" pool_01 "An object is leased to one caller at a time."),
    rule!(Must "POOL-02" pool_02 "There are never more objects than the maximum, those that are being created included."),
    rule!(Must "POOL-03" pool_03 "As many objects as the maximum can be leased at once."),
    rule!(Must "POOL-04" pool_04 "An object that is returned is lent again."),
    rule!(Should "POOL-05" pool_05 "No object is created before a caller wants one."),
    rule!(Must "POOL-06" panics pool_06 "A panic of its user returns an object."),
    rule!(Must "POOL-07" pool_07 "A maximum of zero is refused, or means that there is none."),
];

async fn pool_01(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(3))?;
    let mut callers = Vec::new();
    for caller in 1..=12 {
        callers.push(run.enter(caller, ms(u64::from(caller) % 4)).await);
    }
    run.everybody(callers).await?;
    run.equal("callers served", run.served().len(), 12)?;
    match run.shared() {
        None => Ok(()),
        Some(object) => Err(run.failure("no object with two users", format_args!("object {object}"))),
    }
}

async fn pool_02(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = Settings::of(3);
    settings.backend.creates(|_| Step::OK.after(ms(10)));
    let run = Run::start(subject, &settings)?;
    let mut callers = Vec::new();
    for caller in 1..=12 {
        callers.push(run.enter(caller, ms(5)).await);
    }
    run.everybody(callers).await?;
    run.has_at_most(3)
}

async fn pool_03(subject: &Subject) -> Checked {
    for max in [1, 3] {
        let run = Run::start(subject, &Settings::of(max))?;
        let _leases = run.leases(max as u32).await?;
        run.equal("the last of them leased at", run.got_at(max as u32), Some(ms(0)))?;
    }
    Ok(())
}

async fn pool_04(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let run = Run::start(subject, &Settings::of(3))?;
    for caller in 1..=5 {
        drop(run.lease(caller).await?);
        settle().await;
    }
    run.equal("objects for one caller after the other:", run.created().len(), 1)
}

async fn pool_05(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let run = Run::start(subject, &Settings::of(3))?;
    sleep(secs(10)).await;
    run.equal("creations before the first caller:", run.creations().len(), 0)?;
    let _lease = run.lease(1).await?;
    sleep(secs(10)).await;
    run.equal("creations for one caller:", run.creations().len(), 1)
}

async fn pool_06(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1))?;
    let get = run.get(1);
    let user = run.spawn(async move {
        let _held = get.await;
        panic!("the user panics");
    });
    drop(user.await);
    run.lends(1).await
}

async fn pool_07(subject: &Subject) -> Checked {
    let settings = within(subject, Settings::of(0), secs(60));
    let Some(pool) = unless_refused(subject, &settings)? else { return Ok(()) };
    let run = Run::with(pool, &settings);
    run.lease(1).await.map(drop)
}
