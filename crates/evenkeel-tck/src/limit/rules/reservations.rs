//! Reservations for work whose cost is known afterwards only.

use super::{prelude::*, waiting::queue};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "LIMIT-70" limit_70 "Reserved permits are granted to no other request."),
    rule!(Must "LIMIT-71" limit_71 "A reservation that is dropped has used nothing."),
    rule!(Must "LIMIT-72" limit_72 "Permits that a reservation did not use are there at once."),
    rule!(Must "LIMIT-73" limit_73 "Permits that come back from a reservation are never more than the burst."),
    rule!(Must "LIMIT-74" limit_74 "Use beyond a reservation is earned before anything else is granted."),
    rule!(Must "LIMIT-75" limit_75 "The turn of a waiter follows from what reservations have used.")
        .after("LIMIT-19"),
    rule!(Must "LIMIT-76" limit_76 "A permit that a sliding window no longer counts does not come back to it."),
];

/// Ten a second.
const TEN: Settings = Settings::rate(10, secs(1));

/// A limiter that is full.
fn start(subject: &Subject, settings: &Settings) -> Checked<Harness> {
    needs(subject, Capability::Reserve)?;
    Harness::start(subject, settings)
}

async fn limit_70(subject: &Subject) -> Checked {
    let harness = start(subject, &TEN)?;
    let reserved = harness.reserve(6).await?;
    harness.grants("with 6 of 10 reserved", 20, 4)?;
    reserved.settle(6);
    harness.grants("after all 6 were used", 20, 0)
}

async fn limit_71(subject: &Subject) -> Checked {
    let harness = start(subject, &TEN)?;
    drop(harness.reserve(6).await?);
    harness.grants("after 6 of 10 were reserved and dropped", 20, 10)
}

async fn limit_72(subject: &Subject) -> Checked {
    let harness = start(subject, &TEN)?;
    harness.reserve(6).await?.settle(2);
    harness.grants("after 2 of 6 were used, of 10", 20, 8)
}

async fn limit_73(subject: &Subject) -> Checked {
    let harness = start(subject, &TEN)?;
    let reserved = harness.reserve(6).await?;
    advance(secs(10)).await;
    reserved.settle(2);
    harness.grants("after 4 of 6 came back to a full limiter", 20, 10)
}

async fn limit_74(subject: &Subject) -> Checked {
    let harness = start(subject, &TEN)?;
    harness.reserve(10).await?.settle(25);
    advance(ms(1599)).await;
    harness.grants("15 more than reserved, and 1599ms later", 20, 0)?;
    advance(ms(1)).await;
    harness.grants("a millisecond later", 20, 1)
}

async fn limit_75(subject: &Subject) -> Checked {
    for (used, turns) in [(9, [ms(50), ms(100)]), (12, [ms(300), ms(400)])] {
        let harness = start(subject, &TEN.waiting())?;
        let reserved = harness.reserve(10).await?;
        let waiters = queue(&harness, 2).await;
        sleep(ms(50)).await;
        reserved.settle(used);
        harness.everybody(waiters).await?;
        harness.turns_at(&format!("after 50ms, {used} of 10 used"), &turns)?;
    }
    Ok(())
}

async fn limit_76(subject: &Subject) -> Checked {
    let harness = start(subject, &Settings::sliding(10, secs(1)))?;
    let reserved = harness.reserve(6).await?;
    advance(secs(1)).await;
    harness.grants("a second after 6 were reserved", 20, 10)?;
    reserved.settle(0);
    harness.grants("after all 6 came back then", 20, 0)
}
