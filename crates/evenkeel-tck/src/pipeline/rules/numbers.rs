//! The numbers of a worker that runs.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "PIPELINE-71" pipeline_71 "A snapshot tells what is in hand, worked on, and waiting for the limit."),
    rule!(Must "PIPELINE-72" pipeline_72 "The account in a snapshot adds up at any time, with what is in hand."),
];

async fn pipeline_71(subject: &Subject) -> Checked {
    needs(subject, Capability::Snapshot)?;
    let run = Run::start(subject, &Settings::of(5).limited(2))?;
    run.work.runs(|_| Step::OK.after(secs(2)));
    run.publish(1..=6).await;
    let worker = run.worker(1).await?;
    for (at, want) in [(1, (5, 2, 3)), (3, (4, 2, 2)), (5, (2, 2, 0)), (7, (0, 0, 0))] {
        run.until(secs(at)).await;
        let now = worker.snapshot();
        run.equal("in hand, worked on, waiting", (now.in_hand, now.in_flight, now.queued), want)?;
    }
    run.finish(worker).await.map(drop)
}

async fn pipeline_72(subject: &Subject) -> Checked {
    needs(subject, Capability::Snapshot)?;
    needs(subject, Capability::Report)?;
    let run = Run::start(subject, &Settings::of(4).attempts(2))?;
    run.work.runs(|mark| match mark.number % 3 {
        0 => Step::FAILS.after(secs(1)),
        _ => Step::OK.after(ms(700)),
    });
    run.publish(1..=12).await;
    let worker = run.worker(1).await?;
    for at in 0..20 {
        run.until(ms(500 * at)).await;
        let report = worker.snapshot().report;
        let sum = report.acked + report.nacked + report.dead + report.left;
        run.equal("the sum of the account", sum, report.accepted)?;
    }
    let report = run.finish(worker).await?.report;
    let account = (report.accepted, report.acked, report.nacked, report.dead, report.left);
    run.equal("the account at the end", account, (16, 8, 4, 4, 0))
}
