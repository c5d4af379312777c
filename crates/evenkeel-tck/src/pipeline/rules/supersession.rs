//! Lost leases: the work of an attempt that another one has replaced.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "PIPELINE-32" pipeline_32 "Work whose lease cannot be extended is dropped when it has run out."),
    rule!(Must "PIPELINE-33" pipeline_33 "A late effect of an attempt whose lease is lost does not happen."),
    rule!(Must "PIPELINE-34" pipeline_34 "A late failure of an attempt whose lease is lost changes nothing for the next one."),
    rule!(Must "PIPELINE-35" pipeline_35 "A message whose lease is lost while it waits in hand is not begun."),
    rule!(Must "PIPELINE-36" pipeline_36 "A delivery whose lease is lost is told as left, not as acked or nacked."),
];

/// Cuts the link of the first worker for 100 seconds; another one is there.
async fn cut(
    subject: &Subject,
    settings: &Settings,
    step: Step,
) -> Checked<(Run, [Box<dyn crate::pipeline::Worker>; 2])> {
    needs(subject, Capability::Cut)?;
    let run = Run::start(subject, settings)?;
    run.work
        .runs(move |mark| if mark.worker == 1 { step } else { Step::OK.after(secs(100)).writing(secs(99)) });
    run.publish(1..=settings.window as u32).await;
    let worker = run.worker(1).await?;
    let other = run.worker(2).await?;
    run.until(secs(1)).await;
    run.cut(&*worker, secs(100));
    run.until(secs(150)).await;
    Ok((run, [worker, other]))
}

async fn finish(run: &Run, workers: [Box<dyn crate::pipeline::Worker>; 2]) -> Checked {
    for worker in workers {
        run.finish(worker).await?;
    }
    Ok(())
}

async fn pipeline_32(subject: &Subject) -> Checked {
    let (run, workers) = cut(subject, &Settings::of(1), Step::HANGS).await?;
    let dropped = run.dropped();
    let in_time = |at: Duration| at > secs(1) && at <= run.latest(secs(31));
    let holds = matches!(*dropped, [(at, 1, 1)] if in_time(at));
    run.require(holds, "the work dropped within the ack wait", format_args!("{dropped:?}"))?;
    finish(&run, workers).await
}

async fn pipeline_33(subject: &Subject) -> Checked {
    let (run, workers) = cut(subject, &Settings::of(1), Step::OK.after(secs(40)).writing(secs(35))).await?;
    finish(&run, workers).await?;
    run.equal("rows by identity, and writes", run.rows(), (1, 1))
}

async fn pipeline_34(subject: &Subject) -> Checked {
    let (run, workers) = cut(subject, &Settings::of(1), Step::FAILS.after(secs(35))).await?;
    finish(&run, workers).await?;
    let attempts: Vec<(u32, u32)> =
        run.attempts(1).into_iter().map(|(_, worker, attempt)| (worker, attempt)).collect();
    run.equal("workers and attempts", attempts, vec![(1, 1), (2, 2)])
}

async fn pipeline_35(subject: &Subject) -> Checked {
    let (run, workers) = cut(subject, &Settings::of(2).limited(1), Step::OK.after(secs(40))).await?;
    finish(&run, workers).await?;
    run.equal("begun by the first worker", run.begun_by(1), vec![1])
}

async fn pipeline_36(subject: &Subject) -> Checked {
    needs(subject, Capability::Report)?;
    let (run, [worker, other]) = cut(subject, &Settings::of(1), Step::OK.after(secs(40))).await?;
    let report = run.finish(worker).await?.report;
    run.equal("accepted and left", (report.accepted, report.left), (1, 1))?;
    let report = run.finish(other).await?.report;
    run.equal("accepted and acked by the other", (report.accepted, report.acked), (1, 1))
}
