//! Programs that must keep compiling, and the checks of the builder.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use evenkeel_limit::{
    Denied, Rate, Reason,
    distributed::{Distributed, Error, MemoryStore, OnFailure},
};
use evenkeel_testkit::World;

use crate::{
    distributed::fixtures::{Fault, FaultyStore, ms},
    fixtures::ByHand,
};

fn quota() -> Distributed {
    Distributed::new(MemoryStore::new(), "quota", Rate::per_second(10))
}

#[test]
fn it_is_shared_by_tasks() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Distributed>();
    check::<Error>();
    World::run(async |_| {
        let quota = Arc::new(quota());
        let tasks = [0; 3].map(|_| {
            let quota = Arc::clone(&quota);
            tokio::spawn(async move {
                quota.acquire().await?;
                quota.acquire_many(2).await?;
                quota.try_acquire().await
            })
        });
        let granted = futures::future::join_all(tasks).await;
        assert_eq!(granted.iter().filter(|granted| matches!(granted, Ok(Ok(())))).count(), 1);
        assert_eq!(quota.snapshot().granted, 7);
        assert_eq!((quota.snapshot().rate, quota.snapshot().burst), (Rate::per_second(10), 10));
    });
}

#[test]
fn limits_of_zero_are_refused() {
    let refused = |build: &dyn Fn(Distributed) -> Distributed| {
        let panic = std::panic::catch_unwind(AssertUnwindSafe(|| build(quota()))).unwrap_err();
        panic.downcast_ref::<&str>().unwrap().to_string()
    };
    assert_eq!(refused(&|quota| quota.burst(0)), "a burst of zero permits");
    assert_eq!(refused(&|quota| quota.lease(0)), "a lease of zero permits");
    assert_eq!(refused(&|quota| quota.timeout(Duration::ZERO)), "a time-out of zero");
    let share = OnFailure::LocalShare(0);
    assert_eq!(refused(&|quota| quota.on_failure(share)), "the share of one of zero processes");
}

#[test]
fn outside_of_a_runtime_only_what_is_in_hand_is_granted() {
    let quota = quota();
    let outside = AssertUnwindSafe(|| ByHand::new(quota.acquire()).poll());
    assert!(std::panic::catch_unwind(outside).is_err());
    quota.refund(3);
    assert!(ByHand::new(quota.acquire()).poll().is_ready());
    assert_eq!((quota.snapshot().leased, quota.snapshot().waiting), (2, 0));
    assert!(!ByHand::new(quota.close()).poll().is_pending());
    assert!(matches!(
        ByHand::new(quota.acquire()).poll(),
        std::task::Poll::Ready(Err(Error::Denied(Denied { reason: Reason::Closed, .. })))
    ));
}

#[test]
fn threads_share_to_the_permit() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let granted: u32 = runtime.block_on(async {
        let store = MemoryStore::new();
        let works = (0..8).map(|who| {
            let quota = Distributed::new(store.clone(), "quota", Rate::every(Duration::from_secs(86_400)));
            let quota = Arc::new(quota.burst(3_000).lease(1 + who % 2 * 6));
            let work = async move |quota: Arc<Distributed>| {
                let mut granted = 0;
                while quota.try_acquire().await.is_ok() {
                    granted += 1;
                }
                granted
            };
            let both = [0; 2].map(|_| tokio::spawn(work(Arc::clone(&quota))));
            async move {
                let granted = futures::future::join_all(both).await;
                // The rest of the last lease serves the tasks that are not done.
                quota.close().await;
                granted.into_iter().map(Result::unwrap).sum::<u32>()
            }
        });
        let granted: u32 = futures::future::join_all(works).await.into_iter().sum();
        let last = Distributed::new(store, "quota", Rate::every(Duration::from_secs(86_400))).burst(3_000);
        let mut left = 0;
        while last.try_acquire().await.is_ok() {
            left += 1;
        }
        granted + left
    });
    assert_eq!(granted, 3_000);
}

#[test]
fn threads_come_through_outages() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    for policy in [OnFailure::Open, OnFailure::LocalShare(2)] {
        runtime.block_on(async {
            let store = FaultyStore::new();
            for call in (0..100_000).step_by(3) {
                store.at(call, if call % 2 == 0 { Fault::Error } else { Fault::Hang });
            }
            let quota = Distributed::new(store, "quota", Rate::per_second(200_000)).burst(500).lease(5);
            let quota = Arc::new(quota.timeout(ms(2)).on_failure(policy));
            let tasks = [(); 8].map(|()| {
                let quota = Arc::clone(&quota);
                tokio::spawn(async move {
                    for _ in 0..300 {
                        quota.acquire().await.unwrap();
                        tokio::task::yield_now().await;
                    }
                })
            });
            for task in tasks {
                tokio::time::timeout(Duration::from_secs(30), task).await.unwrap().unwrap();
            }
            let snapshot = quota.snapshot();
            assert_eq!((snapshot.granted, snapshot.refused, snapshot.waiting), (2_400, 0, 0));
            assert!(snapshot.failures > 0);
        });
    }
}
