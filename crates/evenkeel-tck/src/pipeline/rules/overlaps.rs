//! Two of these at once, and long sequences of faults.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::prelude::*;
use crate::{clock::Clock, pipeline::Worker};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "PIPELINE-73" pipeline_73 "Without a limit of attempts a message is tried until it is done."),
    rule!(Must "PIPELINE-74" pipeline_74 "The time limit of the work does not count the wait for its turn."),
    rule!(Must "PIPELINE-75" pipeline_75 "A message whose lease is lost while it waits for its batch is not stored with it."),
    rule!(Must "PIPELINE-76" pipeline_76 "A paused worker can be drained."),
    rule!(Must "PIPELINE-77" pipeline_77 "A drain ends within ten seconds of its deadline, though the server is away."),
    rule!(Must "PIPELINE-78" pipeline_78 "A drain waits for the dead letters of messages that have failed."),
    rule!(Must "PIPELINE-79" panics pipeline_79 "A panic in the store of a batch is the failure of its messages."),
    rule!(Must "PIPELINE-80" panics pipeline_80 "A panic in the sink of dead letters is a failure of the sink."),
    rule!(Must "PIPELINE-81" pipeline_81 "No more batches are stored at a time than the limit."),
    rule!(Must "PIPELINE-82" pipeline_82 "No sequence of kills, crashes and cuts loses a message, or writes two rows for one."),
    rule!(Must "PIPELINE-83" pipeline_83 "Reports add up after any drain, and claim no more than the server has done."),
    rule!(Must "PIPELINE-84" pipeline_84 "A lease that is lost frees its place in the window and in the limit."),
    rule!(Must "PIPELINE-85" pipeline_85 "Messages behind a lost one of their key go on."),
    rule!(Must "PIPELINE-86" pipeline_86 "No time passes between the end of one message and the begin of the next."),
];

async fn pipeline_73(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings { backoff: ms(10), ..Settings::of(1) })?;
    run.work.runs(|mark| if mark.attempt <= 30 { Step::FAILS } else { Step::OK });
    run.publish([1]).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("attempts", run.begun().len(), 31)?;
    run.equal("messages done", run.done(), vec![1])
}

async fn pipeline_74(subject: &Subject) -> Checked {
    let settings = Settings { timeout: Some(secs(15)), ..Settings::of(4).limited(1) };
    let run = Run::start(subject, &settings)?;
    run.work.runs(|_| Step::OK.after(secs(10)));
    run.publish(1..=4).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("attempts", run.begun().len(), 4)
}

async fn pipeline_75(subject: &Subject) -> Checked {
    needs(subject, Capability::Cut)?;
    let batch = Shape::Batch { items: 10, within: Some(secs(60)) };
    let run = Run::start(subject, &Settings::of(10).shaped(batch))?;
    run.publish([1]).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.cut(&*worker, secs(50));
    run.finish(worker).await?;
    let stores = run.stores();
    // It comes again at 51s at the earliest, when the link is back.
    let holds = matches!(&*stores, [(at, numbers)] if *at >= secs(51) && **numbers == [1]);
    run.require(holds, "one store of it, after it has come again", format_args!("{stores:?}"))
}

async fn pipeline_76(subject: &Subject) -> Checked {
    needs(subject, Capability::Pause)?;
    needs(subject, Capability::Drain)?;
    let run = Run::start(subject, &Settings::of(1))?;
    run.work.runs(|_| Step::OK.after(secs(5)));
    run.publish(1..=2).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    worker.pause();
    run.until(secs(2)).await;
    run.drain(worker, secs(60)).await?;
    run.equal("the end of the drain", run.elapsed(), secs(5))?;
    run.equal("messages done", run.done(), vec![1])
}

async fn pipeline_77(subject: &Subject) -> Checked {
    needs(subject, Capability::Drain)?;
    let run = Run::start(subject, &Settings::of(4).stopped())?;
    run.work.runs(|mark| if mark.number == 1 { Step::OK.after(secs(2)) } else { Step::HANGS });
    run.publish(1..=4).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.crash(secs(3600));
    run.drain(worker, secs(3)).await?;
    let ended = run.elapsed();
    run.require(ended <= run.latest(secs(14)), "an end by 14s", format_args!("{ended:?}"))
}

async fn pipeline_78(subject: &Subject) -> Checked {
    needs(subject, Capability::Drain)?;
    let run = Run::start(subject, &Settings::of(4).attempts(1))?;
    run.work.runs(|_| Step::FAILS);
    run.work.buries(|_| (secs(5), Vec::new()));
    run.publish([1]).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.drain(worker, secs(60)).await?;
    run.equal("dead letters", run.letters().len(), 1)?;
    run.equal("the end of the drain", run.elapsed(), secs(5))?;
    run.stores_now(0).await
}

async fn pipeline_79(subject: &Subject) -> Checked {
    let batch = Shape::Batch { items: 3, within: Some(secs(1)) };
    let run = Run::start(subject, &Settings::of(6).shaped(batch))?;
    let calls = AtomicU32::new(0);
    run.work.stores(move |_| {
        assert!(calls.fetch_add(1, Relaxed) > 0, "the first store panics");
        (secs(0), Vec::new())
    });
    run.publish(1..=6).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    let stores: Vec<Vec<u32>> = run.stores().into_iter().map(|(_, numbers)| numbers).collect();
    run.equal("stores", stores, vec![vec![1, 2, 3], vec![4, 5, 6], vec![1, 2, 3]])
}

