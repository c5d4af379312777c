//! A limit for each key.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "LIMIT-47" limit_47 "One key takes no permits from another."),
    rule!(Must "LIMIT-48" limit_48 "However many keys come, a key that is not full again is not forgotten."),
    rule!(Should "LIMIT-49" limit_49 "Keys that are full again are forgotten without being told to."),
    rule!(Must "LIMIT-50" limit_50 "A bound for the keys is kept."),
    rule!(Must "LIMIT-51" limit_51 "At the bound, too, no key is forgotten that is not full again."),
    rule!(Must "LIMIT-52" limit_52 "A turn of a key comes when its own permit has been earned.")
        .after("LIMIT-19"),
    rule!(Must "LIMIT-53" limit_53 "A new rate counts for all keys."),
];

/// A number of keys far above the bound.
const MANY: u32 = 2000;

const BOUND: usize = 100;

async fn limit_47(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::rate(10, secs(1)).of_keys())?;
    let taken = [1, 2].map(|key| harness.take_of(20, Request::of(1).key(key)));
    harness.equal("granted of 20 requests for each key:", taken, [10, 10])
}

/// The first key is not full again for an hour, and many come after it.
async fn crowd(subject: &Subject, settings: Settings) -> Checked<Harness> {
    let harness = Harness::start(subject, &settings.of_keys())?;
    for key in 0..MANY {
        harness.take_of(1, Request::of(1).key(key));
    }
    Ok(harness)
}

async fn limit_48(subject: &Subject) -> Checked {
    let harness = crowd(subject, Settings::rate(1, secs(3600))).await?;
    harness.refuses("for the first of many keys", Request::of(1).key(0)).map(drop)
}

async fn limit_49(subject: &Subject) -> Checked {
    needs(subject, Capability::CountKeys)?;
    // Some implementations make room only when they need it.
    let max_keys = subject.supports(Capability::MaxKeys).ok().map(|()| BOUND);
    let harness = Harness::start(subject, &Settings { max_keys, ..Settings::rate(1, secs(1)) }.of_keys())?;
    let mut granted = 0;
    for key in 0..MANY {
        advance(ms(100)).await;
        granted += harness.take_of(1, Request::of(1).key(key));
    }
    let keys = harness.keys();
    harness.require(
        granted == MANY && keys < MANY as usize / 2,
        format_args!("{MANY} keys granted, of which 10 are not full again, and far fewer kept"),
        format_args!("{granted}, and {keys} kept"),
    )
}

async fn limit_50(subject: &Subject) -> Checked {
    needs(subject, Capability::CountKeys)?;
    let harness = crowd(subject, Settings { max_keys: Some(BOUND), ..Settings::rate(1, secs(3600)) }).await?;
    let keys = harness.keys();
    harness.require(keys <= BOUND, format_args!("at most {BOUND} keys"), keys)
}

async fn limit_51(subject: &Subject) -> Checked {
    let harness = crowd(subject, Settings { max_keys: Some(BOUND), ..Settings::rate(1, secs(3600)) }).await?;
    harness.refuses("for the first of many keys", Request::of(1).key(0)).map(drop)
}

async fn limit_52(subject: &Subject) -> Checked {
    let harness = Harness::start(subject, &Settings::rate(1, secs(1)).of_keys().waiting())?;
    let mut waiters = Vec::new();
    for (who, key) in [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2)] {
        waiters.push(harness.enter(who, Request::of(1).key(key)).await);
    }
    harness.everybody(waiters).await?;
    harness.turns_at("at 1 per second, three of one key and two of another,", &[0, 0, 1, 1, 2].map(secs))
}

async fn limit_53(subject: &Subject) -> Checked {
    needs(subject, Capability::SetRate)?;
    let harness = Harness::start(subject, &Settings::rate(1, secs(1)).burst(10).of_keys())?;
    let take = || [1, 2].map(|key| harness.take_of(20, Request::of(1).key(key)));
    take();
    harness.change(Change::Rate(Rate { permits: 10, per: secs(1) }));
    advance(ms(300)).await;
    harness.equal("after 300ms at the new rate, granted for each key:", take(), [3, 3])
}
