//! Pipelines and streams on real threads.

use std::{
    future::pending,
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use evenkeel_inspect::{FindingKind, dump_at, dump_of};
use evenkeel_pipeline::{MemoryBroker, Pipeline, SourceError};
use evenkeel_stream::{Batch, Capacity, generate, prelude::*, queue};
use tokio::{
    runtime::{Builder, Handle},
    spawn,
    task::yield_now,
    time::Instant,
};

use crate::units::{line_of, look, next, secs, titled};

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("flow_threads.rs"), mark)
}

fn line(place: &'static Location<'static>) -> u32 {
    assert!(place.file().ends_with("flow_threads.rs"), "{place}");
    place.line()
}

/// Pipelines, maps and batches come and go on two threads while a third one looks.
#[test]
fn looks_beside_flows_that_come_and_go() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let runtime = Handle::current().id();
        let rounds = Arc::new(AtomicU64::new(0));
        let ended = rounds.clone();
        let work = spawn(async move {
            for round in 0..20 {
                let broker = MemoryBroker::new();
                for n in 0..50 {
                    broker.publish(n).await.unwrap();
                }
                broker.close();
                let running = Pipeline::from(broker.source())
                    .stage(&format!("load {round}"), async |n: u32| {
                        yield_now().await;
                        Ok::<_, SourceError>(n)
                    })
                    .limit(3)
                    .batch(&format!("store {round}"), Batch::items(5), async |_: Vec<u32>| {
                        Ok::<_, SourceError>(())
                    })
                    .start()
                    .unwrap();
                assert_eq!(running.await.unwrap().acked, 50);
                let (jobs, consumer) = queue(Capacity::items(3));
                let workers = consumer.workers(2, async |_: u32| {
                    yield_now().await;
                    Ok::<_, SourceError>(())
                });
                for n in 0..20 {
                    jobs.push(n).await.unwrap();
                }
                drop(jobs);
                assert_eq!(workers.await.done, 20);
                ended.store(round + 1, Relaxed);
            }
        });
        let looks = std::thread::spawn({
            let work = work.abort_handle();
            // The thread of a findings file looks as well, and an object lasts as long as the look.
            let is_alone = std::env::var_os("EVENKEEL_FINDINGS").is_none();
            move || {
                while !work.is_finished() {
                    let ended = rounds.load(Relaxed);
                    let dump = dump_of(runtime);
                    assert!(dump.findings.is_empty() && dump.panics == 0, "{dump}");
                    let parts = dump.resources.iter().filter(|resource| resource.kind != "background task");
                    for name in parts.filter_map(|resource| resource.name.as_deref()) {
                        let round = name.split(' ').nth(1).unwrap();
                        let is_alive = round.parse::<u64>().unwrap() >= ended;
                        assert!(is_alive || !is_alone, "a dead stage: {dump}");
                    }
                    assert!(dump.to_json().len() + dump.to_html().len() + dump.to_string().len() > 100);
                }
            }
        });
        work.await.unwrap();
        looks.join().unwrap();
        assert!(dump_of(runtime).resources.is_empty());
    });
}

/// On real threads: the same stand-stills, looked for until they are there.
#[test]
fn stand_stills_on_threads() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let broker = MemoryBroker::new();
        for n in 0..3 {
            broker.publish(n).await.unwrap();
        }
        let stuck = Pipeline::from(broker.source())
            .stage("fetch", async |_: u32| pending::<Result<(), SourceError>>().await) // fetch on threads
            .limit(1)
            .start()
            .unwrap();
        let items = generate(|y| async move {
            y.yield_(1).await;
            pending::<()>().await;
        });
        let batches = spawn(async move {
            let mut batches = items.batch(Batch::items(2)); // batch on threads
            next(&mut batches).await
        });
        loop {
            let dump = look();
            let stage = titled(&dump, "stage 'fetch'");
            let batch = dump.resources.iter().find(|resource| resource.kind == "batch");
            if let (1, 2, Some(batch)) = (stage.holders.len(), stage.waiters.len(), batch)
                && batch.in_use == 1
            {
                assert_eq!(line(stage.holders[0].place), at("fetch on threads"));
                assert_eq!(stage.backlog.unwrap().pending, 3);
                assert_eq!(line(batch.waiters[0].place), at("batch on threads"));
                assert_eq!(batch.backlog.unwrap().pending, 1);
                break;
            }
            yield_now().await;
        }
        // An hour later both are findings.
        let later = dump_at(Some(Handle::current().id()), Instant::now() + secs(3600));
        let kinds: Vec<_> = later.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::NoProgress; 2], "{later}");
        batches.abort();
        drop(stuck);
    });
}
