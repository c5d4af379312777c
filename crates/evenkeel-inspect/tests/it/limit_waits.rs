//! Waits for a concurrency limit that end by themselves, and those for the end of all permits.

use std::sync::Arc;

use evenkeel_inspect::{FindingKind, InspectedResource};
use evenkeel_limit::{ConcurrencyLimiter, Reason};
use evenkeel_testkit::World;
use tokio::{
    spawn,
    time::{Instant, sleep},
};

use crate::units::{line_of, look, of_kind, secs};

fn limit() -> InspectedResource {
    of_kind(&look(), "concurrency limit")
}

#[test]
fn a_wait_with_a_deadline_says_when_it_ends() {
    World::run(async |_| {
        let calls = Arc::new(ConcurrencyLimiter::new(1).named("calls"));
        let held = calls.acquire().await;
        let waits = async |calls: Arc<ConcurrencyLimiter>, seconds| {
            let deadline = Instant::now() + secs(seconds);
            calls.acquire().by(deadline).await.map(drop)
        };
        let first = spawn(waits(calls.clone(), 30));
        let second = spawn(waits(calls.clone(), 60));
        let third = spawn({
            let calls = calls.clone();
            async move { calls.acquire().await.map(drop) }
        });
        sleep(secs(5)).await;
        let ends: Vec<_> = limit().waiters.iter().map(|waiter| waiter.until).collect();
        let end = |seconds| Some(Instant::now() + secs(seconds));
        assert_eq!(ends, [end(25), end(55), None]);
        assert!(look().to_string().contains("since 5s, 25s left, at"), "{}", look());
        assert_eq!(first.await.unwrap().unwrap_err().reason, Reason::Deadline);
        drop(held);
        assert_eq!((second.await.unwrap(), third.await.unwrap()), (Ok(()), Ok(())));
    });
}

/// It is polled no more, as its task is blocked, or has kept it.
#[test]
fn a_wait_past_its_deadline_is_late() {
    World::run(async |_| {
        let calls = ConcurrencyLimiter::new(1).named("calls");
        let _held = calls.acquire().await;
        let mut kept = Box::pin(calls.acquire().by(Instant::now() + secs(2)));
        tokio::select! {
            biased;
            _ = &mut kept => panic!("it waits"),
            () = sleep(secs(1)) => {}
        }
        // A circle as well: the task waits for its own permit.
        assert_eq!(
            look().findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(),
            [FindingKind::SelfWait]
        );
        sleep(secs(2)).await;
        let kinds: Vec<_> = look().findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::SelfWait, FindingKind::LateTimer]);
        assert_eq!(kept.await.unwrap_err().reason, Reason::Deadline);
    });
}

/// The task that took the permits for others waits for them: that is no circle.
#[test]
fn a_task_that_waits_for_all_permits_is_told() {
    World::run(async |_| {
        let calls = Arc::new(ConcurrencyLimiter::new(9).named("calls"));
        let all = spawn({
            let calls = calls.clone();
            async move {
                for _ in 0..3 {
                    let permit = calls.acquire_owned(1).await.unwrap();
                    spawn(async move {
                        sleep(secs(20)).await;
                        drop(permit);
                    });
                }
                calls.drained().await; // waits for all
            }
        });
        sleep(secs(12)).await;
        let dump = look();
        assert!(dump.findings.is_empty(), "{dump}");
        let place = format!("limit_waits.rs:{}:", line_of(include_str!("limit_waits.rs"), "waits for all"));
        let note = format!("task {} waits until nothing is in use since 12s, at ", all.id());
        let notes = limit().notes;
        assert!(notes.iter().any(|text| text.starts_with(&note) && text.contains(&place)), "{notes:?}");
        all.await.unwrap();
        assert!(limit().notes.is_empty(), "{}", look());
    });
}
