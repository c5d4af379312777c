//! Limits for what runs at once.

use std::rc::Rc;

use evenkeel_testkit::cancel;

use super::{prelude::*, waiting::closes};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "LIMIT-54" limit_54 "Never more runs at once than the limit."),
    rule!(Must "LIMIT-55" limit_55 "As much runs at once as the limit allows."),
    rule!(Must "LIMIT-56" limit_56 "Turns to run come in the order in which the requests were first polled."),
    rule!(Must "LIMIT-57" panics limit_57 "A permit to run comes back when the work panics.")
        .needs(Needs::BESIDE),
    rule!(Must "LIMIT-58" alone limit_58 "A request to run that is dropped at any point holds nothing.")
        .needs(Needs::CANCEL),
    rule!(Must "LIMIT-59" limit_59 "A light request to run does not overtake a heavy one."),
    rule!(Must "LIMIT-60" limit_60 "A request heavier than the limit is refused or runs alone; it does not wait for ever."),
    rule!(Must "LIMIT-61" limit_61 "A request that does not wait does not run before the waiters."),
    rule!(Should "LIMIT-62" limit_62 "A wait to run costs at most two polls, however many wait.")
        .needs(Needs::POLLS),
    rule!(Must "LIMIT-63" limit_63 "A lower limit takes nothing from what runs, and nothing more starts above it."),
    rule!(Must "LIMIT-64" limit_64 "A higher limit lets waiters start at once."),
    rule!(Must "LIMIT-65" limit_65 "Closing a limit of concurrency refuses the waiters at once, and every later request."),
    rule!(Must "LIMIT-66" limit_66 "A limit of zero is refused or lets nothing run."),
];

/// Spawns waiters that hold for 10 ms each, in this order.
async fn crowd(harness: &Harness, waiters: u32) -> Vec<Waiter> {
    let mut crowd = Vec::new();
    for who in 1..=waiters {
        crowd.push(harness.enter_to_hold(who, Request::of(1), ms(10)).await);
    }
    crowd
}

async fn limit_54(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::concurrency(3))?;
    harness.everybody(crowd(&harness, 20).await).await?;
    let peak = harness.peak();
    harness.require(peak <= 3, "at most 3 at once", peak)
}

async fn limit_55(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::concurrency(3))?;
    harness.everybody(crowd(&harness, 20).await).await?;
    harness.equal("20 of 10ms each, three at once, have ended after", harness.elapsed(), ms(70))
}

async fn limit_56(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::concurrency(2))?;
    let mut waiters = crowd(&harness, 10).await;
    for who in 11..20 {
        sleep(ms(3)).await;
        waiters.push(harness.enter_to_hold(who, Request::of(1), ms(10)).await);
    }
    harness.everybody(waiters).await?;
    harness.in_order()
}

async fn limit_57(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::concurrency(1))?;
    let permit = harness.spend(1).await?;
    let work = tokio::spawn(async move {
        sleep(ms(10)).await;
        let _permit = permit;
        panic!("the work panics");
    });
    let _permit = harness.spend(1).await?;
    assert!(work.await.is_err(), "it panics");
    harness.equal("a permit whose holder panics at 10ms is there at", harness.elapsed(), ms(10))
}

fn limit_58(subject: &Subject) -> Checked {
    let settings = Settings::concurrency(2);
    needs_all(subject, &settings)?;
    let setup = async || {
        let harness = Harness::start(subject, &settings).unwrap_or_else(|verdict| panic!("{verdict}"));
        for time in [10, 20] {
            let holder = harness.clone();
            tokio::spawn(async move {
                let permit = holder.spend(1).await;
                sleep(ms(time)).await;
                drop(permit);
            });
        }
        sleep(ms(1)).await;
        Rc::new(harness)
    };
    let request = async |harness: Rc<Harness>| {
        let permit = harness.unpolled(Request::of(1)).await;
        sleep(ms(10)).await;
        drop(permit);
    };
    let check = async |harness: Rc<Harness>| {
        let began = harness.elapsed();
        let both = (harness.spend(1).await, harness.spend(1).await);
        assert!(both.0.is_ok() && both.1.is_ok(), "the limit is not all there");
        assert_eq!(harness.elapsed(), began, "the limit is not there at once");
    };
    explored(|| cancel::every_point(setup, request, check))
}

async fn limit_59(subject: &Subject) -> Checked {
    needs(subject, Capability::Weights)?;
    let harness = Harness::start(subject, &Settings::concurrency(3))?;
    let first = harness.enter_to_hold(1, Request::of(2), ms(10)).await;
    let heavy = harness.enter_to_hold(2, Request::of(3), ms(10)).await;
    let light = harness.enter_to_hold(3, Request::of(1), ms(10)).await;
    harness.everybody(vec![first, heavy, light]).await?;
    harness.in_order()
}

async fn limit_60(subject: &Subject) -> Checked {
    needs(subject, Capability::Weights)?;
    let harness = Harness::start(subject, &Settings::concurrency(3))?;
    harness.turn(Request::of(4)).await.map(drop)
}

async fn limit_61(subject: &Subject) -> Checked {
    needs(subject, Capability::Weights)?;
    needs(subject, Capability::Mixed)?;
    let harness = Harness::start(subject, &Settings::concurrency(2))?;
    let _runs = harness.spend(1).await?;
    let _waits = harness.enter(1, Request::of(2)).await;
    harness.refuses("while a request of weight 2 waits, and 1 is free", Request::of(1)).map(drop)
}

async fn limit_62(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::concurrency(3))?;
    let counts = harness.everybody(crowd(&harness, 100).await).await?;
    let most = counts.iter().map(|counts| counts.polls).max().unwrap_or_default();
    harness.require(most <= 2, "at most 2 polls for each of 100", most)
}

async fn limit_63(subject: &Subject) -> Checked {
    needs(subject, Capability::SetLimit)?;
    let harness = Harness::start(subject, &Settings::concurrency(3))?;
    let mut waiters = Vec::new();
    for (who, time) in [(1, 10), (2, 20), (3, 30), (4, 10)] {
        waiters.push(harness.enter_to_hold(who, Request::of(1), ms(time)).await);
    }
    harness.change(Change::Limit(1));
    harness.everybody(waiters).await?;
    let start = Duration::ZERO;
    harness.turns_at("three run, and from now on one at once,", &[start, start, start, ms(30)])
}

async fn limit_64(subject: &Subject) -> Checked {
    needs(subject, Capability::SetLimit)?;
    let harness = Harness::start(subject, &Settings::concurrency(1))?;
    let waiters = crowd(&harness, 3).await;
    sleep(ms(5)).await;
    harness.change(Change::Limit(3));
    harness.everybody(waiters).await?;
    harness.turns_at("a limit of 1 that is 3 after 5ms,", &[ms(0), ms(5), ms(5)])
}

async fn limit_65(subject: &Subject) -> Checked {
    needs(subject, Capability::Close)?;
    let harness = Harness::start(subject, &Settings::concurrency(1))?;
    let _runs = harness.spend(1).await?;
    let waiters = crowd(&harness, 2).await;
    closes(&harness, waiters).await
}

async fn limit_66(subject: &Subject) -> Checked {
    let Some(harness) = Harness::unless_refused(subject, &Settings::concurrency(0))? else { return Ok(()) };
    let _waiter = harness.enter(1, Request::of(1)).await;
    sleep(secs(60)).await;
    harness.equal("with a limit of 0, running:", harness.served().len(), 0)
}
