//! Effects of a cut on the state: each faulty operation is found, and its correct twin passes.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::pending,
    rc::Rc,
};

use evenkeel_testkit::cancel::every_point;
use tokio::{
    sync::oneshot,
    task::{spawn_local, yield_now},
    time::sleep,
};

use super::{ALL_OF_TWO_POINTS, failed, has_its_permit, one_permit};
use crate::{MS, SECOND, panic_of};

#[test]
fn a_lost_permit_is_found() {
    let table = panic_of(|| {
        let _ = every_point(
            one_permit,
            async |semaphore| {
                semaphore.acquire().await.unwrap().forget();
                sleep(MS).await;
                sleep(MS).await;
                semaphore.add_permits(1);
            },
            has_its_permit,
        );
    });
    assert_eq!(failed(&table), ALL_OF_TWO_POINTS);
    assert!(table.starts_with("10 of 12 runs failed, at 2 suspension point(s)\n"), "{table}");
    let row = "    2  dropped on wake           2ms  assertion `left == right` failed: permits; left: 0; right: 1 (";
    assert!(table.contains(row), "{table}");
}

#[test]
fn a_permit_in_a_guard_is_not_lost() {
    let cuts = every_point(
        one_permit,
        async |semaphore| {
            let _permit = semaphore.acquire().await.unwrap();
            sleep(MS).await;
            sleep(MS).await;
        },
        has_its_permit,
    );
    assert_eq!(cuts.points(), 2);
}

#[test]
fn a_half_done_update_is_found() {
    let table = panic_of(|| {
        let _ = every_point(
            async || Rc::new((Cell::new(100), Cell::new(0))),
            async |accounts| {
                accounts.0.set(accounts.0.get() - 10);
                yield_now().await;
                accounts.1.set(accounts.1.get() + 10);
                yield_now().await;
            },
            async |accounts| assert_eq!(accounts.0.get() + accounts.1.get(), 100),
        );
    });
    assert_eq!(failed(&table), &ALL_OF_TWO_POINTS[..5]);
}

#[test]
fn an_update_in_one_step_passes() {
    let cuts = every_point(
        async || Rc::new((Cell::new(100), Cell::new(0))),
        async |accounts| {
            yield_now().await;
            accounts.0.set(accounts.0.get() - 10);
            accounts.1.set(accounts.1.get() + 10);
            yield_now().await;
        },
        async |accounts| assert_eq!(accounts.0.get() + accounts.1.get(), 100),
    );
    assert_eq!(cuts.points(), 2);
}

/// Passes items to waiting callers, and keeps the others.
#[derive(Default)]
struct Handoff {
    waiting: RefCell<VecDeque<oneshot::Sender<u32>>>,
    kept: RefCell<Vec<u32>>,
    arrived: RefCell<Vec<u32>>,
}

impl Handoff {
    /// Receives its only item after a second.
    async fn with_an_item() -> Rc<Self> {
        let handoff = Rc::new(Handoff::default());
        let producer = handoff.clone();
        spawn_local(async move {
            sleep(SECOND).await;
            producer.put(1);
        });
        handoff
    }

    fn put(&self, mut item: u32) {
        while let Some(waiting) = self.waiting.borrow_mut().pop_front() {
            match waiting.send(item) {
                Ok(()) => return,
                Err(back) => item = back,
            }
        }
        self.kept.borrow_mut().push(item);
    }

    fn wait(&self) -> oneshot::Receiver<u32> {
        let (hand, handed) = oneshot::channel();
        self.waiting.borrow_mut().push_back(hand);
        handed
    }

    async fn has_the_item(self: Rc<Self>) {
        let items = [self.kept.borrow_mut().clone(), self.arrived.borrow_mut().clone()].concat();
        assert_eq!(items, [1]);
    }
}

#[test]
fn an_item_lost_between_wake_and_poll_is_found() {
    let table = panic_of(|| {
        let _ = every_point(
            Handoff::with_an_item,
            async |handoff| {
                let item = handoff.wait().await;
                handoff.arrived.borrow_mut().extend(item);
            },
            Handoff::has_the_item,
        );
    });
    // Frozen, it is woken, too, and dropped later.
    assert_eq!(failed(&table), ["1 dropped on wake", "1 frozen"]);
}

#[test]
fn an_item_that_goes_back_passes() {
    struct GoesBack<'a>(oneshot::Receiver<u32>, &'a Handoff);
    impl Drop for GoesBack<'_> {
        fn drop(&mut self) {
            if let Ok(item) = self.0.try_recv() {
                self.1.put(item);
            }
        }
    }
    let cuts = every_point(
        Handoff::with_an_item,
        async |handoff| {
            let mut handed = GoesBack(handoff.wait(), &handoff);
            let item = (&mut handed.0).await;
            handoff.arrived.borrow_mut().extend(item);
        },
        Handoff::has_the_item,
    );
    assert_eq!(cuts.points(), 1);
}

/// A guard that frees the lock when it is dropped.
struct Busy(Rc<Cell<bool>>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[test]
fn an_effect_of_a_future_that_is_never_polled_is_found() {
    let table = panic_of(|| {
        let _ = every_point(
            async || Rc::new(Cell::new(false)),
            |busy| {
                busy.set(true);
                async move {
                    let _busy = Busy(busy);
                    yield_now().await;
                }
            },
            async |busy| assert!(!busy.get()),
        );
    });
    assert_eq!(failed(&table), ["0 never polled"]);
}

#[test]
fn a_future_that_is_lazy_passes() {
    let cuts = every_point(
        async || Rc::new(Cell::new(false)),
        async |busy| {
            busy.set(true);
            let _busy = Busy(busy);
            yield_now().await;
        },
        async |busy| assert!(!busy.get()),
    );
    assert_eq!(cuts.points(), 1);
}

#[test]
fn an_operation_that_cannot_be_repeated_is_found() {
    let table = panic_of(|| {
        let operation = async |busy: Rc<Cell<bool>>| {
            if busy.replace(true) {
                pending::<()>().await;
            }
            sleep(MS).await;
            busy.set(false);
        };
        let _ = every_point(async || Rc::new(Cell::new(false)), operation, operation);
    });
    assert_eq!(failed(&table), &ALL_OF_TWO_POINTS[..5]);
    assert!(table.contains("deadlock: nothing can run"), "{table}");
}
