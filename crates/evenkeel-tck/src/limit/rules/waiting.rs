//! Requests that wait.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "LIMIT-18" limit_18 "A permit that is there is granted at once."),
    rule!(Must "LIMIT-19" limit_19 "Waiting is measured on the runtime's clock."),
    rule!(Must "LIMIT-20" limit_20 "A turn comes when its permit has been earned.").after("LIMIT-19"),
    rule!(Must "LIMIT-21" limit_21 "Turns come in the order in which the requests were first polled.")
        .after("LIMIT-19"),
    rule!(Must "LIMIT-22" limit_22 "A small request does not overtake a big one.").after("LIMIT-19"),
    rule!(Must "LIMIT-23" limit_23 "A request that does not wait gets nothing while others wait.").after("LIMIT-19"),
    rule!(Should "LIMIT-24" limit_24 "A wait costs at most two polls, however many wait.").needs(Needs::POLLS).after("LIMIT-19"),
    rule!(Must "LIMIT-25" limit_25 "Timers that fire late cost no rate.").after("LIMIT-19"),
    rule!(Must "LIMIT-26" limit_26 "More than the burst is refused or granted in the end; it does not wait for ever.").after("LIMIT-19"),
    rule!(Should "LIMIT-27" limit_27 "A refusal that says when to come back counts the waiters.").after("LIMIT-19"),
];

/// A limiter of requests that wait, whose first permit is taken.
pub(super) async fn spent(subject: &Subject, settings: Settings) -> Checked<Harness> {
    let harness = Harness::start(subject, &settings.waiting())?;
    let _first = harness.spend(1).await?;
    Ok(harness)
}

/// Closes the limiter after a minute. The rule asks that these two waiters, and a request after them, are refused then.
pub(super) async fn closes(harness: &Harness, waiters: Vec<Waiter>) -> Checked {
    sleep(secs(60)).await;
    harness.change(Change::Close);
    harness.everybody(waiters).await?;
    let next = harness.turn(Request::of(1)).await?;
    let refused = harness.pick(|at, event| matches!(event, Event::Refused(1.., _)).then_some(at));
    let outcome = (refused, next.is_err());
    harness.equal("closed at 60s: refused, and who comes too,", outcome, (vec![secs(60); 2], true))
}

/// Spawns this number of waiters for one permit each, in this order.
pub(super) async fn queue(harness: &Harness, waiters: u32) -> Vec<Waiter> {
    let mut queue = Vec::new();
    for who in 1..=waiters {
        queue.push(harness.enter(who, Request::of(1)).await);
    }
    queue
}

async fn limit_18(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::rate(10, secs(1)).waiting())?;
    for _ in 0..10 {
        let _permit = harness.spend(1).await?;
    }
    harness.equal("ten of a burst of ten after", harness.elapsed(), ms(0))
}

async fn limit_19(subject: &Subject) -> Checked {
    let harness = spent(subject, Settings::rate(1, secs(1))).await?;
    harness.spend(1).await.map(drop)
}

async fn limit_20(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::rate(1, ms(100)).waiting())?;
    harness.everybody(queue(&harness, 8).await).await?;
    let times: Vec<_> = (0..8).map(|turn| ms(100 * turn)).collect();
    harness.turns_at("at 1 per 100ms", &times)
}

async fn limit_21(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::rate(1, ms(10)).waiting())?;
    let mut waiters = queue(&harness, 20).await;
    for who in 21..40 {
        sleep(ms(3)).await;
        waiters.push(harness.enter(who, Request::of(1)).await);
    }
    harness.everybody(waiters).await?;
    harness.in_order()
}

async fn limit_22(subject: &Subject) -> Checked {
    needs(subject, Capability::Weights)?;
    let harness = Harness::start(subject, &Settings::rate(1, ms(100)).burst(5).waiting())?;
    let _all = harness.spend(5).await?;
    let big = harness.enter(1, Request::of(5)).await;
    sleep(ms(150)).await;
    let small = harness.enter(2, Request::of(1)).await;
    harness.everybody(vec![big, small]).await?;
    harness.in_order()
}

async fn limit_23(subject: &Subject) -> Checked {
    needs(subject, Capability::Mixed)?;
    needs(subject, Capability::Weights)?;
    let harness = Harness::start(subject, &Settings::rate(1, ms(100)).burst(5).waiting())?;
    let _all = harness.spend(5).await?;
    let _waiter = harness.enter(1, Request::of(5)).await;
    sleep(ms(250)).await;
    harness.refuses("while a request for 5 waits, after 2 were earned", Request::of(1)).map(drop)
}

async fn limit_24(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::rate(1, ms(2)).waiting())?;
    let counts = harness.everybody(queue(&harness, 200).await).await?;
    let most = counts.iter().map(|counts| counts.polls).max().unwrap_or_default();
    let all: u64 = counts.iter().map(|counts| counts.polls).sum();
    harness.require(most <= 2, "at most 2 polls for each of 200", format_args!("{most}, and {all} together"))
}

async fn limit_25(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::rate(3, ms(2)).waiting())?;
    harness.everybody(queue(&harness, 150).await).await?;
    let (end, right) = (harness.elapsed(), ms(98));
    harness.require(
        end <= right + ms(3),
        format_args!("150 at 3 per 2ms after {right:?}, in whole milliseconds"),
        format_args!("{end:?}"),
    )
}

async fn limit_26(subject: &Subject) -> Checked {
    needs(subject, Capability::Weights)?;
    let harness = Harness::start(subject, &Settings::rate(10, secs(1)).waiting())?;
    harness.turn(Request::of(11)).await.map(drop)
}

async fn limit_27(subject: &Subject) -> Checked {
    needs(subject, Capability::Mixed)?;
    needs(subject, Capability::RetryAfter)?;
    let harness = spent(subject, Settings::rate(1, secs(1))).await?;
    let _waiters = queue(&harness, 2).await;
    let denied = harness.refuses("behind two who wait", Request::of(1))?;
    harness.equal("at 1 per second, behind two who wait, come back in", denied.retry_after(), Some(secs(3)))
}
