//! Dead letters: after as many attempts as are allowed, written before the message is gone.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "PIPELINE-46" pipeline_46 "A message that fails at each of its attempts is buried at the last one, and not run again."),
    rule!(Must "PIPELINE-47" pipeline_47 "A dead letter has the message, its identity, the number of attempts, and the reason."),
    rule!(Must "PIPELINE-48" pipeline_48 "A message leaves the server after its dead letter is written, and not before."),
    rule!(Must "PIPELINE-49" pipeline_49 "A message whose dead letter cannot be written is kept, and buried later."),
    rule!(Must "PIPELINE-50" pipeline_50 "A message whose worker is killed while its dead letter is being written is buried by the next worker."),
    rule!(Must "PIPELINE-51" pipeline_51 "A message that kills its worker at each attempt is buried without being run again."),
    rule!(Must "PIPELINE-52" pipeline_52 "A slow sink of dead letters does not hold other messages."),
];

/// Publishes a message that always fails, with at most this number of attempts.
async fn poison(subject: &Subject, attempts: u32) -> Checked<Run> {
    let run = Run::start(subject, &Settings::of(4).attempts(attempts))?;
    run.work.runs(|mark| if mark.number == 1 { Step::FAILS } else { Step::OK.after(secs(1)) });
    run.publish([1]).await;
    Ok(run)
}

async fn pipeline_46(subject: &Subject) -> Checked {
    let run = poison(subject, 3).await?;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("attempts", run.begun().len(), 3)?;
    let letters: Vec<Duration> = run.letters().into_iter().map(|(at, _)| at).collect();
    run.equal("times of dead letters", letters, vec![secs(15)])?;
    run.stores_now(0).await
}

async fn pipeline_47(subject: &Subject) -> Checked {
    let run = poison(subject, 2).await?;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    let ids = run.pick(|_, event| match event {
        Event::Begins(mark) => Some(mark.id.clone()),
        _ => None,
    });
    let letters = run.letters();
    let [(_, letter)] = &*letters else {
        return Err(run.failure("one dead letter", letters.len()));
    };
    run.equal("the message", letter.item, Item { number: 1, part: 0, key: 1, size: 1 })?;
    run.equal("attempts", letter.attempts, 2)?;
    run.equal("the identity", Some(&letter.id), ids.first())?;
    let tells = letter.reason.contains("message 1 is refused");
    run.require(tells, "the error of the work in the reason", &letter.reason)
}

async fn pipeline_48(subject: &Subject) -> Checked {
    let run = poison(subject, 1).await?;
    run.work.buries(|_| (secs(5), Vec::new()));
    let worker = run.worker(1).await?;
    run.until(secs(4)).await;
    run.stores_now(1).await?;
    run.finish(worker).await?;
    run.equal("dead letters", run.letters().len(), 1)?;
    run.stores_now(0).await
}

async fn pipeline_49(subject: &Subject) -> Checked {
    let run = poison(subject, 1).await?;
    let calls = std::sync::atomic::AtomicU32::new(0);
    run.work.buries(move |_| {
        let failed = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2;
        (secs(0), if failed { vec![0] } else { Vec::new() })
    });
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("attempts, and dead letters", (run.begun().len(), run.letters().len()), (1, 1))
}

async fn pipeline_50(subject: &Subject) -> Checked {
    needs(subject, Capability::Leases)?;
    let run = poison(subject, 1).await?;
    run.work.buries(|_| (secs(5), Vec::new()));
    let worker = run.worker(1).await?;
    run.until(secs(2)).await;
    drop(worker);
    run.settle().await;
    let other = run.worker(2).await?;
    run.finish(other).await?;
    run.equal("attempts, and dead letters", (run.begun().len(), run.letters().len()), (1, 1))?;
    run.stores_now(0).await
}

async fn pipeline_51(subject: &Subject) -> Checked {
    needs(subject, Capability::Leases)?;
    let run = Run::start(subject, &Settings::of(1).attempts(2))?;
    run.work.runs(|_| Step::HANGS);
    run.publish([1]).await;
    for number in 1..=2_u32 {
        let worker = run.worker(number).await?;
        let runs = || run.begun().len();
        run.wait_for("another run", async || runs() == number as usize).await?;
        run.until(run.elapsed() + secs(10)).await;
        drop(worker);
        run.settle().await;
    }
    run.work.runs(|_| Step::OK);
    let worker = run.worker(3).await?;
    run.finish(worker).await?;
    run.equal("runs, and dead letters", (run.begun().len(), run.letters().len()), (2, 1))
}

async fn pipeline_52(subject: &Subject) -> Checked {
    let run = poison(subject, 1).await?;
    run.work.buries(|_| (secs(20), Vec::new()));
    run.publish(2..=10).await;
    let worker = run.worker(1).await?;
    run.until(secs(10)).await;
    run.equal("messages done", run.done().len(), 9)?;
    run.finish(worker).await.map(drop)
}
