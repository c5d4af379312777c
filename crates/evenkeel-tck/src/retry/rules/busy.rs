//! Attempts that are never short of work.

use super::{deadlines::until, limits::five_seconds, prelude::*};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "RETRY-82" retry_82 "An attempt that is never short of work is dropped at its own limit, too.").needs(Needs::POLLS)
        .after("RETRY-36"),
    rule!(Should "RETRY-83" retry_83 "An attempt that is never short of work is dropped when the total time is over, too.").needs(Needs::POLLS)
        .after("RETRY-32"),
    rule!(Must "RETRY-84" retry_84 "An attempt that is never short of work is dropped at the deadline, too.").needs(Needs::POLLS)
        .after("RETRY-56"),
];

async fn retry_82(subject: &Subject) -> Checked {
    let settings = Settings { attempt_timeout: Some(secs(5)), ..Settings::fixed(secs(1)) };
    let run = dropped(subject, &settings).await?;
    run.equal("attempts at", run.begun(), vec![ms(0), secs(6)])
}

async fn retry_83(subject: &Subject) -> Checked {
    dropped(subject, &five_seconds(secs(1))).await.map(drop)
}

async fn retry_84(subject: &Subject) -> Checked {
    dropped(subject, &until(secs(5), secs(1))).await.map(drop)
}

/// The first attempt works on when its five seconds are over, and then no time passes.
async fn dropped(subject: &Subject, settings: &Settings) -> Checked<FinishedCall> {
    let script = |attempt| if attempt == 1 { Step::OK.taking(secs(5)).busy() } else { Step::OK };
    let run = run_call(subject, settings, script).await?;
    let (freed, ended) = (run.freed(), run.ended());
    run.require(
        freed.first() == Some(&secs(5)) && !ended.contains(&secs(5)),
        "the first attempt dropped at 5s, while it works",
        format_args!("drops at {freed:?}, and ends at {ended:?}"),
    )?;
    Ok(run)
}
