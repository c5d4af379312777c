//! Pipelines: what their stages, sinks and batches tell, and the stand-stills in them.

use std::{
    future::{pending, poll_fn},
    panic::Location,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::Poll,
    time::Duration,
};

use evenkeel_inspect::FindingKind;
use evenkeel_pipeline::{MemoryBroker, Message, Pipeline, Running, SinkError, SourceError};
use evenkeel_stream::Batch;
use evenkeel_testkit::World;
use tokio::time::{Instant, sleep};

use crate::units::{line_of, look, of_kind, pool, secs, titled};

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("flows.rs"), mark)
}

fn line(place: &'static Location<'static>) -> u32 {
    assert!(place.file().ends_with("flows.rs"), "{place}");
    place.line()
}

/// Ends a pipeline, after which nothing of it is in a dump.
pub(crate) async fn abort(running: Running) {
    drop(running);
    sleep(secs(1)).await;
    let dump = look();
    assert!(dump.resources.is_empty(), "{dump}");
}

/// A consumer with pending messages and no progress: the function of a stage does not return.
#[test]
fn a_stage_that_nothing_leaves() {
    World::run(async |_| {
        let broker = MemoryBroker::new();
        for n in 0..15 {
            broker.publish(n).await.unwrap();
        }
        let fetch = async |n: u32| {
            match n {
                0..10 => sleep(Duration::from_millis(100)).await,
                _ => pending().await,
            }
            Ok::<_, SourceError>(n)
        };
        let pipeline = Pipeline::from(broker.source()) // source
            .stage("fetch", fetch) // stage
            .limit(2);
        let start = Instant::now();
        let running = pipeline.start().unwrap();
        // Ten in pairs, each in a tenth of a second.
        sleep(secs(31)).await;
        let (dump, idle) = (look(), secs(30) + Duration::from_millis(500));
        let stage = titled(&dump, "stage 'fetch'");
        assert_eq!(line(stage.place.unwrap()), at("stage"));
        assert_eq!((stage.capacity, stage.in_use), (2, 2), "{dump}");
        assert_eq!(stage.holders.iter().map(|holder| holder.held_for).collect::<Vec<_>>(), [idle; 2]);
        assert_eq!(stage.waiters.iter().map(|waiter| waiter.waited).collect::<Vec<_>>(), [secs(31); 3]);
        assert!(
            stage.holders.iter().all(|holder| holder.task.is_some() && line(holder.place) == at("stage"))
        );
        assert!(stage.waiters.iter().all(|waiter| line(waiter.place) == at("stage")), "{dump}");
        let backlog = stage.backlog.unwrap();
        assert_eq!((backlog.pending, backlog.idle), (5, idle));
        assert_eq!(backlog.usual, Some(Duration::from_millis(100)));
        assert!(
            stage.notes[0].starts_with("the bottleneck is stage `fetch`: 3 wait for it, 2 are in"),
            "{dump}"
        );

        let source = of_kind(&dump, "source");
        assert_eq!(line(source.place.unwrap()), at("source"));
        assert_eq!((source.capacity, source.in_use), (64, 5));
        assert_eq!(source.waiters[0].label.as_deref(), Some("items"));
        assert!(source.notes[0].starts_with("in hand for 31s: '"), "{dump}");
        assert_eq!((source.notes.len(), source.backlog, source.outage), (3, None, None), "{dump}");
        let acks = of_kind(&dump, "acks");
        assert_eq!((acks.in_use, acks.backlog), (0, None), "{dump}");
        // The tasks of the pipeline have names, and the one that is waited for the place of the start.
        let tasks = dump.resources.iter().filter(|resource| resource.kind == "background task");
        let mut names: Vec<_> = tasks.map(|task| task.name.as_deref().unwrap_or_default()).collect();
        names.sort_unstable();
        assert_eq!(names, ["", "decisions", "items", "leases", "pulls"], "{dump}");

        assert_eq!(dump.findings.len(), 1, "{dump}");
        assert_eq!(dump.findings[0].kind, FindingKind::NoProgress, "{dump}");
        let first = "no progress: stage 'fetch' has 5 pending, and none has left for 30.5s, usually 100ms each; 3 tasks wait";
        assert_eq!(dump.findings[0].summary, first);
        let places: Vec<_> = dump.findings[0].steps.iter().filter_map(|step| step.taken_at).collect();
        assert_eq!(places.into_iter().map(line).collect::<Vec<_>>(), [at("stage"); 2]);
        assert_eq!(start.elapsed(), secs(31));
        abort(running).await;
    });
}

/// Items that are ready at once count as progress beside one that is pending.
#[test]
fn a_stage_that_goes_on_beside_a_slow_item() {
    World::run(async |_| {
        let broker = MemoryBroker::new();
        broker.publish(0).await.unwrap();
        let pipeline = Pipeline::from(broker.source()).stage("fetch", async |n: u32| {
            if n == 0 {
                sleep(secs(3600)).await;
            }
            Ok::<_, SourceError>(n)
        });
        let running = pipeline.start().unwrap();
        for n in 1..100 {
            sleep(secs(7)).await;
            broker.publish(n).await.unwrap();
            sleep(secs(2)).await;
            let dump = look();
            assert!(dump.findings.is_empty(), "{dump}");
            let backlog = titled(&dump, "stage 'fetch'").backlog.unwrap();
            assert_eq!((backlog.pending, backlog.idle), (1, secs(2)), "{dump}");
        }
        abort(running).await;
    });
}

