//! Mistakes in the configuration of a store, and the time that its first call may take.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_limit::{
    Rate,
    distributed::{
        Distributed, Error, MemoryStore, OnFailure,
        store::{Store, Take, Taken},
    },
};
use evenkeel_testkit::{World, assert_took};
use tokio::time::{Instant, sleep};

use crate::{distributed::fixtures::ms, fixtures::ByHand};

const POLICIES: [OnFailure; 3] = [OnFailure::Open, OnFailure::Closed, OnFailure::LocalShare(1)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoRight,
    Down,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::NoRight { "no right to run 'get'" } else { "connection refused" })
    }
}

impl std::error::Error for Refusal {}

/// A store that fails as scripted, after a delay.
#[derive(Debug)]
pub(crate) struct Scripted {
    store: MemoryStore,
    refusal: Mutex<Option<Refusal>>,
    takes: Mutex<Duration>,
    first_timeout: Duration,
    start: Instant,
    calls: Mutex<Vec<u128>>,
}

impl Scripted {
    pub(crate) fn new(refusal: Option<Refusal>, takes: Duration) -> Arc<Self> {
        Arc::new(Self {
            store: MemoryStore::new(),
            refusal: Mutex::new(refusal),
            takes: Mutex::new(takes),
            first_timeout: ms(500),
            start: Instant::now(),
            calls: Mutex::default(),
        })
    }

    fn refuses(&self, refusal: Option<Refusal>) {
        *self.refusal.lock().unwrap() = refusal;
    }
}

impl Store for Scripted {
    type Error = Refusal;

    async fn take(&self, take: Take<'_>) -> Result<Taken, Refusal> {
        self.calls.lock().unwrap().push(self.start.elapsed().as_millis());
        let takes = *self.takes.lock().unwrap();
        if !takes.is_zero() {
            sleep(takes).await;
        }
        let refusal = *self.refusal.lock().unwrap();
        match refusal {
            Some(refusal) => Err(refusal),
            None => self.store.take(take).await.map_err(|never| match never {}),
        }
    }

    fn is_misconfigured(&self, error: &Refusal) -> bool {
        *error == Refusal::NoRight
    }

    fn first_timeout(&self) -> Duration {
        self.first_timeout
    }
}

pub(crate) fn quota(store: &Arc<Scripted>, policy: OnFailure) -> Distributed {
    Distributed::new(Arc::clone(store), "quota", Rate::per_second(100)).burst(10).on_failure(policy)
}

/// The time after which to try again.
fn mistake(result: Result<(), Error>) -> Duration {
    let error = result.unwrap_err();
    let text = "the store of the limit refuses it until the configuration is mended: no right to run 'get'";
    assert_eq!(error.to_string(), text);
    let Error::Misconfigured { cause, retry_after, .. } = &error else { panic!("{error:?}") };
    assert_eq!(cause.to_string(), "no right to run 'get'");
    assert_eq!(error.retry_after(), Some(*retry_after));
    *retry_after
}

#[test]
fn a_mistake_is_told_at_once_under_every_policy() {
    World::run(async |_| {
        for policy in POLICIES {
            let store = Scripted::new(Some(Refusal::NoRight), Duration::ZERO);
            let quota = quota(&store, policy);
            let mut waiting = ByHand::queued(quota.acquire_many(3));
            assert_eq!(mistake(assert_took!(quota.acquire(), ms(0))), ms(50));
            assert!(waiting.poll().is_ready());
            assert_eq!(mistake(assert_took!(quota.try_acquire(), ms(0))), ms(50));
            sleep(ms(20)).await;
            assert_eq!(mistake(assert_took!(quota.acquire(), ms(0))), ms(30));
            // The store is called again as in an outage, and only for requests.
            for _ in 0..2_000 {
                mistake(assert_took!(quota.acquire(), ms(0)));
                sleep(ms(1)).await;
            }
            assert_eq!(*store.calls.lock().unwrap(), [0, 50, 150, 350, 750, 1550]);
            let snapshot = quota.snapshot();
            assert_eq!((snapshot.granted, snapshot.refused, snapshot.store_down), (0, 2_004, true));

            store.refuses(None);
            sleep(ms(1_000)).await;
            assert_took!(quota.acquire(), ms(0)).unwrap();
            assert!(!quota.snapshot().store_down);
        }
    });
}

