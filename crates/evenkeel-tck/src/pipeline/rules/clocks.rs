//! Servers whose clock is set.

use std::collections::BTreeSet;

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "PIPELINE-101" pipeline_101 "A worker whose lease ends since the server's clock is set forward has no effect beside the next attempt."),
    rule!(Must "PIPELINE-102" pipeline_102 "A server whose clock is set forward loses no message, and no two runs of one are the same attempt."),
    rule!(Must "PIPELINE-103" pipeline_103 "A server whose clock is set back ends no lease, and holds up no message that comes."),
];

const HOUR: Duration = secs(60 * 60);

/// A server whose clock can be set.
fn clocked(window: usize) -> Settings {
    Settings { sets_clock: true, ..Settings::of(window) }
}

async fn pipeline_101(subject: &Subject) -> Checked {
    needs(subject, Capability::Leases)?;
    needs(subject, Capability::ClockForward)?;
    let run = Run::start(subject, &clocked(2))?;
    run.work.runs(|_| Step::OK.after(secs(25)).writing(secs(24)));
    run.publish([1]).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.set_clock_forward(HOUR).await;
    run.finish(worker).await?;
    let last = run.begun().into_iter().map(|(.., attempt)| attempt).max().unwrap_or_default();
    run.equal("attempts that have their effect", run.writers(), vec![last])?;
    run.stores_now(0).await
}

async fn pipeline_102(subject: &Subject) -> Checked {
    needs(subject, Capability::Leases)?;
    needs(subject, Capability::ClockForward)?;
    let run = Run::start(subject, &clocked(2))?;
    run.work.runs(|_| Step::OK.after(secs(4)).writing(secs(3)));
    run.publish(1..=8).await;
    let (one, other) = (run.worker(1).await?, run.worker(2).await?);
    run.until(secs(1)).await;
    run.set_clock_forward(HOUR).await;
    run.finish(one).await?;
    run.finish(other).await?;
    run.equal("rows by identity", run.rows().0, 8)?;
    let runs: Vec<(u32, u32)> =
        run.begun().into_iter().map(|(_, number, attempt)| (number, attempt)).collect();
    let attempts: BTreeSet<_> = runs.iter().copied().collect();
    run.require(
        attempts.len() == runs.len(),
        "an attempt of its own for each run",
        format_args!("{runs:?}"),
    )?;
    run.stores_now(0).await
}

async fn pipeline_103(subject: &Subject) -> Checked {
    needs(subject, Capability::Leases)?;
    needs(subject, Capability::ClockBack)?;
    let run = Run::start(subject, &clocked(2))?;
    run.work.runs(|mark| Step::OK.after(if mark.number == 1 { secs(40) } else { secs(1) }));
    run.publish([1]).await;
    let (one, other) = (run.worker(1).await?, run.worker(2).await?);
    run.until(secs(1)).await;
    run.set_clock_back(HOUR).await;
    run.until(secs(5)).await;
    run.publish([2]).await;
    run.finish(one).await?;
    run.finish(other).await?;
    run.equal("begun", run.begun(), vec![(secs(0), 1, 1), (secs(5), 2, 1)])?;
    run.stores_now(0).await
}
