//! Small implementations, as an outsider writes them, with all rules of their patterns.
//!
//! Each supports a few capabilities. The rules must keep the promises that the documentation makes where one is withheld:
//! the adapters here panic if a rule breaks one, and that panic would be a verdict that the tests do not expect.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_tck::{
    Adapter, AdapterError, BoxFuture, Configured, Report,
    limit::{self, Denied, Limit, Limiter, Permit, Request},
    pool::{self, Get, GetError, Lease, Object, Pool},
    shutdown::{self, Parts},
    stream::{self, Item, Operator},
    task::{self, Body, Outcome, ReportedFailure, Task},
};
use futures::StreamExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep},
};

/// Asserts that these rules are broken, that this number holds at least, and that the rest was not tested.
#[track_caller]
fn assert_breaks(report: &Report, broken: &[&str], holding: usize) {
    let failed = report.findings.iter().filter(|rule| rule.verdict.failed());
    assert_eq!(failed.map(|rule| rule.id).collect::<Vec<_>>(), broken, "{report}");
    assert!(report.score().passed >= holding, "{report}");
}

const NO_SUCH_THING: &str = "there is no such thing";

/// A bucket that is filled whenever it is asked.
struct Bucket;

struct Filled(Mutex<(f64, Instant)>, f64, f64);

impl Adapter<limit::Settings> for Bucket {
    fn supports(&self, capability: limit::Capability) -> Result<(), &'static str> {
        match capability {
            limit::Capability::Rate | limit::Capability::Try => Ok(()),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &limit::Settings) -> Result<Box<dyn Limiter>, AdapterError> {
        let Limit::Bucket { rate, burst } = settings.limit else {
            return Err(AdapterError::NotExpressible("only a rate"));
        };
        assert_eq!(burst, rate.permits, "bursts are withheld");
        if rate.permits == 0 || rate.per.is_zero() {
            return Err(AdapterError::Refused("a rate of zero".to_owned()));
        }
        let full = f64::from(burst);
        Ok(Box::new(Filled(Mutex::new((full, Instant::now())), full, full / rate.per.as_secs_f64())))
    }
}

impl Limiter for Filled {
    fn try_acquire(&self, request: Request) -> Result<Permit, Denied> {
        assert_eq!((request.permits, request.key, request.deadline), (1, None, None), "all withheld");
        let Self(state, full, per_second) = self;
        let (permits, at) = &mut *state.lock().expect("nothing panics under it");
        let now = Instant::now();
        *permits = full.min(*permits + (now - *at).as_secs_f64() * per_second);
        *at = now;
        if *permits < 1.0 {
            return Err(Denied::Busy(None));
        }
        *permits -= 1.0;
        Ok(Permit::new(()))
    }
}

#[test]
fn a_bucket() {
    // Sums of fractions lose the last permit of an hour.
    assert_breaks(&limit::SUITE.run(&Bucket), &["LIMIT-05"], 7);
}

/// tokio's semaphore.
struct Slots;

impl Adapter<limit::Settings> for Slots {
    fn supports(&self, capability: limit::Capability) -> Result<(), &'static str> {
        match capability {
            limit::Capability::Concurrency | limit::Capability::Wait => Ok(()),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &limit::Settings) -> Result<Box<dyn Limiter>, AdapterError> {
        match settings.limit {
            Limit::Concurrency(limit) => Ok(Box::new(Slot(Arc::new(Semaphore::new(limit as usize))))),
            _ => Err(AdapterError::NotExpressible("a rate")),
        }
    }
}

struct Slot(Arc<Semaphore>);

impl Limiter for Slot {
    fn acquire(&self, request: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        assert_eq!((request.permits, request.key, request.deadline), (1, None, None), "all withheld");
        let slots = self.0.clone();
        Box::pin(async move { Ok(Permit::new(slots.acquire_owned().await.expect("nobody closes it"))) })
    }
}

#[test]
fn slots() {
    assert_breaks(&limit::SUITE.run(&Slots), &[], 8);
}

/// tokio's `JoinSet`.
struct Set;

impl Adapter<task::Settings> for Set {
    fn supports(&self, capability: task::Capability) -> Result<(), &'static str> {
        match capability {
            task::Capability::Errors => Ok(()),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &task::Settings) -> Result<Configured<Body, Outcome>, AdapterError> {
        assert_eq!(settings.on_failure, task::FailureMode::Usual, "others are withheld");
        assert_eq!(
            (settings.limit, settings.deadline, settings.grace, settings.stop_after),
            (None, None, None, None)
        );
        Ok(Configured::new(|body: Body| async move {
            let mut set = JoinSet::new();
            for task in body.tasks() {
                set.spawn(plain(task));
            }
            let mut failures = Vec::new();
            while let Some(ended) = set.join_next().await {
                match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => failures.push(error),
                    Err(error) => failures.push(ReportedFailure::from(error)),
                }
            }
            Outcome::telling(failures)
        }))
    }
}

/// A task without anything that has to be supported.
async fn plain(task: Task) -> Result<(), ReportedFailure> {
    assert_eq!((task.shield(), task.is_blocking(), task.phase(), task.is_vital()), (None, false, 0, false));
    task.run(std::future::pending(), |_| panic!("tasks that spawn are withheld")).await
}

