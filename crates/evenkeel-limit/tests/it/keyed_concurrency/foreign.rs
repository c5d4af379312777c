//! Keys and wakers of others, which panic or use the same limits. All keys here have the same hash, so that they are compared.

use std::{
    cell::Cell,
    future::Future,
    hash::{Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
    task::Context,
};

use evenkeel_limit::{Denied, KeyPermit, KeyedConcurrency, Reason};
use evenkeel_testkit::World;

use crate::fixtures::{ByHand, waker};

/// A key of the histories.
pub(super) trait Key: Hash + Eq + Clone + From<u32> {}

impl<K: Hash + Eq + Clone + From<u32>> Key for K {}

static KEYED: KeyedConcurrency<Same> = KeyedConcurrency::new(1);

#[derive(Clone, Copy)]
enum Act {
    Nothing,
    CallBack,
    /// Panics at the call after this many, once.
    Panic(usize),
    /// Calls this in the next comparison, once.
    InEq(fn()),
    /// Calls this in the next clone, once.
    InClone(fn()),
}

thread_local! {
    static ACT: Cell<Act> = const { Cell::new(Act::Nothing) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<Option<KeyPermit<Same>>> = const { Cell::new(None) };
}

fn act() {
    CALLS.set(CALLS.get() + 1);
    match ACT.replace(Act::Nothing) {
        Act::Nothing => {}
        Act::CallBack => {
            drop(KEYED.try_acquire(&Same(1)));
            drop(ByHand::new(KEYED.acquire(&Same(2))).poll());
            assert!(KEYED.len() < 10);
            ACT.set(Act::CallBack);
        }
        Act::Panic(0) => panic!("a key panics"),
        Act::Panic(left) => ACT.set(Act::Panic(left - 1)),
        waits => ACT.set(waits),
    }
}

/// A key that acts in each of its functions.
pub(super) struct Same(u32);

impl From<u32> for Same {
    fn from(key: u32) -> Self {
        Self(key)
    }
}

impl Hash for Same {
    fn hash<H: Hasher>(&self, _: &mut H) {
        act();
    }
}

impl PartialEq for Same {
    fn eq(&self, other: &Self) -> bool {
        match ACT.get() {
            Act::InEq(call) => {
                ACT.set(Act::Nothing);
                call();
            }
            _ => act(),
        }
        self.0 == other.0
    }
}

impl Eq for Same {}

impl Clone for Same {
    fn clone(&self) -> Self {
        match ACT.get() {
            Act::InClone(call) => {
                ACT.set(Act::Nothing);
                call();
            }
            _ => act(),
        }
        Self(self.0)
    }
}

impl Drop for Same {
    fn drop(&mut self) {
        act();
    }
}

/// Takes, waits for and releases permits of three keys.
fn use_all(keyed: &KeyedConcurrency<Same>) {
    let held = keyed.try_acquire(&Same(1));
    let mut next = ByHand::new(keyed.acquire(&Same(1)));
    let _waits = next.poll();
    let other = keyed.try_acquire(&Same(2));
    drop(held);
    let _granted = next.poll();
    drop(keyed.try_acquire(&Same(3)));
    drop(other);
}

#[test]
fn keys_may_use_the_same_limits() {
    World::run(async |_| {
        ACT.set(Act::CallBack);
        CALLS.set(0);
        use_all(&KEYED);
        ACT.set(Act::Nothing);
        assert!(CALLS.get() > 20);
        assert!(KEYED.is_empty());
    });
}

#[test]
fn keys_that_panic_take_nothing() {
    World::run(async |_| {
        let keyed = KeyedConcurrency::new(1);
        let mut panics = 0;
        loop {
            ACT.set(Act::Panic(panics));
            let result = catch_unwind(AssertUnwindSafe(|| use_all(&keyed)));
            let has_panicked = matches!(ACT.replace(Act::Nothing), Act::Nothing);
            assert_eq!(result.is_err(), has_panicked);
            // All of them have gone, and each key has its permit.
            assert!(keyed.is_empty(), "after a panic at call {panics}");
            let permits = [1, 2, 3].map(|key| keyed.try_acquire(&Same(key)));
            assert!(permits.iter().all(Result::is_ok));
            drop(permits);
            if !has_panicked {
                break;
            }
            panics += 1;
        }
        assert!(panics > 15, "{panics} calls of keys");
    });
}

#[test]
fn wakers_may_use_the_same_limits_and_panic() {
    static LIMITS: KeyedConcurrency<u64> = KeyedConcurrency::new(1);
    World::run(async |_| {
        let permit = LIMITS.try_acquire(&1).unwrap();
        let mut next = Box::pin(LIMITS.acquire(&1));
        let wake = waker(|| {
            assert!(LIMITS.try_acquire(&1).is_err(), "it is granted");
            drop(LIMITS.try_acquire(&2).unwrap());
            panic!("a waker panics");
        });
        assert!(next.as_mut().poll(&mut Context::from_waker(&wake)).is_pending());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(permit))).is_err());
        assert_eq!(LIMITS.len(), 1);
        drop(next);
        assert!(LIMITS.is_empty());
        assert!(LIMITS.try_acquire(&1).is_ok());
    });
}

static RACED: KeyedConcurrency<Same> = KeyedConcurrency::new(1);

fn request() -> Result<KeyPermit<Same>, Denied> {
    RACED.try_acquire(&Same(1))
}

fn hold() {
    HELD.set(Some(request().unwrap()));
}

fn release() {
    drop(HELD.take().unwrap());
}

/// The key itself does what other threads may do while a request compares or makes it.
#[test]
fn keys_that_come_and_go_during_a_request() {
    World::run(async |_| {
        // The key comes after the request has found none.
        ACT.set(Act::InClone(hold));
        assert_eq!(request().unwrap_err().reason, Reason::Busy);
        assert_eq!(RACED.len(), 1);

        // It goes after the request has found it.
        ACT.set(Act::InEq(release));
        let permit = request().unwrap();
        assert_eq!((RACED.len(), request().is_err()), (1, true));
        drop(permit);
        assert!(RACED.is_empty());

        // It goes, and comes back.
        hold();
        ACT.set(Act::InEq(|| {
            release();
            hold();
        }));
        assert_eq!(request().unwrap_err().reason, Reason::Busy);
        assert_eq!(RACED.len(), 1);
        release();
        assert!(RACED.is_empty());
        assert!(matches!(ACT.get(), Act::Nothing), "all of it has been done");
    });
}
