//! Sources of pipelines: a server that is away, gives nothing, or does not answer.

use std::{
    future::pending,
    panic::Location,
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    time::Duration,
};

use evenkeel_inspect::FindingKind;
use evenkeel_pipeline::{
    Ack, AtServer, Delivery, Demand, Pipeline, ServerBacklog, Settle, SettleOutcome, Source, SourceError,
};
use evenkeel_testkit::World;
use tokio::time::{Instant, sleep};

use crate::{
    flows::abort,
    units::{line_of, look, of_kind, secs, titled},
};

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("flow_sources.rs"), mark)
}

fn line(place: &'static Location<'static>) -> u32 {
    assert!(place.file().ends_with("flow_sources.rs"), "{place}");
    place.line()
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
