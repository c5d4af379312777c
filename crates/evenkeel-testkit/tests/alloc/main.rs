//! Counts of allocations: a binary with one test, so that no other test allocates meanwhile.
#![cfg(feature = "alloc")]

use std::{
    alloc::System,
    panic::{AssertUnwindSafe, catch_unwind},
};

use evenkeel_testkit::{
    World,
    alloc::{INSTRUMENTED_SYSTEM, StatsAlloc},
    assert_allocs,
};
use tokio::sync::{Semaphore, oneshot};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn allocations_are_counted() {
    assert_allocs!((), == 0);
    let bytes = assert_allocs!(Vec::<u8>::with_capacity(10), == 1);
    let mut bytes = assert_allocs!(bytes, == 0);
    assert_allocs!(bytes.extend([0; 100]), == 1);
    World::run(async |_| {
        let semaphore = Semaphore::new(1);
        let permit = assert_allocs!(semaphore.acquire().await, == 0);
        assert!(permit.is_ok());
        let (send, receive) = assert_allocs!(oneshot::channel(), <= 1);
        send.send(42).unwrap();
        assert_eq!(assert_allocs!(receive.await, < 1), Ok(42));
    });
    let wrong = catch_unwind(AssertUnwindSafe(|| assert_allocs!(drop(vec![1, 2]), == 0)));
    let message = wrong.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(*message, "allocations\n  expected: == 0\n       got: 1");
}
