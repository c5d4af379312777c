//! Operations that are cut at each of their awaits.

use std::{
    cell::{Cell, RefCell},
    future::{pending, poll_fn},
    rc::Rc,
    sync::{Arc, Mutex},
    task::Poll,
};

use evenkeel_base::lock;
use tokio::sync::{Semaphore, oneshot};

use super::prelude::*;
use crate::testkit::{
    Cutting,
    harness::{failure, passes},
};

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "TESTKIT-34" alone testkit_34 "An operation is cut at each of its awaits, at each as often as at the others.").needs(Needs::POLLS),
    rule!(Must "TESTKIT-35" alone testkit_35 "Each cut has a state of its own.").needs(Needs::POLLS),
    rule!(Must "TESTKIT-36" alone testkit_36 "A state that a cut breaks is found.").needs(Needs::POLLS),
    rule!(Must "TESTKIT-37" alone testkit_37 "An operation that is safe at each await passes.").needs(Needs::POLLS),
    rule!(Must "TESTKIT-38" alone testkit_38 "A task that a cut leaves behind is found.").needs(Needs::POLLS),
    rule!(Must "TESTKIT-39" alone testkit_39 "An operation is polled only when it was woken: a lost wake-up is found.").needs(Needs::POLLS),
    rule!(Should "TESTKIT-40" alone testkit_40 "A value that was handed over, and lost before the next poll, is found.").needs(Needs::POLLS),
];

/// How often a kit did what.
#[derive(Debug, Default)]
struct Counts {
    begins: Cell<u32>,
    ends: Cell<u32>,
    /// The checks of a state whose run was cut.
    checked_cuts: Cell<u32>,
    /// Whether the last run has begun and not ended.
    is_cut: Cell<bool>,
}

/// An operation that a kit has cut.
struct WasCut {
    counts: Rc<Counts>,
    /// The words with which the kit failed it.
    failure: Option<String>,
}

/// Cuts an operation.
fn cut<S: 'static, Fut: Future<Output = ()> + 'static>(
    subject: &Subject,
    setup: impl Fn() -> Rc<S> + 'static,
    operation: impl Fn(Rc<S>) -> Fut + Clone + 'static,
    check: impl Fn(&S) + Clone + 'static,
) -> Checked<WasCut> {
    needs(subject, Capability::Cuts)?;
    let kit = configure(subject, &Settings { lasts: secs(60), ..Settings::default() })?;
    let counts: Rc<Counts> = Rc::default();
    let (runs, checks) = (counts.clone(), counts.clone());
    let counted = move |state| {
        let (operation, runs) = (operation.clone(), runs.clone());
        runs.is_cut.set(false);
        async move {
            one_more(&runs.begins);
            runs.is_cut.set(true);
            operation(state).await;
            runs.is_cut.set(false);
            one_more(&runs.ends);
        }
    };
    let checked = move |state: &S| {
        if checks.is_cut.get() {
            one_more(&checks.checked_cuts);
        }
        check(state);
    };
    let failure = failure(|| kit.cut(Cutting::new(setup, counted, checked)));
    Ok(WasCut { counts, failure })
}

fn one_more(count: &Cell<u32>) {
    count.set(count.get() + 1);
}

impl WasCut {
    /// The rule asks that it passes, once it was cut and checked.
    fn passes(self) -> Checked {
        passes(self.failure)?;
        let Counts { begins, ends, checked_cuts, .. } = &*self.counts;
        if checked_cuts.get() >= 1 {
            return Ok(());
        }
        let got = format_args!("none; {} runs, of which {} ended", begins.get(), ends.get());
        Err(Verdict::fail("a run of the operation that is cut, and then checked", got))
    }

    /// The rule asks that it fails.
    fn fails(self, what: &str) -> Checked {
        let passed = || Verdict::fail(format_args!("a failure: {what}"), "it passes");
        self.failure.map(drop).ok_or_else(passed)
    }
}

/// Tells at which await it was when it was dropped.
struct At {
    cuts: Rc<RefCell<Vec<u32>>>,
    awaits: u32,
}

impl Drop for At {
    fn drop(&mut self) {
        if self.awaits > 0 {
            self.cuts.borrow_mut().push(self.awaits);
        }
    }
}

/// The cuts of all runs.
struct AwaitsCut(Rc<RefCell<Vec<u32>>>);

async fn three_awaits(cuts: Rc<AwaitsCut>) {
    let mut at = At { cuts: cuts.0.clone(), awaits: 0 };
    for _ in 0..3 {
        at.awaits += 1;
        tokio::time::sleep(secs(1)).await;
    }
    at.awaits = 0;
}

fn testkit_34(subject: &Subject) -> Checked {
    let cuts = Rc::new(RefCell::new(Vec::new()));
    let shared = Rc::new(AwaitsCut(cuts.clone()));
    cut(subject, move || shared.clone(), three_awaits, |_| {})?.passes()?;
    let cuts = cuts.borrow();
    let times = [1, 2, 3].map(|at| cuts.iter().filter(|cut| **cut == at).count());
    if times[0] > 0 && times.iter().all(|count| *count == times[0]) {
        return Ok(());
    }
    Err(Verdict::fail("the same number of cuts at each of 3 awaits", format_args!("{times:?}")))
}

async fn count_begins(begun: Rc<Cell<u32>>) {
    begun.set(begun.get() + 1);
    tokio::time::sleep(secs(1)).await;
}

