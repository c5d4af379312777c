//! The reason in an error, and operations that are not repeated because of it.

use super::{
    budget::{ONE, with},
    deadlines::until,
    limits::five_seconds,
    prelude::*,
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Should "RETRY-53" retry_53 "A call that gave up says which limit was the reason."),
    rule!(Must "RETRY-54" retry_54 "An operation that is not safe to repeat is repeated only if it was not sent."),
];

async fn retry_53(subject: &Subject) -> Checked {
    needs(subject, Capability::Reason)?;
    let settings = Settings::doubling;
    let cases = [
        (settings(), Hint::Transient, Reason::Attempts),
        (settings(), Hint::Permanent, Reason::Permanent),
        (five_seconds(secs(3)), Hint::Transient, Reason::TotalTimeout),
        (until(secs(5), secs(3)), Hint::Transient, Reason::TotalTimeout),
        (with(ONE, settings()), Hint::Transient, Reason::Budget),
        (Settings { at_most_once: true, ..settings() }, Hint::Transient, Reason::AtMostOnce),
        (Settings { stop_after: Some(ms(50)), ..settings() }, Hint::Transient, Reason::Stopped),
    ];
    for (settings, hint, reason) in cases.into_iter().filter(|(settings, ..)| has(subject, settings)) {
        let run = run_call(subject, &settings, move |_| Step::refusing(hint)).await?;
        let told = run.outcome.reason;
        run.require(
            told == Some(reason),
            format_args!("the reason {reason:?}"),
            told.map_or_else(|| "no reason".to_owned(), |told| format!("{told:?}")),
        )?;
    }
    Ok(())
}

async fn retry_54(subject: &Subject) -> Checked {
    let settings = Settings { at_most_once: true, ..Settings::doubling() };
    let script = |attempt| if attempt < 3 { Step::refusing(Hint::NotSent) } else { Step::TRANSIENT };
    let run = run_call(subject, &settings, script).await?;
    run.equal("number of attempts", run.attempts(), 3)
}
