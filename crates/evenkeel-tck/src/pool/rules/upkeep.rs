//! Idle objects: their order, their number, and their end.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "POOL-59" pool_59 "In a LIFO pool the object that was returned last is lent first."),
    rule!(Must "POOL-60" pool_60 "In a FIFO pool the object that has been idle for the longest time is lent first."),
    rule!(Must "POOL-61" pool_61 "An object is dropped when it has been idle for the idle time-out, and not before."),
    rule!(Must "POOL-62" pool_62 "The time for which an object is idle begins with its return."),
    rule!(Must "POOL-63" pool_63 "As many objects are kept idle as are set, within the maximum."),
    rule!(Must "POOL-64" pool_64 "The idle time-out leaves the minimum of idle objects."),
    rule!(Must "POOL-65" pool_65 "An object is not lent after its lifetime, on a pool that is never idle either."),
    rule!(Must "POOL-66" pool_66 "An idle object is dropped at the end of its lifetime."),
    rule!(Should "POOL-67" pool_67 "Objects that were created together do not end together."),
    rule!(Should "POOL-68" pool_68 "An object that is wanted is replaced before its lifetime ends, within the maximum."),
    rule!(Must "POOL-69" pool_69 "A pool is warmed with as many objects as are asked for, within the maximum."),
];

/// Three objects in the order in which they were returned, and in that in which they are lent again.
async fn lent_again(subject: &Subject, order: Order) -> Checked<(Run, Vec<u32>, Vec<u32>)> {
    let run = Run::start(subject, &Settings { order: Some(order), ..Settings::of(3) })?;
    let mut returned = Vec::new();
    for held in run.leases(3).await? {
        returned.push(held.number);
        sleep(secs(1)).await;
        drop(held);
        settle().await;
    }
    let again: Vec<u32> = run.leases(3).await?.iter().map(|held| held.number).collect();
    Ok((run, returned, again))
}

async fn pool_59(subject: &Subject) -> Checked {
    let (run, mut returned, again) = lent_again(subject, Order::Lifo).await?;
    returned.reverse();
    run.equal("lent again in the order", again, returned)
}

async fn pool_60(subject: &Subject) -> Checked {
    let (run, returned, again) = lent_again(subject, Order::Fifo).await?;
    run.equal("lent again in the order", again, returned)
}

async fn pool_61(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings { idle_timeout: Some(secs(10)), ..Settings::of(3) })?;
    drop(run.leases(3).await?);
    sleep(ms(9900)).await;
    run.equal("objects dropped after 9.9s of an idle time-out of 10s:", run.freed().len(), 0)?;
    // It may look once in each time-out.
    sleep(secs(11)).await;
    run.equal("objects dropped after twice the idle time-out:", run.freed().len(), 3)
}

async fn pool_62(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings { idle_timeout: Some(secs(10)), ..Settings::of(1) })?;
    let held = run.lease(1).await?;
    sleep(secs(15)).await;
    drop(held);
    sleep(ms(9900)).await;
    run.equal("objects dropped 9.9s after a use of 15s, with an idle time-out of 10s:", run.freed().len(), 0)
}

async fn pool_63(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let run = Run::start(subject, &Settings { min_idle: 2, ..Settings::of(4) })?;
    let mut leases = Vec::new();
    for (leased, objects) in [2, 3, 4, 4, 4].into_iter().enumerate() {
        sleep(secs(1)).await;
        let what = format!("objects, with {leased} leased, a minimum of 2 idle and a maximum of 4:");
        run.equal(&what, run.alive(), objects)?;
        if leased < 4 {
            leases.push(run.lease(leased as u32).await?);
        }
    }
    run.has_at_most(4)
}

async fn pool_64(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = Settings { min_idle: 2, idle_timeout: Some(secs(10)), ..Settings::of(4) };
    let run = Run::start(subject, &settings)?;
    settle().await;
    drop(run.leases(4).await?);
    sleep(secs(60)).await;
    run.equal("objects after a minute, with a minimum of 2:", run.alive(), 2)?;
    run.equal("objects dropped, of 4:", run.freed().len(), 2)
}

async fn pool_65(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let run = Run::start(subject, &Settings { max_lifetime: Some(secs(10)), ..Settings::of(1) })?;
    for caller in 1..=60 {
        let held = run.lease(caller).await?;
        let (created, now) = (run.first(&Event::Created(held.number)).unwrap_or_default(), run.elapsed());
        run.require(
            now - created <= secs(10),
            "no object older than 10s",
            format_args!("{:?}", now - created),
        )?;
        sleep(secs(1)).await;
    }
    settle().await;
    run.require(run.created().len() >= 5, "at least 5 objects in 60s", run.created().len())
}

async fn pool_66(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings { max_lifetime: Some(secs(10)), ..Settings::of(2) })?;
    drop(run.leases(2).await?);
    sleep(secs(5)).await;
    run.equal("objects dropped after 5s of a lifetime of 10s:", run.freed().len(), 0)?;
    // It may look once in each lifetime.
    sleep(secs(16)).await;
    run.equal("objects dropped after twice the lifetime:", run.freed().len(), 2)
}

async fn pool_67(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let run = Run::start(subject, &Settings { max_lifetime: Some(secs(1000)), ..Settings::of(16) })?;
    drop(run.leases(16).await?);
    sleep(secs(2010)).await;
    let mut ends = run.pick(|at, event| matches!(event, Event::Freed(_)).then_some(at.as_secs()));
    run.equal("objects dropped at the end of their lifetimes", ends.len(), 16)?;
    ends.dedup();
    run.require(
        ends.len() >= 8,
        "16 objects that end in at least 8 different seconds",
        format_args!("{}", ends.len()),
    )
}

async fn pool_68(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    let settings = Settings { min_idle: 2, max_lifetime: Some(secs(60)), ..Settings::of(6) };
    settings.backend.creates(|_| Step::OK.after(secs(1)));
    let run = Run::start(subject, &settings)?;
    sleep(secs(3)).await;
    for second in 1..=300 {
        run.require(
            run.alive() >= 2,
            "at least 2 objects at any time",
            format_args!("{} after {second}s", run.alive()),
        )?;
        sleep(secs(1)).await;
    }
    run.require(run.created().len() > 6, "new objects in the place of old ones", run.created().len())?;
    run.has_at_most(6)
}

async fn pool_69(subject: &Subject) -> Checked {
    needs(subject, Capability::Create)?;
    needs(subject, Capability::Warm)?;
    for (asked, objects) in [(3, 3), (9, 4)] {
        let settings = Settings::of(4);
        settings.backend.creates(|_| Step::OK.after(ms(10)));
        let run = Run::start(subject, &settings)?;
        run.ended("a warm pool", run.pool().warm(asked)).await?;
        run.equal(&format!("objects, {asked} asked for, of at most 4:"), run.alive(), objects)?;
        run.lends(4).await?;
    }
    Ok(())
}
