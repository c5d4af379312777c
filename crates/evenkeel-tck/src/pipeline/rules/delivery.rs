//! Deliveries: work before the ack, attempts and their delays, panics, identity.

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "PIPELINE-01" pipeline_01 "Every message is worked on once, and a worker of a closed queue ends then."),
    rule!(Must "PIPELINE-02" pipeline_02 "A message is acked after its work, and not before."),
    rule!(Must "PIPELINE-03" pipeline_03 "A message whose work fails is delivered again."),
    rule!(Must "PIPELINE-04" pipeline_04 "Another attempt comes after its delay, to the millisecond."),
    rule!(Must "PIPELINE-05" pipeline_05 "The number of the attempt travels with the message."),
    rule!(Must "PIPELINE-06" panics pipeline_06 "A panic is the failure of its message, and of no other."),
    rule!(Must "PIPELINE-07" pipeline_07 "The identity of a message is the same at each attempt, and that of no other message."),
    rule!(Must "PIPELINE-08" pipeline_08 "A message that comes while a worker waits is worked on at once."),
    rule!(Must "PIPELINE-09" pipeline_09 "No message is delivered to two workers while its lease holds."),
    rule!(Must "PIPELINE-10" pipeline_10 "Work that takes longer than its time limit is dropped, and has failed."),
];

async fn pipeline_01(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(4))?;
    run.work.runs(|_| Step::OK.after(secs(1)));
    run.publish(1..=20).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    let mut done = run.done();
    done.sort_unstable();
    run.equal("messages done", done, (1..=20).collect())?;
    run.stores_now(0).await
}

async fn pipeline_02(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(4))?;
    run.work.runs(|_| Step::OK.after(secs(10)));
    run.publish([1]).await;
    let worker = run.worker(1).await?;
    run.just_before(secs(10)).await;
    run.stores_now(1).await?;
    run.finish(worker).await?;
    run.stores_now(0).await
}

async fn pipeline_03(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(4))?;
    run.work.runs(|mark| if mark.attempt == 1 { Step::FAILS } else { Step::OK });
    run.publish(1..=3).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    let mut done = run.done();
    done.sort_unstable();
    run.equal("messages done", done, vec![1, 2, 3])?;
    run.equal("runs", run.begun().len(), 6)
}

/// Lets a message fail twice.
async fn fails_twice(subject: &Subject) -> Checked<Run> {
    let run = Run::start(subject, &Settings::of(4))?;
    let failures = std::sync::atomic::AtomicU32::new(0);
    run.work.runs(move |_| {
        let failed = failures.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if failed < 2 { Step::FAILS } else { Step::OK }
    });
    run.publish([1]).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    Ok(run)
}

async fn pipeline_04(subject: &Subject) -> Checked {
    needs(subject, Capability::Backoff)?;
    let run = fails_twice(subject).await?;
    let times: Vec<Duration> = run.begun().into_iter().map(|(at, ..)| at).collect();
    run.equal("times of the attempts", times, vec![secs(0), secs(5), secs(15)])
}

async fn pipeline_05(subject: &Subject) -> Checked {
    let run = fails_twice(subject).await?;
    let attempts: Vec<u32> = run.begun().into_iter().map(|(.., attempt)| attempt).collect();
    run.equal("attempts", attempts, vec![1, 2, 3])
}

async fn pipeline_06(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(4))?;
    run.work.runs(|mark| match (mark.number, mark.attempt) {
        (1, 1) => Step::PANICS,
        _ => Step::OK.after(secs(1)),
    });
    run.publish(1..=3).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("messages done", run.done().len(), 3)?;
    run.equal("the last one", run.done().last(), Some(&1))
}

async fn pipeline_07(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(4))?;
    run.work.runs(|mark| if mark.attempt < 3 { Step::FAILS.writing(ms(1)) } else { Step::OK.writing(ms(1)) });
    run.publish(1..=5).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("rows by identity, and writes", run.rows(), (5, 15))
}

async fn pipeline_08(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(4))?;
    let worker = run.worker(1).await?;
    run.until(ms(12_345)).await;
    run.publish([1]).await;
    run.until(secs(20)).await;
    run.finish(worker).await?;
    run.equal("begun", run.begun(), vec![(ms(12_345), 1, 1)])
}

async fn pipeline_09(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(4))?;
    run.work.runs(|_| Step::OK.after(secs(1)));
    run.publish(1..=20).await;
    let (one, other) = (run.worker(1).await?, run.worker(2).await?);
    run.finish(one).await?;
    run.finish(other).await?;
    run.equal("runs", run.begun().len(), 20)?;
    run.require(!run.begun_by(2).is_empty(), "work for both workers", "none for the second")
}

async fn pipeline_10(subject: &Subject) -> Checked {
    let settings = Settings { timeout: Some(secs(2)), ..Settings::of(4) };
    let run = Run::start(subject, &settings)?;
    run.work.runs(|mark| if mark.attempt == 1 { Step::HANGS } else { Step::OK });
    run.publish([1]).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("dropped", run.dropped(), vec![(secs(2), 1, 1)])?;
    run.equal("attempts", run.begun().len(), 2)
}