/// A right that is revoked while a limit is in use, and an outage in between.
#[test]
fn a_mistake_may_begin_and_end_in_the_middle_of_an_outage() {
    World::run(async |_| {
        for policy in POLICIES {
            let store = Scripted::new(Some(Refusal::Down), Duration::ZERO);
            let quota = quota(&store, policy);
            let by_policy = async || match policy {
                OnFailure::Closed => {
                    assert!(matches!(quota.acquire().await, Err(Error::Unavailable { .. })));
                }
                _ => quota.acquire().await.unwrap(),
            };
            by_policy().await;
            store.refuses(Some(Refusal::NoRight));
            sleep(ms(50)).await;
            // The policy may grant the first request before the store has answered.
            let _ = quota.try_acquire().await;
            sleep(ms(1)).await;
            mistake(assert_took!(quota.acquire(), ms(0)));

            store.refuses(Some(Refusal::Down));
            sleep(ms(1_000)).await;
            let _ = assert_took!(quota.try_acquire(), ms(0));
            by_policy().await;

            store.refuses(None);
            sleep(ms(1_000)).await;
            quota.acquire().await.unwrap();
            sleep(ms(1)).await;
            assert!(!quota.snapshot().store_down);
        }
    });
}

/// A request that waits for the local share is refused when the store reports a mistake.
#[test]
fn a_mistake_ends_the_waits_for_a_share() {
    World::run(async |_| {
        let store = Scripted::new(Some(Refusal::Down), Duration::ZERO);
        let quota = quota(&store, OnFailure::LocalShare(1)).burst(1_000);
        let wait = async { mistake(quota.acquire_many(900).await) };
        let change = async {
            sleep(ms(10)).await;
            store.refuses(Some(Refusal::NoRight));
        };
        assert_took!(async { tokio::join!(wait, change) }, ms(50));
        assert_eq!(quota.snapshot().waiting, 0);
    });
}

#[test]
fn the_first_call_may_take_longer() {
    World::run(async |_| {
        let store = Scripted::new(None, ms(400));
        let first = quota(&store, OnFailure::Closed);
        assert_took!(first.acquire(), ms(400)).unwrap();
        // The second call has no longer time-out.
        sleep(Duration::from_secs(2)).await;
        let error = assert_took!(first.acquire(), ms(100)).unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }));
        assert_took!(quota(&store, OnFailure::Closed).acquire(), ms(400)).unwrap();

        *store.takes.lock().unwrap() = Duration::from_secs(60);
        let late = quota(&store, OnFailure::Open);
        assert_took!(late.acquire(), ms(500)).unwrap();
        assert_took!(late.acquire(), ms(0)).unwrap();
        // A longer time-out stays.
        let patient = quota(&store, OnFailure::Closed).timeout(ms(700));
        let Err(Error::Unavailable { cause, .. }) = assert_took!(patient.acquire(), ms(700)) else {
            panic!()
        };
        assert_eq!(cause.to_string(), "no answer within 700ms");
    });
}

/// A key whose rate changes, as in a deployment, earns at the rate of the caller.
#[test]
fn a_bucket_earns_at_the_rate_of_its_caller() {
    World::run(async |_| {
        let store = MemoryStore::new();
        let quota =
            |permits, burst| Distributed::new(store.clone(), "quota", Rate::per_second(permits)).burst(burst);
        quota(1, 60).acquire_many(60).await.unwrap();
        let fast = quota(100, 60);
        assert_eq!(fast.try_acquire().await.unwrap_err().retry_after(), Some(ms(10)));
        assert_took!(fast.acquire_many(60), ms(600)).unwrap();

        // And back to the slower rate.
        let slow = quota(1, 60);
        assert_eq!(slow.try_acquire().await.unwrap_err().retry_after(), Some(ms(1_000)));
        assert_took!(slow.acquire(), ms(1_000)).unwrap();
        assert_took!(slow.acquire(), ms(1_000)).unwrap();
        // The deeper bucket lacks the same permits as the other one.
        assert_took!(quota(10, 100).acquire_many(41), ms(100)).unwrap();
    });
}
