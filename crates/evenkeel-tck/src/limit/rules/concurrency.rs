//! Limits for what runs at once.

use std::{rc::Rc, time::Duration};

use evenkeel_testkit::cancel;
use tokio::time::sleep;

use crate::{
    Rule,
    cuts::explored,
    duration::{ms, secs},
    limit::{
        Adapter, Capability, Change, Request, Settings,
        record::Event,
        trial::{Trial, Waiter, needs},
    },
    rule::{Checked, rule},
};

pub(super) const RULES: &[Rule<dyn Adapter>] = &[
    rule!(Must "LIMIT-54" limit_54 "Never more runs at once than the limit."),
    rule!(Must "LIMIT-55" limit_55 "As much runs at once as the limit allows."),
    rule!(Must "LIMIT-56" limit_56 "Turns to run come in the order in which the requests were first polled."),
    rule!(Must "LIMIT-57" panics limit_57 "A permit to run comes back when the work panics."),
    rule!(Must "LIMIT-58" alone limit_58 "A request to run that is dropped at any point holds nothing."),
    rule!(Must "LIMIT-59" limit_59 "A light request to run does not overtake a heavy one."),
    rule!(Must "LIMIT-60" limit_60 "What is heavier than the limit is refused or runs alone; it does not wait for ever."),
    rule!(Must "LIMIT-61" limit_61 "Who does not wait does not run before those who do."),
    rule!(Should "LIMIT-62" limit_62 "A wait to run costs at most two polls, however many wait."),
    rule!(Must "LIMIT-63" limit_63 "A lower limit takes nothing from what runs, and nothing more starts above it."),
    rule!(Must "LIMIT-64" limit_64 "A higher limit lets those who wait start at once."),
    rule!(Must "LIMIT-65" limit_65 "Closing a limit of concurrency refuses those who wait, at once, and all who come."),
    rule!(Must "LIMIT-66" limit_66 "A limit of zero is refused or lets nothing run."),
];

/// So many who run for 10 ms each, in this order.
async fn crowd(trial: &Trial, waiters: u32) -> Vec<Waiter> {
    let mut crowd = Vec::new();
    for who in 1..=waiters {
        crowd.push(trial.enter_to_hold(who, Request::of(1), ms(10)).await);
    }
    crowd
}

async fn limit_54(subject: &dyn Adapter) -> Checked {
    let trial = Trial::start(subject, &Settings::concurrency(3))?;
    trial.everybody(crowd(&trial, 20).await).await?;
    let peak = trial.record.peak();
    trial.record.require(peak <= 3, || "at most 3 at once".to_owned(), || format!("{peak}"))
}

async fn limit_55(subject: &dyn Adapter) -> Checked {
    let trial = Trial::start(subject, &Settings::concurrency(3))?;
    trial.everybody(crowd(&trial, 20).await).await?;
    trial.record.equal("20 of 10ms each, three at once, have ended after", trial.record.elapsed(), ms(70))
}

async fn limit_56(subject: &dyn Adapter) -> Checked {
    let trial = Trial::start(subject, &Settings::concurrency(2))?;
    let mut waiters = crowd(&trial, 10).await;
    for who in 11..20 {
        sleep(ms(3)).await;
        waiters.push(trial.enter_to_hold(who, Request::of(1), ms(10)).await);
    }
    trial.everybody(waiters).await?;
    trial.in_order()
}

async fn limit_57(subject: &dyn Adapter) -> Checked {
    let trial = Trial::start(subject, &Settings::concurrency(1))?;
    let permit = trial.spend(1).await?;
    let work = tokio::spawn(async move {
        sleep(ms(10)).await;
        let _permit = permit;
        panic!("the work panics");
    });
    let _permit = trial.spend(1).await?;
    assert!(work.await.is_err(), "it panics");
    trial.record.equal("a permit whose holder panics at 10ms is there at", trial.record.elapsed(), ms(10))
}