fn testkit_35(subject: &Subject) -> Checked {
    let check = |begun: &Cell<u32>| assert!(begun.get() <= 1, "the state of another run");
    cut(subject, Rc::default, count_begins, check)?.passes()
}

/// Takes from one account, and gives to another one a second later.
async fn transfer(accounts: Rc<Cell<[u32; 2]>>) {
    let [from, to] = accounts.get();
    accounts.set([from - 1, to]);
    tokio::time::sleep(secs(1)).await;
    let [from, to] = accounts.get();
    accounts.set([from, to + 1]);
}

fn testkit_36(subject: &Subject) -> Checked {
    let check =
        |accounts: &Cell<[u32; 2]>| assert_eq!(accounts.get().iter().sum::<u32>(), 10, "money is lost");
    let was_cut = cut(subject, || Rc::new(Cell::new([10, 0])), transfer, check)?;
    was_cut.fails("a transfer that is cut in its middle loses money")
}

async fn hold_a_permit(permits: Rc<Semaphore>) {
    let _permit = permits.acquire().await;
    tokio::time::sleep(secs(1)).await;
    tokio::task::yield_now().await;
}

fn testkit_37(subject: &Subject) -> Checked {
    let check = |permits: &Semaphore| assert_eq!(permits.available_permits(), 1, "a permit is lost");
    cut(subject, || Rc::new(Semaphore::new(1)), hold_a_permit, check)?.passes()
}

async fn leave_a_task(_: Rc<()>) {
    let task = tokio::spawn(pending::<()>());
    tokio::time::sleep(secs(1)).await;
    task.abort();
    let _ = task.await;
}

fn testkit_38(subject: &Subject) -> Checked {
    cut(subject, Rc::default, leave_a_task, |()| {})?.fails("its task goes on after a cut")
}

/// Waits for something that has come without a wake.
async fn miss_a_wake(_: Rc<()>) {
    let mut has_come = false;
    poll_fn(|_| if std::mem::replace(&mut has_come, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

fn testkit_39(subject: &Subject) -> Checked {
    cut(subject, Rc::default, miss_a_wake, |()| {})?.fails("nothing wakes it")
}

/// One item, which goes to the operation if it is there, and stays otherwise.
#[derive(Default)]
struct Hand {
    to: Option<oneshot::Sender<()>>,
    stayed: u32,
    taken: u32,
}

/// A hand that the operation shares with a task.
struct SharedHand(Arc<Mutex<Hand>>);

async fn take_an_item(hand: Rc<SharedHand>) {
    let (sender, item) = oneshot::channel();
    lock(&hand.0).to = Some(sender);
    if item.await.is_ok() {
        lock(&hand.0).taken += 1;
    }
}

fn testkit_40(subject: &Subject) -> Checked {
    let setup = || {
        let hand: Arc<Mutex<Hand>> = Arc::default();
        let giver = hand.clone();
        tokio::spawn(async move {
            tokio::time::sleep(secs(1)).await;
            let to = lock(&giver).to.take();
            if to.is_none_or(|to| to.send(()).is_err()) {
                lock(&giver).stayed += 1;
            }
        });
        Rc::new(SharedHand(hand))
    };
    let check = |hand: &SharedHand| {
        let hand = lock(&hand.0);
        assert_eq!(hand.stayed + hand.taken, 1, "an item is lost");
    };
    cut(subject, setup, take_an_item, check)?.fails("an item that has come is lost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Adapter, AdapterError,
        testkit::{Program, TestKit},
    };

    /// A run of the operation: whether it is cut at its first await, and whether its state is checked.
    type Run = (bool, bool);

    /// A kit that makes these runs.
    #[derive(Clone, Copy)]
    struct Kit(&'static [Run]);

    impl Adapter<Settings> for Kit {
        fn supports(&self, _: Capability) -> Result<(), &'static str> {
            Ok(())
        }

        fn configure(&self, _: &Settings) -> Result<Box<dyn TestKit>, AdapterError> {
            Ok(Box::new(*self))
        }
    }

    impl TestKit for Kit {
        fn run(&self, _: Program) {}

        fn cut(&self, operation: Cutting) {
            let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.expect("the system can make a runtime").block_on(async {
                for (is_cut, is_checked) in self.0 {
                    let state = operation.setup();
                    let mut running = state.operation();
                    poll_fn(|cx| match running.as_mut().poll(cx) {
                        Poll::Pending if !is_cut => Poll::Pending,
                        _ => Poll::Ready(()),
                    })
                    .await;
                    drop(running);
                    if *is_checked {
                        state.check().await;
                    }
                }
            });
        }
    }

    #[test]
    fn a_safe_operation_passes_with_one_check_of_a_state_whose_run_was_cut() {
        assert_eq!(testkit_37(&Kit(&[(true, true)])), Ok(()));
        assert_eq!(testkit_37(&Kit(&[(false, true), (true, true)])), Ok(()));
    }

    #[test]
    fn checks_of_whole_runs_do_not_stand_for_those_of_cut_ones() {
        let kits: [&[Run]; 3] =
            [&[], &[(false, true), (false, true)], &[(true, false), (false, true), (false, true)]];
        for runs in kits {
            assert!(testkit_37(&Kit(runs)).is_err(), "{runs:?}");
        }
    }
}
