//! Requests that need permits of two limits.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] =
    &[rule!(Must "LIMIT-67" limit_67 "A request that one of two limits refuses takes nothing of the other.")];

async fn limit_67(subject: &Subject) -> Checked {
    let bucket = |per, burst| Limit::Bucket { rate: Rate { permits: 1, per: secs(per) }, burst };
    let (deep, quick) = (bucket(3600, 3), bucket(1, 1));
    for (limit, also) in [(deep, quick), (quick, deep)] {
        let harness = Harness::start(subject, &Settings { also: Some(also), ..Settings::of(limit) })?;
        harness.grants("with 1 per second, and 3 for the next hour", 5, 1)?;
        for _ in 0..2 {
            advance(secs(1)).await;
            harness.grants("a second later", 5, 1)?;
        }
    }
    Ok(())
}