#[test]
fn a_join_set() {
    assert_breaks(&task::SUITE.run(&Set), &[], 8);
}

/// A channel that tells the tasks to stop.
struct Channel;

impl Adapter<shutdown::Settings> for Channel {
    fn supports(&self, capability: shutdown::Capability) -> Result<(), &'static str> {
        match capability {
            shutdown::Capability::Tasks => Ok(()),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &shutdown::Settings) -> Result<Configured<Parts, Outcome>, AdapterError> {
        assert_eq!((settings.again_after, settings.grace, settings.pre_stop), (None, None, None));
        assert_eq!((settings.alone_after, settings.signals), (None, false));
        let stop_after = settings.stop_after;
        Ok(Configured::new(move |parts: Parts| async move {
            assert!(parts.clean_ups.is_empty() && parts.guards.is_empty(), "both withheld");
            let (stop, stopped) = watch::channel(false);
            let mut running = JoinSet::new();
            for task in parts.tasks {
                assert_eq!((task.phase(), task.is_vital()), (0, false), "both withheld");
                let mut stopped = stopped.clone();
                let asked =
                    async move { stopped.wait_for(|is_stopped| *is_stopped).await.map_or(None, |_| None) };
                running.spawn(task.run(asked, |_| panic!("tasks that start tasks are withheld")));
            }
            sleep(stop_after.unwrap_or(Duration::MAX)).await;
            stop.send_replace(true);
            while running.join_next().await.is_some() {}
            Outcome::default()
        }))
    }
}

#[test]
fn a_channel() {
    // Nobody looks at the result of a task.
    assert_breaks(&shutdown::SUITE.run(&Channel), &["SHUTDOWN-13"], 7);
}

/// `buffer_unordered` of futures.
struct BufferUnordered;

impl Adapter<stream::Settings> for BufferUnordered {
    fn supports(&self, capability: stream::Capability) -> Result<(), &'static str> {
        match capability {
            stream::Capability::Map | stream::Capability::Unordered => Ok(()),
            _ => Err(NO_SUCH_THING),
        }
    }

    fn configure(&self, settings: &stream::Settings) -> Result<Operator, AdapterError> {
        let stream::Settings::Map(map) = settings else { panic!("{settings:?} is withheld") };
        assert_eq!((map.ordered, map.keyed), (false, false), "both withheld");
        assert_eq!(map.on_failure, stream::FailureMode::Usual, "others are withheld");
        if map.limit == 0 {
            return Err(AdapterError::Refused("it would wait for ever".to_owned()));
        }
        let limit = map.limit;
        Ok(Operator::map(move |source| source.map(Item::run).buffer_unordered(limit)))
    }
}

#[test]
fn buffered_futures() {
    // The hazard of buffered streams: items in flight stand still while the consumer does.
    let broken = ["STREAM-13", "STREAM-14", "STREAM-15", "STREAM-16", "STREAM-17", "STREAM-18", "STREAM-102"];
    assert_breaks(&stream::SUITE.run(&BufferUnordered), &broken, 18);
}

/// A semaphore, and a vector of objects that are there from the beginning.
struct Prefilled;

impl Adapter<pool::Settings> for Prefilled {
    fn supports(&self, _: pool::Capability) -> Result<(), &'static str> {
        Err(NO_SUCH_THING)
    }

    fn configure(&self, settings: &pool::Settings) -> Result<Box<dyn Pool>, AdapterError> {
        assert_eq!(
            (settings.acquire_timeout, settings.create_timeout, settings.check_timeout),
            (None, None, None)
        );
        assert_eq!((settings.checks, settings.resets, settings.order), (false, false, None));
        assert_eq!((settings.min_idle, settings.idle_timeout, settings.max_lifetime), (0, None, None));
        assert_eq!((settings.max_creating, settings.validate_after), (None, None));
        assert!(!settings.detects_deadlocks, "withheld");
        let idle = (0..settings.max).map(|_| settings.backend.object()).collect();
        Ok(Box::new(Objects(Arc::new(Semaphore::new(settings.max)), Arc::new(Mutex::new(idle)))))
    }
}

type IdleObjects = Arc<Mutex<Vec<Object>>>;

struct Objects(Arc<Semaphore>, IdleObjects);

impl Pool for Objects {
    fn get(&self) -> Get {
        let (permits, idle) = (self.0.clone(), self.1.clone());
        Box::pin(async move {
            let permit = permits.acquire_owned().await.map_err(|_| GetError::Closed)?;
            let object = idle.lock().expect("nothing panics under it").pop();
            Ok(Box::new(Taken { object, idle, _permit: permit }) as Box<dyn Lease>)
        })
    }
}

struct Taken {
    object: Option<Object>,
    idle: IdleObjects,
    // After the object has come back.
    _permit: OwnedSemaphorePermit,
}

impl Lease for Taken {
    fn object(&self) -> &Object {
        self.object.as_ref().expect("it is there until the lease ends")
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.idle.lock().expect("nothing panics under it").extend(self.object.take());
    }
}

#[test]
fn prefilled_objects() {
    // A maximum of zero is taken, and every get waits.
    assert_breaks(&pool::SUITE.run(&Prefilled), &["POOL-07"], 10);
}