/// A circle over the limit of a stage and a pool: an item has an object, and waits for its turn; the other one has the turn.
#[test]
fn a_stage_whose_items_bring_objects_along() {
    World::run(async |_| {
        let (broker, orders) = (MemoryBroker::new(), pool("orders", 2));
        broker.publish(1).await.unwrap();
        broker.publish(2).await.unwrap();
        let (first, second) = (orders.clone(), orders.clone());
        let store = async move |lease| {
            let more = second.get().await; // wants an object
            drop((lease, more));
            Ok::<_, SourceError>(())
        };
        let pipeline = Pipeline::from(broker.source())
            .stage("load", async move |_: u32| first.get().await) // takes an object
            .stage("store", store) // takes the turn
            .limit(1);
        let running = pipeline.start().unwrap();
        sleep(secs(5)).await;
        let dump = look();
        assert_eq!(dump.findings.len(), 1, "{dump}");
        let finding = &dump.findings[0];
        assert_eq!((finding.kind, finding.steps.len()), (FindingKind::Cycle, 2), "{dump}");
        for step in &finding.steps {
            let places = (line(step.taken_at.unwrap()), line(step.waits_at.unwrap()));
            match (&*step.has, &*step.waits_for) {
                ("pool 'orders'", "stage 'store'") => {
                    assert_eq!(places, (at("takes an object"), at("takes the turn")), "{dump}");
                }
                ("stage 'store'", "pool 'orders'") => {
                    assert_eq!(places, (at("takes the turn"), at("wants an object")), "{dump}");
                }
                other => panic!("{other:?} in {dump}"),
            }
        }
        drop(running);
    });
}

#[test]
fn a_sink_whose_server_is_away_and_comes_back() {
    World::run(async |_| {
        let (broker, is_away) = (MemoryBroker::new(), Arc::new(AtomicBool::new(true)));
        broker.publish(1).await.unwrap();
        let away = is_away.clone();
        let sink = move |_: Vec<Message<u32>>| {
            let away = away.clone();
            async move {
                match away.load(Acquire) {
                    true => Err(SinkError::all("connection refused")),
                    false => Ok(()),
                }
            }
        };
        let running = Pipeline::from(broker.source())
            .sink("store", Batch::items(1), sink)
            .backoff(|_| secs(1))
            .start()
            .unwrap();
        sleep(Duration::from_millis(500)).await;
        assert_eq!(titled(&look(), "sink 'store'").outage, None, "one failure may be that of the item");
        sleep(secs(30)).await;
        let dump = look();
        let outage = titled(&dump, "sink 'store'").outage.unwrap();
        assert_eq!(outage.lasted, secs(30) + Duration::from_millis(500));
        assert_eq!(outage.reason, "stage `store`: connection refused");
        assert_eq!(dump.findings[0].kind, FindingKind::Outage, "{dump}");
        is_away.store(false, Release);
        sleep(secs(2)).await;
        assert_eq!(titled(&look(), "sink 'store'").outage, None);
        abort(running).await;
    });
}

/// A batch that waits for a size that never comes.
#[test]
fn a_batch_without_a_time_limit() {
    World::run(async |_| {
        let broker = MemoryBroker::new();
        let running = Pipeline::from(broker.source())
            .batch("store", Batch::items(500), async |_: Vec<u32>| Ok::<_, SourceError>(())) // batch of a stage
            .start()
            .unwrap();
        for n in 0..3 {
            broker.publish(n).await.unwrap();
        }
        sleep(secs(700)).await;
        let dump = look();
        let batch = titled(&dump, "batch 'store'");
        assert_eq!((batch.capacity, batch.in_use), (500, 3), "{dump}");
        let waiter = &batch.waiters[0];
        assert_eq!((waiter.label.as_deref(), waiter.until), (Some("more items"), None));
        assert_eq!((line(waiter.place), waiter.waited), (at("batch of a stage"), secs(700)));
        let backlog = batch.backlog.unwrap();
        assert_eq!((backlog.pending, backlog.idle), (3, secs(700)));
        assert_eq!(dump.findings.len(), 1, "{dump}");
        assert_eq!(dump.findings[0].kind, FindingKind::NoProgress);
        let first = "no progress: batch 'store' has 3 pending, and none has left for 700s; 1 task waits";
        assert_eq!(dump.findings[0].summary, first);
        assert_eq!(dump.findings[0].steps.last().unwrap().waits_at.map(line), Some(at("batch of a stage")));
        abort(running).await;
    });
}

#[test]
fn a_look_does_not_poll() {
    World::run(async |_| {
        let polls = Arc::new(AtomicU64::new(0));
        let seen = polls.clone();
        let broker = MemoryBroker::new();
        broker.publish(1).await.unwrap();
        let pipeline = Pipeline::from(broker.source()).stage("count", async move |_: u32| {
            poll_fn(|_| {
                seen.fetch_add(1, Relaxed);
                Poll::<Result<(), SourceError>>::Pending
            })
            .await
        });
        let running = pipeline.start().unwrap();
        sleep(secs(1)).await;
        let before = polls.load(Relaxed);
        (0..10).for_each(|_| drop(look()));
        sleep(secs(1)).await;
        assert_eq!(polls.load(Relaxed), before);
        abort(running).await;
    });
}