fn limit_58(subject: &dyn Adapter) -> Checked {
    let settings = Settings::concurrency(2);
    settings.needs().try_for_each(|capability| needs(subject, capability))?;
    let setup = async || {
        let trial = Trial::start(subject, &settings).unwrap_or_else(|verdict| panic!("{verdict}"));
        for time in [10, 20] {
            let holder = trial.clone();
            tokio::spawn(async move {
                let permit = holder.spend(1).await;
                sleep(ms(time)).await;
                drop(permit);
            });
        }
        sleep(ms(1)).await;
        Rc::new(trial)
    };
    let request = async |trial: Rc<Trial>| {
        let permit = trial.unpolled(Request::of(1)).await;
        sleep(ms(10)).await;
        drop(permit);
    };
    let check = async |trial: Rc<Trial>| {
        let began = trial.record.elapsed();
        let both = (trial.spend(1).await, trial.spend(1).await);
        assert!(both.0.is_ok() && both.1.is_ok(), "the limit is not all there");
        assert_eq!(trial.record.elapsed(), began, "the limit is not there at once");
    };
    explored(|| cancel::every_point(setup, request, check))
}

async fn limit_59(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Weights)?;
    let trial = Trial::start(subject, &Settings::concurrency(3))?;
    let first = trial.enter_to_hold(1, Request::of(2), ms(10)).await;
    let heavy = trial.enter_to_hold(2, Request::of(3), ms(10)).await;
    let light = trial.enter_to_hold(3, Request::of(1), ms(10)).await;
    trial.everybody(vec![first, heavy, light]).await?;
    trial.in_order()
}

async fn limit_60(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Weights)?;
    let trial = Trial::start(subject, &Settings::concurrency(3))?;
    trial.turn(Request::of(4)).await.map(drop)
}

async fn limit_61(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Weights)?;
    needs(subject, Capability::Mixed)?;
    let trial = Trial::start(subject, &Settings::concurrency(2))?;
    let _runs = trial.spend(1).await?;
    let _waits = trial.enter(1, Request::of(2)).await;
    trial.refuses("while a request of weight 2 waits, and 1 is free", Request::of(1)).map(drop)
}

async fn limit_62(subject: &dyn Adapter) -> Checked {
    let trial = Trial::start(subject, &Settings::concurrency(3))?;
    let counts = trial.everybody(crowd(&trial, 100).await).await?;
    let most = counts.iter().map(|counts| counts.polls).max().unwrap_or_default();
    trial.record.require(most <= 2, || "at most 2 polls for each of 100".to_owned(), || format!("{most}"))
}

async fn limit_63(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::SetLimit)?;
    let trial = Trial::start(subject, &Settings::concurrency(3))?;
    let mut waiters = Vec::new();
    for (who, time) in [(1, 10), (2, 20), (3, 30), (4, 10)] {
        waiters.push(trial.enter_to_hold(who, Request::of(1), ms(time)).await);
    }
    trial.change(Change::Limit(1));
    trial.everybody(waiters).await?;
    let start = Duration::ZERO;
    trial.turns_at("three run, and from now on one at once,", &[start, start, start, ms(30)])
}

async fn limit_64(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::SetLimit)?;
    let trial = Trial::start(subject, &Settings::concurrency(1))?;
    let waiters = crowd(&trial, 3).await;
    sleep(ms(5)).await;
    trial.change(Change::Limit(3));
    trial.everybody(waiters).await?;
    trial.turns_at("a limit of 1 that is 3 after 5ms,", &[ms(0), ms(5), ms(5)])
}

async fn limit_65(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Close)?;
    let trial = Trial::start(subject, &Settings::concurrency(1))?;
    let _runs = trial.spend(1).await?;
    let waiters = crowd(&trial, 2).await;
    sleep(secs(60)).await;
    trial.change(Change::Close);
    trial.everybody(waiters).await?;
    let next = trial.turn(Request::of(1)).await?;
    let refused = trial.record.pick(|at, event| matches!(event, Event::Refused(1.., _)).then_some(at));
    let outcome = (refused, next.is_err());
    trial.record.equal("closed at 60s: refused, and who comes too,", outcome, (vec![secs(60); 2], true))
}

async fn limit_66(subject: &dyn Adapter) -> Checked {
    let Some(trial) = Trial::unless_refused(subject, &Settings::concurrency(0))? else { return Ok(()) };
    let _waiter = trial.enter(1, Request::of(1)).await;
    sleep(secs(60)).await;
    trial.record.equal("with a limit of 0, running:", trial.record.served().len(), 0)
}
