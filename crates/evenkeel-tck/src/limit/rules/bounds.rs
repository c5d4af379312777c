//! Deadlines, and bounds of the queue.

use super::{prelude::*, waiting::spent};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "LIMIT-32" limit_32 "A request whose turn comes after its deadline is refused at once."),
    rule!(Must "LIMIT-33" limit_33 "A request whose turn comes at its deadline is granted."),
    rule!(Must "LIMIT-34" limit_34 "A request that was refused for its deadline has taken nothing."),
    rule!(Must "LIMIT-35" limit_35 "When as many wait as may, the next is refused at once."),
    rule!(Must "LIMIT-36" limit_36 "A place in the queue is free when a waiter gives up.")
        .needs(Needs::CANCEL),
];

const SLOW: Settings = Settings::rate(1, secs(1));

async fn limit_32(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadline)?;
    let harness = spent(subject, SLOW).await?;
    let turn = harness.turn(Request::of(1).by(Instant::now() + ms(999))).await?;
    let outcome = (turn.is_err(), harness.elapsed());
    harness.equal("a turn at 1s, and a deadline at 999ms: refused, at", outcome, (true, ms(0)))
}

async fn limit_33(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadline)?;
    let harness = spent(subject, SLOW).await?;
    let turn = harness.turn(Request::of(1).by(Instant::now() + secs(1))).await?;
    let outcome = (turn.is_ok(), harness.elapsed());
    harness.equal("a turn and a deadline at 1s: granted, at", outcome, (true, secs(1)))
}

async fn limit_34(subject: &Subject) -> Checked {
    needs(subject, Capability::Deadline)?;
    let harness = spent(subject, SLOW).await?;
    let _refused = harness.turn(Request::of(1).by(Instant::now() + ms(500))).await?;
    let _next = harness.spend(1).await?;
    harness.equal("at 1 per second, the next at", harness.elapsed(), secs(1))
}

async fn limit_35(subject: &Subject) -> Checked {
    let harness = spent(subject, Settings { max_waiters: Some(2), ..SLOW }).await?;
    let _waiters = [harness.enter(1, Request::of(1)).await, harness.enter(2, Request::of(1)).await];
    let turn = harness.turn(Request::of(1)).await?;
    let outcome = (turn.is_err(), harness.elapsed());
    harness.equal("with two places, a third is refused, at", outcome, (true, ms(0)))
}

async fn limit_36(subject: &Subject) -> Checked {
    let harness = spent(subject, Settings { max_waiters: Some(1), ..SLOW }).await?;
    let waiter = harness.enter(1, Request::of(1)).await;
    sleep(ms(500)).await;
    drop(waiter);
    sleep(ms(1)).await;
    harness.spend(1).await.map(drop)
}
