//! Deadlines, and bounds of the queue.

use tokio::time::{Instant, sleep};

use crate::{
    Rule,
    duration::{ms, secs},
    limit::{
        Adapter, Capability, Request, Settings,
        trial::{Trial, needs},
    },
    rule::{Checked, rule},
};

pub(super) const RULES: &[Rule<dyn Adapter>] = &[
    rule!(Must "LIMIT-32" limit_32 "A request whose turn comes after its deadline is refused at once."),
    rule!(Must "LIMIT-33" limit_33 "A request whose turn comes at its deadline is granted."),
    rule!(Must "LIMIT-34" limit_34 "A request that was refused for its deadline has taken nothing."),
    rule!(Must "LIMIT-35" limit_35 "When as many wait as may, the next is refused at once."),
    rule!(Must "LIMIT-36" limit_36 "A place in the queue is free when somebody gives up."),
];

/// One a second, and the first of them is taken.
async fn spent(subject: &dyn Adapter, settings: Settings) -> Checked<Trial> {
    let trial = Trial::start(subject, &settings.waiting())?;
    let _first = trial.spend(1).await?;
    Ok(trial)
}

const SLOW: Settings = Settings::rate(1, secs(1));

async fn limit_32(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Deadline)?;
    let trial = spent(subject, SLOW).await?;
    let turn = trial.turn(Request::of(1).by(Instant::now() + ms(999))).await?;
    let outcome = (turn.is_err(), trial.record.elapsed());
    trial.record.equal("a turn at 1s, and a deadline at 999ms: refused, at", outcome, (true, ms(0)))
}

async fn limit_33(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Deadline)?;
    let trial = spent(subject, SLOW).await?;
    let turn = trial.turn(Request::of(1).by(Instant::now() + secs(1))).await?;
    let outcome = (turn.is_ok(), trial.record.elapsed());
    trial.record.equal("a turn and a deadline at 1s: granted, at", outcome, (true, secs(1)))
}

async fn limit_34(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Deadline)?;
    let trial = spent(subject, SLOW).await?;
    let _refused = trial.turn(Request::of(1).by(Instant::now() + ms(500))).await?;
    let _next = trial.spend(1).await?;
    trial.record.equal("at 1 per second, the next at", trial.record.elapsed(), secs(1))
}

async fn limit_35(subject: &dyn Adapter) -> Checked {
    let trial = spent(subject, Settings { max_waiters: Some(2), ..SLOW }).await?;
    let _waiters = [trial.enter(1, Request::of(1)).await, trial.enter(2, Request::of(1)).await];
    let turn = trial.turn(Request::of(1)).await?;
    let outcome = (turn.is_err(), trial.record.elapsed());
    trial.record.equal("with two places, a third is refused, at", outcome, (true, ms(0)))
}

async fn limit_36(subject: &dyn Adapter) -> Checked {
    let trial = spent(subject, Settings { max_waiters: Some(1), ..SLOW }).await?;
    let waiter = trial.enter(1, Request::of(1)).await;
    sleep(ms(500)).await;
    drop(waiter);
    sleep(ms(1)).await;
    trial.spend(1).await.map(drop)
}
