//! Keys by which the other side knows a repetition.

use std::collections::HashSet;

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-88" retry_88 "All attempts of a call have one idempotency key."),
    rule!(Must "RETRY-89" retry_89 "Every call has an idempotency key of its own, whatever the seed."),
];

fn keyed(seed: Option<u64>) -> Settings {
    Settings { idempotency_keys: true, seed, ..Settings::doubling() }
}

async fn retry_88(subject: &Subject) -> Checked {
    let run = run_call(subject, &keyed(None), |_| Step::TRANSIENT).await?;
    let keys = run.keys();
    run.require(
        keys.len() == run.attempts() && keys.iter().all(|key| *key == keys[0]),
        "one key for each attempt, and the same for all",
        format_args!("{keys:?}"),
    )
}

async fn retry_89(subject: &Subject) -> Checked {
    configure(subject, &keyed(None))?;
    let cases = [None, Some(42)].map(keyed);
    for settings in cases.iter().filter(|settings| has(subject, settings)) {
        let mut keys = HashSet::new();
        // Two policies are two processes, mostly.
        for policy in [configure(subject, settings)?, configure(subject, settings)?] {
            for _ in 0..10 {
                keys.extend(FinishedCall::of(&policy, |_| Step::OK).await?.record.keys());
            }
        }
        if keys.len() < 20 {
            let seed = settings.seed;
            let expected = format_args!("20 keys for 20 calls, with the seed {seed:?}");
            return Err(Verdict::fail(expected, keys.len()));
        }
    }
    Ok(())
}
