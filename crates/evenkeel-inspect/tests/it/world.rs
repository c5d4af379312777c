//! A world that stands still tells why.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    process::Command,
};

use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_testkit::World;
use tokio::time::sleep;

use crate::units::{look, secs};

#[test]
fn its_message_has_the_dump() {
    let world = || {
        World::run(async |_| {
            let calls = ConcurrencyLimiter::new(1).named("calls");
            let _outer = calls.acquire().await;
            sleep(secs(3)).await;
            let _inner = calls.acquire().await;
        });
    };
    let panic = catch_unwind(AssertUnwindSafe(world)).unwrap_err();
    let message = panic.downcast_ref::<String>().expect("a text");
    assert!(message.starts_with("deadlock: nothing can run"), "{message}");
    let dump = message.split_once('\n').expect("a dump").1;
    assert!(dump.starts_with("deadlock: thread "), "{message}");
    assert!(dump.contains("concurrency limit 'calls'"), "{message}");
    assert!(dump.contains("3s ago at"), "the time before the clock jumped: {message}");
}

/// It was made in a runtime that has ended, and belongs to each world that uses it from then on.
#[test]
fn a_static_limit_that_an_earlier_world_has_used() {
    const IN_CHILD: &str = "EVENKEEL_INSPECT_TEST_CHILD";
    // Its deadlock is told in all worlds of the process: those of other tests expect none.
    if env::var_os(IN_CHILD).is_none() {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "world::a_static_limit_that_an_earlier_world_has_used"]).env(IN_CHILD, "1");
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    static CALLS: ConcurrencyLimiter = ConcurrencyLimiter::new(1).named("calls of two worlds");
    World::run(async |_| drop(CALLS.acquire().await));
    World::run(async |_| {
        let is_told =
            || look().resources.iter().any(|limit| limit.name.as_deref() == Some("calls of two worlds"));
        let outer = CALLS.acquire().await;
        assert!(!is_told(), "nobody waits for it");
        let waits = tokio::spawn(async { drop(CALLS.acquire().await) });
        sleep(secs(1)).await;
        assert!(is_told());
        drop(outer);
        waits.await.unwrap();
    });
    let world = || {
        World::run(async |_| {
            let _outer = CALLS.acquire().await;
            sleep(secs(3)).await;
            let _inner = CALLS.acquire().await;
        });
    };
    let panic = catch_unwind(AssertUnwindSafe(world)).unwrap_err();
    let message = panic.downcast_ref::<String>().expect("a text");
    let dump = message.split_once('\n').expect("a dump").1;
    assert!(dump.starts_with("deadlock: thread ") && dump.contains("calls of two worlds"), "{message}");
    assert!(dump.contains("3s ago at"), "{message}");
}
