//! The report of a time-out.

use std::error::Error;

use evenkeel_pool::{BuildError, GetError, Lease, Pool, Timeout};
use evenkeel_testkit::{World, assert_took};
use tokio::time::sleep;

use crate::scripted::{Act, Broken, Refused, Script, Scripted, ms, pool_with, secs, take};

fn why<T: std::fmt::Debug>(result: Result<T, GetError<Refused>>) -> Timeout {
    match result {
        Err(GetError::Timeout(why)) => *why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_names_those_who_hold_the_objects() {
    World::run(async |_| {
        let (pool, _) = pool_with(4, |builder| builder.acquire_timeout(secs(2)));
        let base = line!();
        let a = pool.get().await.unwrap();
        sleep(secs(1)).await;
        let b = pool.get().await.unwrap();
        let c = pool.get().await.unwrap();
        let d = pool.get().await.unwrap();
        let ahead = tokio::spawn({
            let pool = pool.clone();
            async move { pool.get().await.map(drop) }
        });
        sleep(ms(500)).await;
        let behind = async {
            sleep(secs(1)).await;
            pool.get().await
        };
        let (timeout, _) = tokio::join!(async { assert_took!(pool.get(), secs(2)) }, behind);
        let timeout = why(timeout);
        assert_eq!((timeout.waited, timeout.ahead, timeout.snapshot.in_use), (secs(2), 1, 4));
        let holders: Vec<_> =
            timeout.holders.iter().map(|holder| (holder.place.line() - base, holder.held_for)).collect();
        assert_eq!(
            holders,
            [(1, ms(3500)), (3, ms(2500)), (4, ms(2500))],
            "the longest three, the longest first"
        );
        assert_eq!(
            timeout.to_string(),
            format!(
                "no object within 2s: 4 of 4 in use, 1 more waiting, 1 was ahead; held by {file}:{}:22 for 3.5s, \
                 {file}:{}:22 for 2.5s, {file}:{}:22 for 2.5s",
                base + 1,
                base + 3,
                base + 4,
                file = file!(),
            )
        );
        assert!(ahead.await.unwrap().is_err());
        assert_eq!(pool.snapshot().timeouts, 3);
        drop((a, b, c, d));
    });
}

/// The place of a holder is that of its call, with `try_get` as well, and also if it had to wait.
#[test]
fn places_are_those_of_the_calls() {
    World::run(async |_| {
        let (pool, _) = pool_with(2, |builder| builder);
        let here = line!();
        let a = pool.get().await.unwrap();
        drop(pool.get().await);
        let b = pool.try_get().unwrap();
        let later = pool.get();
        let (c, ()) = tokio::join!(later, async {
            sleep(ms(5)).await;
            drop(a);
            sleep(ms(5)).await;
        });
        let seen: Vec<_> =
            pool.holders().iter().map(|holder| (holder.place.line() - here, holder.held_for)).collect();
        assert_eq!(seen, [(3, ms(10)), (4, ms(5))]);
        drop((b, c));
    });
}

#[test]
fn it_says_what_is_under_way() {
    World::run(async |_| {
        let (pool, script) = pool_with(2, |builder| builder.acquire_timeout(ms(100)));
        drop(take(&pool, 1).await);
        script.check.next(Act::Hang);
        script.create.next(Act::FAIL);
        script.create.next(Act::Hang);
        // The time of the second and of the third is up in the same instant, so that neither waits beside the other.
        let (a, b, c) = tokio::join!(biased; pool.get(), pool.get(), pool.get());
        assert!(matches!(a, Err(GetError::Create(_))), "{a:?}");
        for (error, ahead) in [(b, "1 was ahead"), (c, "2 were ahead")] {
            let mut why = why(error);
            let text =
                format!("no object within 100ms: 0 of 2 in use, 1 being checked, 1 being created, {ahead}");
            let cause = "could not create an object: refused";
            // The cause is the source, and not in the text.
            assert_eq!((why.to_string(), why.source().unwrap().to_string()), (text.clone(), cause.into()));
            why.cause = None;
            assert_eq!(why.to_string(), format!("{text}; last failure: {cause}"));
        }
    });
}

/// The last failure that a caller sees that cannot be served after all this.
fn last_failure(
    story: impl AsyncFnOnce(&Pool<Scripted>, &Script) -> Option<Lease<Scripted>>,
) -> Option<String> {
    World::builder().allow_panics(1).run(async |_| {
        let (pool, script) = pool_with(1, |builder| {
            builder.acquire_timeout(ms(100)).create_timeout(ms(300)).check_timeout(ms(300))
        });
        let lease = story(&pool, &script).await;
        script.create.set(Act::Hang);
        let timeout = why(pool.get().await);
        assert_eq!(timeout.snapshot.in_use, usize::from(lease.is_some()));
        timeout.last_failure
    })
}

#[test]
fn the_last_failure_is_kept() {
    let none = last_failure(async |pool, _| pool.get().await.ok());
    assert_eq!(none, None);

    let refused = last_failure(async |pool, script| {
        script.create.next(Act::FAIL);
        pool.get().await.ok()
    });
    assert_eq!(refused.unwrap(), "could not create an object: refused");

    let overcome = last_failure(async |pool, script| {
        script.create.next(Act::FAIL);
        let _ = pool.get().await;
        pool.get().await.ok()
    });
    assert_eq!(overcome, None);

    let slow = last_failure(async |pool, script| {
        script.create.next(Act::Hang);
        let _ = pool.get().await;
        sleep(ms(300)).await;
        None
    });
    assert_eq!(slow.unwrap(), "creating an object took longer than 300ms");

    let panicked = last_failure(async |pool, script| {
        script.create.next(Act::PANIC);
        pool.get().await.ok()
    });
    assert_eq!(panicked.unwrap(), "the manager of the pool failed: panicked: the script panics");

    let unfit = last_failure(async |pool, script| {
        drop(pool.get().await);
        script.check.next(Act::FAIL);
        None
    });
    assert_eq!(unfit.unwrap(), "a check failed: refused");

    let dead = last_failure(async |pool, script| {
        drop(pool.get().await);
        script.check.next(Act::Hang);
        let _ = pool.get().await;
        sleep(ms(300)).await;
        None
    });
    assert_eq!(dead.unwrap(), "a check took longer than 300ms");

    let broken = last_failure(async |pool, _| {
        pool.get().await.unwrap().broken = Broken::Panic;
        None
    });
    assert_eq!(broken.unwrap(), "the manager of the pool failed: panicked: broken for good");
}

#[test]
fn each_error_says_what_it_is() {
    let text = |error: GetError<Refused>| (error.to_string(), error.source().map(ToString::to_string));
    assert_eq!(text(GetError::Closed), ("the pool is closed".into(), None));
    assert_eq!(
        text(GetError::Create(Refused)),
        ("could not create an object".into(), Some("refused".into()))
    );
    assert_eq!(
        text(GetError::CreateTimeout(secs(3))),
        ("creating an object took longer than 3s".into(), None)
    );
    assert_eq!(BuildError::ZeroMax.to_string(), "a pool needs room for at least one object, `max` is 0");
}
