//! What the error tells, and what is not repeated because of it.

use super::limits::five_seconds;
use crate::{
    Rule,
    duration::secs,
    retry::{
        Adapter, Capability, Hint, Reason, Settings,
        operation::Step,
        trial::{needs, trial},
    },
    rule::{Checked, rule},
};

pub(super) const RULES: &[Rule<dyn Adapter>] = &[
    rule!(Should "RETRY-53" retry_53 "A call that gave up says which limit was the reason."),
    rule!(Must "RETRY-54" retry_54 "An operation that is not safe to repeat is repeated only if it was not sent."),
];

async fn retry_53(subject: &dyn Adapter) -> Checked {
    needs(subject, Capability::Reason)?;
    let mut cases = vec![
        (Settings::doubling(), Hint::Transient, Reason::Attempts),
        (Settings::doubling(), Hint::Permanent, Reason::Permanent),
    ];
    if needs(subject, Capability::TotalTimeout).is_ok() {
        cases.push((five_seconds(secs(3)), Hint::Transient, Reason::TotalTimeout));
    }
    for (settings, hint, reason) in cases {
        let trial = trial(subject, &settings, move |_| Step::refusing(hint)).await?;
        let told = trial.outcome.err().and_then(|gave_up| gave_up.reason);
        trial.require(
            told == Some(reason),
            || format!("the reason {reason:?}"),
            || told.map_or_else(|| "no reason".to_owned(), |told| format!("{told:?}")),
        )?;
    }
    Ok(())
}

async fn retry_54(subject: &dyn Adapter) -> Checked {
    let settings = Settings { at_most_once: true, ..Settings::doubling() };
    let script = |attempt| if attempt < 3 { Step::refusing(Hint::NotSent) } else { Step::TRANSIENT };
    let trial = trial(subject, &settings, script).await?;
    trial.equal("number of attempts", trial.attempts(), 3)
}
