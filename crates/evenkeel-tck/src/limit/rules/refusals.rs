//! The cost of a refusal, and the information in it.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "LIMIT-14" limit_14 "A request is granted whole, or takes nothing."),
    rule!(Must "LIMIT-15" limit_15 "More than the burst is refused as what never fits, or granted when the limiter is full."),
    rule!(Must "LIMIT-16" limit_16 "A request that comes back when the refusal says is granted."),
    rule!(Should "LIMIT-17" limit_17 "A request that comes back before the refusal says is refused.")
        .after("LIMIT-16"),
];

async fn limit_14(subject: &Subject) -> Checked {
    needs(subject, Capability::Weights)?;
    let harness = Harness::start(subject, &Settings::rate(10, secs(1)))?;
    harness.gives("of 10", Request::of(7))?;
    harness.refuses("of 3", Request::of(7))?;
    harness.gives("of 3, after a refusal", Request::of(3))
}

async fn limit_15(subject: &Subject) -> Checked {
    needs(subject, Capability::Weights)?;
    needs(subject, Capability::NeverFits)?;
    let harness = Harness::start(subject, &Settings::rate(10, secs(1)))?;
    match harness.ask(Request::of(11)) {
        Ok(_) | Err(Denied::NeverFits) => Ok(()),
        Err(denied) => Err(harness
            .record
            .failure("that 11 of a burst of 10 never fit, or are granted", denied.to_string())),
    }
}

/// A rate of three a second, whose permits are not whole nanoseconds, after a part of one. Returns the wait that the
/// refusal tells.
async fn refused(subject: &Subject, permits: u32) -> Checked<(Harness, Duration)> {
    needs(subject, Capability::RetryAfter)?;
    if permits > 1 {
        needs(subject, Capability::Weights)?;
    }
    let harness = Harness::start(subject, &Settings::rate(3, secs(1)))?;
    harness.take(3);
    advance(ms(50)).await;
    let denied = harness.refuses("after 50ms, at 3 per second", Request::of(permits))?;
    let wait = denied.retry_after().ok_or_else(|| harness.failure("when to come back", "nothing"))?;
    Ok((harness, wait))
}

async fn limit_16(subject: &Subject) -> Checked {
    for permits in [1, 3] {
        let (harness, wait) = refused(subject, permits).await?;
        advance(wait).await;
        harness.gives(&format!("after {wait:?}, as told"), Request::of(permits))?;
    }
    Ok(())
}

async fn limit_17(subject: &Subject) -> Checked {
    for permits in [1, 3] {
        let (harness, wait) = refused(subject, permits).await?;
        let early = wait.saturating_sub(Duration::from_nanos(1));
        advance(early).await;
        harness.refuses(&format!("after {early:?}, and told {wait:?}"), Request::of(permits))?;
    }
    Ok(())
}
