//! Waits for a quota that a store counts, and outages of the store.

use std::{
    io,
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use evenkeel_inspect::{FindingKind, InspectedResource};
use evenkeel_limit::{
    Distributed, Rate,
    distributed::{
        MemoryStore, OnFailure,
        store::{Store, Take, Taken},
    },
};
use evenkeel_testkit::World;
use tokio::{
    spawn,
    time::{Instant, sleep},
};

use super::{all_forms, line, ms, only, tasks};
use crate::units::{line_of, look, secs};

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("quotas.rs"), mark)
}

/// A store that fails while it is switched off, and takes 10 ms for an answer.
pub(super) struct Switch {
    store: MemoryStore,
    is_off: AtomicBool,
}

impl Switch {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { store: MemoryStore::new(), is_off: AtomicBool::new(false) })
    }
}

impl Store for Switch {
    type Error = io::Error;

    async fn take(&self, take: Take<'_>) -> Result<Taken, io::Error> {
        sleep(ms(10)).await;
        if self.is_off.load(Relaxed) {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the store is gone"));
        }
        Ok(self.store.take(take).await.unwrap_or_else(|never| match never {}))
    }

    fn is_misconfigured(&self, error: &io::Error) -> bool {
        error.kind() != io::ErrorKind::ConnectionRefused
    }
}

pub(super) fn quota(store: &Arc<Switch>, policy: OnFailure) -> Distributed {
    let quota = Distributed::new(store.clone(), "secret-key", Rate::per_second(10)); // makes a quota
    quota.burst(2).on_failure(policy).named("quota")
}

fn notes(limit: &InspectedResource) -> Vec<&str> {
    limit.notes.iter().map(String::as_str).collect()
}

#[test]
fn a_quota_tells_what_its_waiters_wait_for() {
    World::run(async |world| {
        let quota = Arc::new(quota(&Switch::new(), OnFailure::Closed));
        let wait = |permits| {
            let quota = quota.clone();
            spawn(async move { quota.acquire_many(permits).await }) // wants a part of the quota
        };
        let waiting = [wait(2), wait(1)];
        world.settle().await;
        let limit = only();
        assert_eq!(limit.to_string(), "distributed rate limit 'quota'");
        assert_eq!(
            (limit.capacity, limit.in_use, notes(&limit)),
            (2, 0, vec!["10 per 1s", "a call of its store is under way"])
        );
        assert_eq!(limit.waiters.iter().map(|waiter| waiter.task).collect::<Vec<_>>(), tasks(&waiting));
        for waiter in &limit.waiters {
            assert_eq!(
                (line(waiter), waiter.label.as_deref()),
                (at("wants a part of the quota"), Some("the answer of the store"))
            );
            assert_eq!(waiter.until, None, "another process may be first");
        }
        // One burst is granted; the second request waits for the next permit.
        sleep(ms(20)).await;
        let limit = only();
        assert_eq!((limit.in_use, limit.waiters.len()), (2, 1));
        assert_eq!(
            (limit.waiters[0].label.as_deref(), limit.waiters[0].waited),
            (Some("permits of the store"), ms(20))
        );
        let text = all_forms(&look());
        assert!(!text.contains("secret"), "the key of the store is not in it: {text}");
        for task in waiting {
            task.await.unwrap().unwrap();
        }
        sleep(secs(5)).await;
        assert_eq!((only().in_use, only().waiters.len()), (0, 0));
        quota.close().await;
        assert!(look().resources.is_empty());
    });
}

#[test]
fn an_outage_is_told_under_each_policy() {
    for (policy, note) in [
        (OnFailure::Closed, "requests are refused until its store answers"),
        (OnFailure::Open, "requests are granted without its store"),
        (OnFailure::LocalShare(4), "requests have a local share, 1/4 of the rate"),
    ] {
        World::run(async move |world| {
            let store = Switch::new();
            let quota = Arc::new(quota(&store, policy));
            quota.acquire().await.unwrap();
            assert_eq!(only().outage, None);
            store.is_off.store(true, Relaxed);
            sleep(secs(2)).await;
            let failed = quota.acquire_many(2).await;
            assert_eq!(failed.is_err(), policy == OnFailure::Closed);
            sleep(ms(40)).await;
            let limit = only();
            let outage = limit.outage.as_ref().expect("an outage");
            assert_eq!(
                (outage.reason.as_str(), &limit.notes[1..]),
                ("the store is gone", &[note.to_owned()][..])
            );
            assert!(outage.lasted >= ms(40));
            // Requests go on to come, so that the store is called again and again, and the outage lasts.
            for _ in 0..100 {
                drop(quota.try_acquire().await);
                sleep(secs(1)).await;
            }
            assert!(only().outage.expect("an outage").lasted >= secs(100));
            let dump = look();
            assert_eq!((dump.findings.len(), dump.findings[0].kind), (1, FindingKind::Outage), "{dump}");
            assert_eq!(dump.findings[0].place.map(Location::line), Some(at("makes a quota")));
            let first_line = "outage: distributed rate limit 'quota' has been out of reach for 10";
            assert!(dump.to_string().starts_with(first_line), "{dump}");
            let wait = |permits| {
                let quota = quota.clone();
                spawn(async move {
                    let granted = quota.acquire_many(permits).await; // in the outage
                    (granted.is_ok(), Instant::now())
                })
            };
            let waits = [wait(2), wait(1)];
            world.settle().await;
            let waiting = only().waiters;
            assert!(waiting.iter().all(|waiter| line(waiter) == at("in the outage")));
            let labels: Vec<_> = waiting.iter().map(|waiter| waiter.label.as_deref().unwrap()).collect();
            let [first, second] = waits.map(|wait| async { wait.await.unwrap() });
            let ((is_first_granted, _), (is_second_granted, granted_at)) = (first.await, second.await);
            match policy {
                OnFailure::Open => assert!(waiting.is_empty() && is_first_granted && is_second_granted),
                OnFailure::Closed => {
                    assert_eq!(labels, ["the answer of the store"; 2]);
                    assert!(!is_first_granted && !is_second_granted);
                }
                // The first request is more than the share has at once, and is paid off.
                _ => {
                    assert_eq!(labels, ["its turn in the local share"]);
                    assert_eq!((is_first_granted, waiting[0].until), (true, Some(granted_at)));
                }
            }
            // The store answers.
            store.is_off.store(false, Relaxed);
            sleep(secs(2)).await;
            drop(quota.acquire().await);
            sleep(ms(500)).await;
            assert_eq!((only().outage, only().notes), (None, vec!["10 per 1s".to_owned()]));
        });
    }
}

/// An outage may have ended unseen if nobody has called the store since.
#[test]
fn an_outage_of_a_store_that_nobody_calls_becomes_a_note() {
    World::run(async |_| {
        let store = Switch::new();
        store.is_off.store(true, Relaxed);
        let quota = quota(&store, OnFailure::Closed);
        assert!(quota.acquire().await.is_err());
        sleep(secs(60)).await;
        assert!(only().outage.is_some());
        sleep(secs(1)).await;
        let limit = only();
        assert_eq!(limit.outage, None);
        assert_eq!(limit.notes[1], "its store failed when it was last called, 61s ago: the store is gone");
    });
}
