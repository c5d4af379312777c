//! Changes of a limiter that is in use.

use super::{
    prelude::*,
    waiting::{closes, queue, spent},
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "LIMIT-37" limit_37 "A new rate counts from now on: what was earned before stays as it is."),
    rule!(Must "LIMIT-38" limit_38 "A new rate counts for waiters, too.").after("LIMIT-19"),
    rule!(Must "LIMIT-39" limit_39 "A larger burst grants nothing until it is earned."),
    rule!(Must "LIMIT-40" limit_40 "A smaller burst cuts the permits that are there."),
    rule!(Must "LIMIT-41" limit_41 "Permits given back are there at once, and never more than the burst."),
    rule!(Must "LIMIT-42" limit_42 "Permits given back go to waiters.").after("LIMIT-19"),
    rule!(Must "LIMIT-43" limit_43 "During a penalty nothing is granted, and afterwards no burst."),
    rule!(Must "LIMIT-44" limit_44 "Closing refuses the waiters at once, and every later request.")
        .after("LIMIT-19"),
];

/// Ten times as fast as one a second.
const FASTER: Change = Change::Rate(Rate { permits: 10, per: secs(1) });

async fn limit_37(subject: &Subject) -> Checked {
    needs(subject, Capability::SetRate)?;
    let harness = Harness::start(subject, &Settings::rate(1, secs(1)).burst(10))?;
    harness.take(10);
    advance(ms(3500)).await;
    harness.change(FASTER);
    harness.grants("after 3.5s at 1 per second", 10, 3)
}

async fn limit_38(subject: &Subject) -> Checked {
    needs(subject, Capability::SetRate)?;
    let harness = spent(subject, Settings::rate(1, secs(1))).await?;
    let waiters = queue(&harness, 2).await;
    sleep(ms(500)).await;
    harness.change(FASTER);
    harness.everybody(waiters).await?;
    harness.turns_at("half a permit earned at 1 per second, and the rest at 10", &[ms(550), ms(650)])
}

async fn limit_39(subject: &Subject) -> Checked {
    needs(subject, Capability::SetBurst)?;
    let harness = Harness::start(subject, &Settings::rate(1, secs(1)).burst(5))?;
    advance(secs(100)).await;
    harness.change(Change::Burst(10));
    harness.grants("a burst of 5 that becomes 10", 20, 5)
}

async fn limit_40(subject: &Subject) -> Checked {
    needs(subject, Capability::SetBurst)?;
    let harness = Harness::start(subject, &Settings::rate(1, secs(1)).burst(10))?;
    harness.change(Change::Burst(5));
    harness.grants("a burst of 10 that becomes 5", 20, 5)
}

async fn limit_41(subject: &Subject) -> Checked {
    needs(subject, Capability::Refund)?;
    let harness = Harness::start(subject, &Settings::rate(10, secs(1)))?;
    harness.take(10);
    harness.change(Change::Refund(4));
    harness.grants("after 4 were given back", 20, 4)?;
    harness.change(Change::Refund(100));
    harness.grants("after 100 were given back", 20, 10)
}

async fn limit_42(subject: &Subject) -> Checked {
    needs(subject, Capability::Refund)?;
    let harness = spent(subject, Settings::rate(1, secs(3600))).await?;
    let waiters = queue(&harness, 1).await;
    sleep(secs(60)).await;
    harness.change(Change::Refund(1));
    harness.everybody(waiters).await?;
    harness.turns_at("given back after a minute", &[secs(60)])
}

async fn limit_43(subject: &Subject) -> Checked {
    needs(subject, Capability::Penalty)?;
    let harness = Harness::start(subject, &Settings::rate(10, secs(1)))?;
    harness.change(Change::Penalty(secs(30)));
    harness.grants("at the beginning of a penalty", 5, 0)?;
    advance(ms(29_999)).await;
    harness.grants("a millisecond before its end", 5, 0)?;
    advance(ms(1)).await;
    let granted = harness.take(20);
    harness.require(granted <= 1, "after it, at most 1 at once", granted)
}

async fn limit_44(subject: &Subject) -> Checked {
    needs(subject, Capability::Close)?;
    let harness = spent(subject, Settings::rate(1, secs(3600))).await?;
    let waiters = queue(&harness, 2).await;
    closes(&harness, waiters).await
}
