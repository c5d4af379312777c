//! Every combination of what a manager may do, with impatient callers: no object is ever lost or made up.

use std::sync::atomic::Ordering::SeqCst;

use evenkeel_pool::{GetError, Pool};
use evenkeel_testkit::World;
use tokio::time::{sleep, timeout};

use crate::scripted::{Act, Broken, Scripted, assert_sound, assert_whole, ms, pool_with, secs};

const ACTS: [Act; 5] = [Act::Ready, Act::Slow(ms(3)), Act::Fail(ms(1)), Act::Panic(ms(2)), Act::Hang];

/// Eight callers of different patience on two objects, through four rounds.
#[test]
fn all_combinations() {
    for create in ACTS {
        for check in ACTS {
            for broken in [Broken::No, Broken::Yes, Broken::Panic] {
                World::builder().allow_panics(usize::MAX).run(async |_| run(create, check, broken).await);
            }
        }
    }
}

async fn run(create: Act, check: Act, broken: Broken) {
    let (pool, script) =
        pool_with(2, |builder| builder.acquire_timeout(ms(40)).create_timeout(ms(20)).check_timeout(ms(10)));
    // So there is something to check also if nothing can be created.
    drop(crate::scripted::take(&pool, 2).await);
    script.create.set(create);
    script.check.set(check);
    let callers: Vec<_> = (0..8).map(|patience| tokio::spawn(call(pool.clone(), patience, broken))).collect();
    for _ in 0..20 {
        sleep(ms(1)).await;
        assert_sound(&pool, &script);
    }
    // Half of them are aborted wherever they are, the others come to their end.
    for (n, caller) in callers.into_iter().enumerate() {
        if n % 2 == 0 {
            caller.abort();
        } else {
            caller.await.unwrap();
        }
    }
    assert_sound(&pool, &script);
    // The last creation may wait for its pause, and fail, without a waiter.
    sleep(secs(3)).await;
    let snapshot = pool.snapshot();
    assert_eq!(
        (snapshot.creating, snapshot.checking, script.running.load(SeqCst)),
        (0, 0, 0),
        "{snapshot:?}"
    );
    assert_eq!(script.live.load(SeqCst), snapshot.idle);
    script.create.set(Act::Ready);
    script.check.set(Act::Ready);
    assert_whole(&pool, &script).await;
    if create == Act::Ready {
        assert_eq!(snapshot.timeouts, 0, "no caller waits in vain while objects can be made");
    }
}

async fn call(pool: Pool<Scripted>, patience: u64, broken: Broken) {
    for _ in 0..4 {
        match timeout(ms(patience * 3), pool.get()).await {
            Ok(Ok(mut lease)) => {
                sleep(ms(patience % 3)).await;
                lease.broken = broken;
            }
            Ok(Err(GetError::Timeout(why))) => assert_eq!(why.waited, ms(40)),
            Ok(Err(GetError::Create(_) | GetError::CreateTimeout(_) | GetError::Panic(_))) | Err(_) => {}
            Ok(Err(other)) => panic!("{other:?}"),
        }
    }
}
