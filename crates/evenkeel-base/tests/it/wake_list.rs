//! Wakers that are woken after a lock is released.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Wake,
};

use evenkeel_base::WakeList;

struct Panics(AtomicUsize);

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
        panic!("a waker that panics");
    }
}

#[test]
fn every_waker_is_called_though_each_panics() {
    let panics = Arc::new(Panics(AtomicUsize::new(0)));
    let list = || {
        let mut list = WakeList::new();
        (0..3).for_each(|_| list.push(Arc::clone(&panics).into()));
        list
    };
    let panic = catch_unwind(AssertUnwindSafe(|| drop(list()))).expect_err("it goes on");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"a waker that panics"));
    assert_eq!(panics.0.load(Relaxed), 3);

    // A panic that goes on already is not replaced, and nothing aborts.
    let unwinding = AssertUnwindSafe(|| {
        let _list = list();
        panic!("first");
    });
    let panic = catch_unwind(unwinding).expect_err("it goes on");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"first"));
    assert_eq!(panics.0.load(Relaxed), 6);
}
