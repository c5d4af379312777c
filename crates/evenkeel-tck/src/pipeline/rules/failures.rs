//! Servers that are killed or forget their workers, answers that are lost, stops under load.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "PIPELINE-87" pipeline_87 "A server that is killed again and again loses no message, and the sink has one row for each."),
    rule!(Must "PIPELINE-88" pipeline_88 "A worker that the server has forgotten goes on, and each message has one row."),
    rule!(Must "PIPELINE-89" pipeline_89 "A worker that is killed between a dead letter and the end of its message leaves one dead letter."),
    rule!(Must "PIPELINE-90" pipeline_90 "Stops under load count no attempt of any message."),
    rule!(Must "PIPELINE-91" pipeline_91 "A delivery that is lost on its way comes again."),
    rule!(Must "PIPELINE-92" pipeline_92 "A failure whose answer is lost counts as one attempt."),
    rule!(Must "PIPELINE-93" pipeline_93 "An ack whose answer is lost is repeated until it is confirmed, and the work is not."),
];

async fn pipeline_87(subject: &Subject) -> Checked {
    needs(subject, Capability::Kill)?;
    let run = Run::start(subject, &Settings::of(4).limited(2).stopped())?;
    run.work.runs(|_| Step::OK.after(secs(1)).writing(ms(500)));
    run.publish(1..=40).await;
    let (one, other) = (run.worker(1).await?, run.worker(2).await?);
    for _ in 0..3 {
        run.until(run.elapsed() + secs(2)).await;
        run.kill(secs(3));
        run.until(run.elapsed() + secs(5)).await;
    }
    run.finish(one).await?;
    run.finish(other).await?;
    run.equal("rows by identity", run.rows().0, 40)?;
    run.stores_now(0).await
}

async fn pipeline_88(subject: &Subject) -> Checked {
    needs(subject, Capability::Forget)?;
    let run = Run::start(subject, &Settings::of(2))?;
    run.work.runs(|_| Step::OK.after(secs(15)).writing(secs(14)));
    run.publish(1..=4).await;
    let worker = run.worker(1).await?;
    run.until(secs(3)).await;
    run.queue.forget_workers().await;
    run.finish(worker).await?;
    run.equal("rows by identity", run.rows().0, 4)
}

async fn pipeline_89(subject: &Subject) -> Checked {
    needs(subject, Capability::Leases)?;
    let run = Run::start(subject, &Settings { letter_store: true, ..Settings::of(4).attempts(1) })?;
    run.work.runs(|_| Step::FAILS);
    // The letter is in the store by then, and its message still at the server.
    run.work.buries(|_| (secs(5), Vec::new()));
    run.publish(1..=3).await;
    let worker = run.worker(1).await?;
    run.wait_for("letters in the store", async || run.queue.dead_letters().await == 3).await?;
    drop(worker);
    run.settle().await;
    let other = run.worker(2).await?;
    run.finish(other).await?;
    run.equal("runs, and dead letters", (run.begun().len(), run.queue.dead_letters().await), (3, 3))?;
    run.stores_now(0).await
}

async fn pipeline_90(subject: &Subject) -> Checked {
    needs(subject, Capability::Drain)?;
    let run = Run::start(subject, &Settings::of(8).limited(4))?;
    run.work.runs(|mark| Step::OK.after(if mark.worker <= 4 { secs(1) } else { ms(100) }));
    run.publish(1..=60).await;
    for number in 1..=4 {
        let worker = run.worker(number).await?;
        run.until(run.elapsed() + ms(2_500)).await;
        run.drain(worker, secs(0)).await?;
    }
    let last = run.worker(5).await?;
    run.finish(last).await?;
    let again: Vec<u32> =
        run.begun().into_iter().filter(|(.., attempt)| *attempt > 1).map(|(_, n, _)| n).collect();
    run.equal("messages with a second attempt", again, Vec::new())?;
    let done: std::collections::BTreeSet<u32> = run.done().into_iter().collect();
    run.equal("messages done", done.len(), 60)
}

async fn pipeline_91(subject: &Subject) -> Checked {
    needs(subject, Capability::LostAnswers)?;
    let run = Run::start(subject, &Settings::of(1))?;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.lose_answers(&*worker, secs(3));
    run.publish([1]).await;
    run.finish(worker).await?;
    run.equal("messages done", run.done(), vec![1])
}

/// Loses the answers of a worker while it ends its work on a message.
async fn unanswered(run: &Run) -> Checked<crate::pipeline::End> {
    run.publish([1]).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.lose_answers(&*worker, secs(3));
    run.finish(worker).await
}

async fn pipeline_92(subject: &Subject) -> Checked {
    needs(subject, Capability::LostAnswers)?;
    let run = Run::start(subject, &Settings { backoff: secs(10), ..Settings::of(1) })?;
    run.work.runs(|mark| if mark.attempt == 1 { Step::FAILS.after(secs(2)) } else { Step::OK });
    unanswered(&run).await?;
    let attempts: Vec<u32> = run.begun().into_iter().map(|(.., attempt)| attempt).collect();
    run.equal("attempts", attempts, vec![1, 2])
}

async fn pipeline_93(subject: &Subject) -> Checked {
    needs(subject, Capability::LostAnswers)?;
    needs(subject, Capability::Report)?;
    let run = Run::start(subject, &Settings::of(1))?;
    run.work.runs(|_| Step::OK.after(secs(2)));
    let report = unanswered(&run).await?.report;
    run.equal("runs", run.begun().len(), 1)?;
    run.equal("acked, and left", (report.acked, report.left), (1, 0))
}
