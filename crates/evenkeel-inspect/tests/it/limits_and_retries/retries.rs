//! Waits for the next attempt of a call.

use std::{
    any::type_name,
    future::pending,
    io,
    panic::Location,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_inspect::FindingKind;
use evenkeel_retry::{Backoff, Budget, Jitter, Policy};
use evenkeel_testkit::World;
use tokio::{
    spawn,
    time::{Instant, advance, sleep},
};

use super::{Refused, all_forms, ends, line, ms, only, poll_once, tasks};
use crate::units::{line_of, look, secs};

/// Returns the line with this mark.
fn at(mark: &str) -> u32 {
    line_of(include_str!("retries.rs"), mark)
}

#[test]
fn a_policy_tells_which_calls_wait_for_their_next_attempt() {
    const DOUBLING: Backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60));
    static POLICY: Policy = Policy::new(DOUBLING.jitter(Jitter::None)).max_attempts(4).named("orders");
    World::run(async |world| {
        let start = Instant::now();
        let first = spawn(async {
            let run = POLICY.run(async || Err::<(), _>(Refused)); // runs
            run.await.is_ok()
        });
        sleep(ms(500)).await;
        let second = spawn(async {
            let slow = async |_| {
                sleep(ms(100)).await;
                Err::<(), _>(io::Error::other("secret text"))
            };
            let run = POLICY.run_with(slow); // runs with a description
            run.await.is_ok()
        });
        let calls = [first, second];
        sleep(ms(100)).await;
        world.settle().await;
        let retry = only();
        assert_eq!(retry.to_string(), "retry 'orders'");
        assert!(retry.holders.is_empty() && retry.notes.is_empty());
        assert_eq!(retry.waiters.iter().map(|waiter| waiter.task).collect::<Vec<_>>(), tasks(&calls));
        let lines: Vec<_> = retry.waiters.iter().map(line).collect();
        assert_eq!(lines, [at("runs"), at("runs with a description")]);
        let labels: Vec<_> = retry.waiters.iter().map(|waiter| waiter.label.as_deref().unwrap()).collect();
        let (refused, other) = (type_name::<Refused>(), type_name::<io::Error>());
        assert_eq!(labels, [format!("attempt 2, after {refused}"), format!("attempt 2, after {other}")]);
        assert_eq!(ends(&retry.waiters, start), [secs(1), ms(1600)]);
        assert_eq!(retry.waiters[0].waited, ms(600));
        // The second attempt fails as well, and the next delay is twice as long.
        sleep(ms(600)).await;
        let retry = only();
        assert_eq!(ends(&retry.waiters, start), [ms(1600), secs(3)]);
        assert_eq!(retry.waiters[1].label.as_deref(), Some(&*format!("attempt 3, after {refused}")));
        let text = all_forms(&look());
        // It has no units.
        assert!(text.contains("retry 'orders': 2 waiting\n"), "{text}");
        assert!(!text.contains("secret text"), "texts of errors may hold secrets: {text}");
        for call in calls {
            assert!(!call.await.unwrap());
        }
        assert!(look().resources.is_empty(), "no call waits");
    });
}

#[test]
fn a_policy_that_is_owned_and_its_clones() {
    World::run(async |world| {
        let budget = Budget::percent(0).reserve(3).per_second(0);
        let policy = Arc::new(Policy::fixed(secs(2)).attempt_timeout(ms(50)).budget(budget)); // makes a policy
        let by_hand = spawn({
            let policy = policy.clone();
            async move {
                let mut attempts = policy.start();
                let failed = attempts.attempt(pending::<Result<(), Refused>>()).await.unwrap_err();
                drop(attempts.backoff(failed).await); // by hand
                pending::<()>().await;
            }
        });
        sleep(ms(51)).await;
        let retry = only();
        assert_eq!((retry.name, retry.place.map(Location::line)), (None, Some(at("makes a policy"))));
        assert_eq!(retry.waiters[0].label.as_deref(), Some("attempt 2, after a time-out"));
        assert_eq!(line(&retry.waiters[0]), at("by hand"));
        assert_eq!(retry.notes, ["2 retries left in its budget, which has refused 0"]);
        // The clone of a policy that has waited shares its list.
        let policy = Policy::clone(&policy);
        let others = [0; 3].map(|_| {
            let policy = policy.clone();
            spawn(async move { drop(policy.run(async || Err::<(), _>(Refused)).await) })
        });
        world.settle().await;
        let retry = only();
        assert_eq!(retry.waiters.len(), 3, "the budget has refused one of the four");
        assert_eq!(retry.notes, ["0 retries left in its budget, which has refused 1"]);
        sleep(ms(2001)).await;
        assert!(look().resources.is_empty(), "the delays have ended: {}", look());
        by_hand.abort();
        for other in others {
            other.await.unwrap();
        }
    });
}

/// The feature changes nothing of what a program may do with a policy.
#[test]
fn a_constant_is_one_policy_wherever_it_is_used() {
    const ORDERS: Policy = Policy::fixed(Duration::from_secs(2)).named("orders");
    World::run(async |world| {
        let calls =
            [0; 2].map(|_| spawn(async { ORDERS.run(async || Err::<(), _>(Refused)).await.is_err() }));
        world.settle().await;
        let retry = only();
        assert_eq!((retry.to_string(), retry.waiters.len()), ("retry 'orders'".to_owned(), 2));
        for call in calls {
            assert!(call.await.unwrap());
        }
        assert!(look().resources.is_empty(), "no call waits");
    });
}

/// A delay of nothing is no wait.
#[test]
fn retries_without_a_delay_are_not_told() {
    World::run(async |_| {
        let policy = Policy::new(Backoff::none()).max_attempts(u32::MAX);
        let calls = AtomicUsize::new(0);
        let run = policy.run(async || match calls.fetch_add(1, Relaxed) {
            1000 => Ok(()),
            _ => {
                assert!(look().resources.is_empty());
                Err(Refused)
            }
        });
        run.await.unwrap();
    });
}

#[test]
fn a_backoff_that_nobody_is_free_to_end_is_late() {
    World::run(async |world| {
        let start = Instant::now();
        let policy = Policy::fixed(secs(1)).named("orders");
        let call = spawn(async move { policy.run(async || Err::<(), _>(Refused)).await.is_ok() });
        world.settle().await;
        let mut busy = pin!(advance(secs(5)));
        assert!(poll_once(busy.as_mut()).is_pending());
        let dump = look();
        assert_eq!(ends(&dump.resources[0].waiters, start), [secs(1)]);
        assert!(dump.to_string().contains("late by 4s"), "{dump}");
        assert_eq!((dump.findings[0].kind, dump.findings[0].lasted), (FindingKind::LateTimer, secs(4)));
        busy.await;
        call.abort();
    });
}
