//! Drains: what is in hand is finished or handed back, and the report is true.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "PIPELINE-37" pipeline_37 "A drain finishes what is in hand, and takes no more."),
    rule!(Must "PIPELINE-38" pipeline_38 "A drain drops the work that is left at its deadline."),
    rule!(Must "PIPELINE-39" pipeline_39 "The messages that a drain drops are handed back at once."),
    rule!(Must "PIPELINE-40" pipeline_40 "A message that a drain hands back counts no attempt."),
    rule!(Must "PIPELINE-41" pipeline_41 "A drain hands back the messages that wait in hand, too."),
    rule!(Must "PIPELINE-42" pipeline_42 "A drain without time hands everything back at once."),
    rule!(Must "PIPELINE-43" pipeline_43 "The report of a drain adds up, and is what the server has."),
    rule!(Must "PIPELINE-44" pipeline_44 "A report says acked only where the server has confirmed it."),
    rule!(Must "PIPELINE-45" pipeline_45 "A drain stores a batch that is not full at once."),
];

/// Drains a worker whose work hangs, after a second and for this time.
async fn hangs(subject: &Subject, settings: &Settings, within: Duration) -> Checked<Run> {
    needs(subject, Capability::Drain)?;
    let run = Run::start(subject, settings)?;
    run.work.runs(|mark| if mark.worker == 1 { Step::HANGS } else { Step::OK });
    run.publish(1..=4).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.drain(worker, within).await?;
    run.equal("the end of the drain", run.elapsed(), secs(1) + within)?;
    Ok(run)
}

/// The attempts of another worker.
async fn others(run: &Run) -> Checked<Vec<(Duration, u32)>> {
    let other = run.worker(2).await?;
    run.finish(other).await?;
    Ok(run.pick(|at, event| match event {
        Event::Begins(mark) if mark.worker == 2 => Some((at, mark.attempt)),
        _ => None,
    }))
}

async fn pipeline_37(subject: &Subject) -> Checked {
    needs(subject, Capability::Drain)?;
    let run = Run::start(subject, &Settings::of(2))?;
    run.work.runs(|_| Step::OK.after(secs(10)));
    run.publish(1..=5).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.drain(worker, secs(60)).await?;
    run.equal("the end of the drain", run.elapsed(), secs(10))?;
    run.equal("messages done", run.done(), vec![1, 2])?;
    run.stores_now(3).await
}

async fn pipeline_38(subject: &Subject) -> Checked {
    let run = hangs(subject, &Settings::of(4), secs(5)).await?;
    let times: Vec<Duration> = run.dropped().into_iter().map(|(at, ..)| at).collect();
    run.equal("dropped", times, vec![secs(6); 4])
}

async fn pipeline_39(subject: &Subject) -> Checked {
    let run = hangs(subject, &Settings::of(4), secs(5)).await?;
    let times: Vec<Duration> = others(&run).await?.into_iter().map(|(at, _)| at).collect();
    run.equal("begun by another worker", times, vec![run.started(2); 4])
}

async fn pipeline_40(subject: &Subject) -> Checked {
    let run = hangs(subject, &Settings::of(4), secs(5)).await?;
    let attempts: Vec<u32> = others(&run).await?.into_iter().map(|(_, attempt)| attempt).collect();
    run.equal("attempts", attempts, vec![1; 4])
}

async fn pipeline_41(subject: &Subject) -> Checked {
    let run = hangs(subject, &Settings::of(4).limited(1), secs(5)).await?;
    let limited = others(&run).await?;
    run.equal("begun by another worker", limited, vec![(run.started(2), 1); 4])
}

async fn pipeline_42(subject: &Subject) -> Checked {
    let run = hangs(subject, &Settings::of(4), secs(0)).await?;
    run.equal("begun by another worker", others(&run).await?, vec![(run.started(2), 1); 4])
}

async fn pipeline_43(subject: &Subject) -> Checked {
    needs(subject, Capability::Drain)?;
    needs(subject, Capability::Report)?;
    let run = Run::start(subject, &Settings::of(8).attempts(2))?;
    run.work.runs(|mark| match mark.number % 5 {
        0 => Step::HANGS,
        1 => Step::FAILS.after(secs(1)),
        _ => Step::OK.after(ms(700)),
    });
    run.publish(1..=40).await;
    let worker = run.worker(1).await?;
    run.until(ms(7_500)).await;
    let end = run.drain(worker, secs(2)).await?;
    let report = end.report;
    let sum = report.acked + report.nacked + report.dead + report.left;
    run.equal("the sum of the report", sum, report.accepted)?;
    let failed = run.pick(|_, event| matches!(event, Event::Fails(_)).then_some(())).len() as u64;
    run.equal("acked", report.acked, run.done().len() as u64)?;
    run.equal("dead", report.dead, run.letters().len() as u64)?;
    run.equal("nacked", report.nacked, failed.saturating_sub(report.dead))?;
    run.stores_now(40_usize.saturating_sub((report.acked + report.dead) as usize)).await
}

async fn pipeline_44(subject: &Subject) -> Checked {
    needs(subject, Capability::Drain)?;
    needs(subject, Capability::Report)?;
    let run = Run::start(subject, &Settings::of(1).stopped())?;
    run.work.runs(|_| Step::OK.after(secs(2)));
    run.publish([1]).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.crash(secs(60));
    let report = run.drain(worker, secs(3)).await?.report;
    run.equal("acked, and left", (report.acked, report.left), (0, 1))?;
    run.until(secs(70)).await;
    run.stores_now(1).await
}

async fn pipeline_45(subject: &Subject) -> Checked {
    needs(subject, Capability::Drain)?;
    let batch = Shape::Batch { items: 10, within: Some(secs(60)) };
    let run = Run::start(subject, &Settings::of(10).shaped(batch))?;
    run.publish(1..=3).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.drain(worker, secs(10)).await?;
    run.equal("stores", run.stores(), vec![(secs(1), vec![1, 2, 3])])?;
    run.stores_now(0).await
}
