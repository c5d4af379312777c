//! Pipelines: what their parts tell, and the stand-stills in them.

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
use evenkeel_pipeline::{
    Ack, AtServer, Delivery, Demand, MemoryBroker, Message, Pipeline, Running, ServerBacklog, Settle,
    SettleOutcome, SinkError, Source, SourceError,
};
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
async fn abort(running: Running) {
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

/// Numbers, of a server that can be away for pulls, and that need not answer decisions.
struct Numbers {
    left: u64,
    is_away: Arc<AtomicBool>,
    answers: bool,
}

#[derive(Clone)]
struct NumbersAck {
    answers: bool,
}

impl Source for Numbers {
    type Item = u64;
    type Ack = NumbersAck;

    async fn pull(&mut self, demand: Demand) -> Result<Vec<Delivery<u64, u64>>, SourceError> {
        if self.is_away.load(Acquire) {
            return Err(SourceError::transient("connection refused"));
        }
        let pulled = self.left.min(demand.items as u64);
        if pulled == 0 {
            pending::<()>().await;
        }
        self.left -= pulled;
        Ok((0..pulled).map(|n| Delivery::new(n, n, 1)).collect())
    }

    fn ack(&self) -> NumbersAck {
        NumbersAck { answers: self.answers }
    }
}

impl Ack for NumbersAck {
    type Receipt = u64;

    async fn settle(&self, batch: &[(u64, Settle)]) -> Result<Vec<SettleOutcome>, SourceError> {
        if !self.answers {
            pending::<()>().await;
        }
        Ok(vec![SettleOutcome::Confirmed; batch.len()])
    }
}

#[test]
fn a_source_whose_server_is_away_and_comes_back() {
    World::run(async |_| {
        let is_away = Arc::new(AtomicBool::new(true));
        let source = Numbers { left: 3, is_away: is_away.clone(), answers: true };
        let pipeline = Pipeline::from(source).stage("print", async |_| Ok::<_, SourceError>(())); // away
        let running = pipeline.start().unwrap();
        sleep(secs(60)).await;
        let dump = look();
        let source = of_kind(&dump, "source");
        let outage = source.outage.unwrap();
        assert_eq!((outage.lasted, &*outage.reason), (secs(60), "connection refused"), "{dump}");
        // It pauses between its attempts.
        assert_eq!(source.waiters[0].label.as_deref(), Some("the next attempt"));
        assert!(source.waiters[0].until.unwrap() > dump.at);
        assert_eq!(dump.findings[0].kind, FindingKind::Outage, "{dump}");
        let first = format!(
            "outage: source ({}) has been out of reach for 60s: connection refused; 1 task waits",
            source.place.unwrap()
        );
        assert_eq!((&*dump.findings[0].summary, dump.findings.len()), (&*first, 1));
        assert_eq!(line(source.place.unwrap()), at("away"));
        is_away.store(false, Release);
        sleep(secs(31)).await;
        let dump = look();
        assert_eq!(of_kind(&dump, "source").outage, None, "{dump}");
        assert_eq!(of_kind(&dump, "source").waiters[0].label.as_deref(), Some("items"));
        abort(running).await;
    });
}

/// A source whose server gives nothing.
struct Starved(AtServer);

impl Source for Starved {
    type Item = u64;
    type Ack = NumbersAck;

    async fn pull(&mut self, _: Demand) -> Result<Vec<Delivery<u64, u64>>, SourceError> {
        pending().await
    }

    fn ack(&self) -> NumbersAck {
        NumbersAck { answers: true }
    }

    fn at_server(&self) -> Option<AtServer> {
        Some(self.0.clone())
    }
}

/// Items wait at the server, and a pull under way gets none of them.
#[test]
fn a_source_whose_server_has_items_and_gives_none() {
    World::run(async |_| {
        let at_server = AtServer::default();
        let source = Starved(at_server.clone());
        let pipeline = Pipeline::from(source).stage("print", async |_| Ok::<_, SourceError>(())); // starved
        let running = pipeline.start().unwrap();
        sleep(secs(60)).await;
        assert_eq!(of_kind(&look(), "source").backlog, None, "nothing is known");
        let read = |pending, usual| {
            let mut read = ServerBacklog::new(pending, Instant::now(), "the queue has some");
            read.usual = usual;
            at_server.set(Some(read));
        };
        read(7, Some(Duration::from_millis(2)));
        sleep(secs(9)).await;
        assert!(look().findings.is_empty(), "{}", look());
        sleep(secs(1)).await;
        let dump = look();
        let source = of_kind(&dump, "source");
        assert_eq!(line(source.place.unwrap()), at("starved"));
        assert!(source.notes.contains(&"the queue has some".to_owned()), "{dump}");
        let first = format!(
            "no progress: {source} has 7 pending, and none has left for 10s, usually 2ms each; 1 task waits"
        );
        assert_eq!((dump.findings[0].kind, &*dump.findings[0].summary), (FindingKind::NoProgress, &*first));
        assert_eq!(dump.findings[0].steps[0].waits_for, format!("{source}: items"));
        // A read that has something moved, and one that says that the server may rightly give none.
        read(7, Some(Duration::from_millis(2)));
        assert!(look().findings.is_empty());
        read(7, None);
        sleep(secs(599)).await;
        assert!(look().findings.is_empty(), "{}", look());
        sleep(secs(1)).await;
        assert_eq!(look().findings[0].kind, FindingKind::NoProgress);
        // None is there, or it is not known.
        read(0, Some(Duration::from_millis(2)));
        sleep(secs(3600)).await;
        assert!(look().findings.is_empty(), "{}", look());
        read(7, Some(Duration::from_millis(2)));
        at_server.set(None);
        sleep(secs(3600)).await;
        assert!(look().findings.is_empty(), "{}", look());
        // Nothing is asked for.
        read(7, Some(Duration::from_millis(2)));
        running.pause();
        sleep(secs(3600)).await;
        assert!(look().findings.is_empty(), "{}", look());
        abort(running).await;
    });
}

/// The decisions of a server that does not answer are pending, and no stage is.
#[test]
fn a_source_that_does_not_answer_decisions() {
    World::run(async |_| {
        let source = Numbers { left: 7, is_away: Arc::default(), answers: false };
        let pipeline = Pipeline::from(source).stage("print", async |_| Ok::<_, SourceError>(())); // mute
        let running = pipeline.start().unwrap();
        sleep(secs(605)).await;
        let dump = look();
        let acks = of_kind(&dump, "acks");
        let backlog = acks.backlog.unwrap();
        assert_eq!((acks.in_use, backlog.pending, backlog.idle), (7, 7, secs(605)), "{dump}");
        let waiter = &acks.waiters[0];
        assert_eq!((waiter.amount, waiter.label.as_deref()), (7, Some("answers to decisions")));
        assert_eq!((line(waiter.place), waiter.waited), (at("mute"), secs(605)));
        assert_eq!(titled(&dump, "stage 'print'").backlog, None);
        // They are sent again after thirty seconds each, which is told as an outage.
        assert_eq!(acks.outage.unwrap().lasted, secs(575));
        let kinds: Vec<_> = dump.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::Outage, FindingKind::NoProgress], "{dump}");
        abort(running).await;
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