async fn pipeline_80(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(4).attempts(1))?;
    run.work.runs(|mark| if mark.number == 1 { Step::FAILS } else { Step::OK });
    let calls = AtomicU32::new(0);
    run.work.buries(move |_| {
        assert!(calls.fetch_add(1, Relaxed) > 0, "the first burial panics");
        (secs(0), Vec::new())
    });
    run.publish(1..=2).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("dead letters", run.letters().len(), 1)?;
    run.equal("runs", run.begun().len(), 2)?;
    run.stores_now(0).await
}

async fn pipeline_81(subject: &Subject) -> Checked {
    let batch = Shape::Batch { items: 2, within: Some(secs(60)) };
    let run = Run::start(subject, &Settings::of(6).shaped(batch).limited(1))?;
    run.work.stores(|_| (secs(1), Vec::new()));
    run.publish(1..=6).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    let stores = vec![(secs(0), vec![1, 2]), (secs(1), vec![3, 4]), (secs(2), vec![5, 6])];
    run.equal("stores", run.stores(), stores)
}

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

async fn pipeline_82(subject: &Subject) -> Checked {
    needs(subject, Capability::Cut)?;
    for seed in 1..=if Clock::current().is_real() { 1 } else { 6 } {
        let mut random = Random(seed);
        let run = Run::start(subject, &Settings::of(3).limited(2).stopped())?;
        run.work.runs(|mark| match (mark.number + mark.attempt) % 4 {
            0 => Step::FAILS.after(secs(3)).writing(secs(1)),
            1 => Step::OK.after(secs(40)).writing(secs(39)),
            _ => Step::OK.after(secs(3)).writing(secs(2)),
        });
        run.publish(1..=30).await;
        let mut workers: Vec<Box<dyn Worker>> = vec![run.worker(1).await?, run.worker(2).await?];
        for number in 3..=22 {
            run.until(run.elapsed() + ms(500 + random.below(15_000))).await;
            let chosen = random.below(2) as usize;
            match random.below(4) {
                0 => run.crash(secs(1 + random.below(40))),
                1 => run.cut(&*workers[chosen], secs(1 + random.below(60))),
                _ => {
                    drop(workers.remove(chosen));
                    run.settle().await;
                    workers.push(run.worker(number).await?);
                }
            }
        }
        for worker in workers {
            run.finish(worker).await?;
        }
        let rows = run.rows().0;
        run.require(rows == 30, format_args!("30 rows by identity with seed {seed}"), rows)?;
        run.stores_now(0).await?;
    }
    Ok(())
}

async fn pipeline_83(subject: &Subject) -> Checked {
    needs(subject, Capability::Drain)?;
    needs(subject, Capability::Report)?;
    for seed in 1..=if Clock::current().is_real() { 3 } else { 20 } {
        let mut random = Random(seed);
        let run = Run::start(subject, &Settings::of(8).limited(5).attempts(2).stopped())?;
        run.work.runs(move |mark| match u64::from(mark.number * 7) % (seed + 3) {
            0 => Step::HANGS,
            1 => Step::FAILS.after(ms(300)),
            more => Step::OK.after(ms(100 * more)),
        });
        run.publish(1..=60).await;
        let worker = run.worker(1).await?;
        run.until(ms(random.below(8_000))).await;
        if random.below(2) == 0 {
            run.crash(ms(1 + random.below(4_000)));
        }
        let report = run.drain(worker, ms(random.below(3_000))).await?.report;
        let sum = report.acked + report.nacked + report.dead + report.left;
        run.equal("the sum of the report", sum, report.accepted)?;
        let gone = 60 - run.queue.stored().await.min(60) as u64;
        let claimed = report.acked + report.dead;
        run.require(claimed <= gone, format_args!("at most {gone} acked and dead"), claimed)?;
    }
    Ok(())
}

async fn pipeline_84(subject: &Subject) -> Checked {
    needs(subject, Capability::Cut)?;
    let run = Run::start(subject, &Settings::of(2).limited(1))?;
    run.work.runs(|mark| if mark.number <= 2 && mark.attempt == 1 { Step::HANGS } else { Step::OK });
    run.publish(1..=2).await;
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.cut(&*worker, secs(60));
    run.until(secs(10)).await;
    run.publish(3..=4).await;
    run.finish(worker).await?;
    let mut done = run.done();
    done.sort_unstable();
    run.equal("messages done", done, vec![1, 2, 3, 4])
}

async fn pipeline_85(subject: &Subject) -> Checked {
    needs(subject, Capability::Cut)?;
    let run = Run::start(subject, &Settings { keyed: true, ..Settings::of(4) })?;
    run.work.runs(|mark| if mark.attempt == 1 { Step::HANGS } else { Step::OK });
    for number in 1..=3 {
        run.send(Item { number, part: 0, key: 7, size: 1 }).await;
    }
    let worker = run.worker(1).await?;
    run.until(secs(1)).await;
    run.cut(&*worker, secs(60));
    run.finish(worker).await?;
    let mut done = run.done();
    done.sort_unstable();
    run.equal("messages done", done, vec![1, 2, 3])
}

async fn pipeline_86(subject: &Subject) -> Checked {
    let run = Run::start(subject, &Settings::of(1))?;
    // A real server takes a few milliseconds for a settlement and a delivery.
    let (messages, each) = run.either((100, ms(7)), (10, secs(1)));
    run.work.runs(move |_| Step::OK.after(each));
    run.publish(1..=messages).await;
    let worker = run.worker(1).await?;
    run.finish(worker).await?;
    run.equal("the end of all", run.last_done(), each * messages)
}
