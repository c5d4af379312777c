//! A world that stands still tells why.

use std::panic::{AssertUnwindSafe, catch_unwind};

use evenkeel_limit::ConcurrencyLimiter;
use evenkeel_testkit::World;
use tokio::time::sleep;

use crate::units::secs;

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
