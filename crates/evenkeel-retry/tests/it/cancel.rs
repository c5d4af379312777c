//! Every entry point, dropped at every await point: the operation is dropped with it, no attempt is made
//! afterwards, the budget's tokens are conserved, and the call can be made again.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use evenkeel_retry::{Backoff, Budget, Jitter, Policy};
use evenkeel_testkit::cancel;
use tokio::time::{Instant, sleep};

use crate::{Refused, ms};

const RESERVE: u32 = 20;

struct State {
    policy: Policy,
    started: Cell<u32>,
    running: Cell<u32>,
    last_start: Cell<Option<Instant>>,
    left: RefCell<Option<Instant>>,
}

/// Counts an attempt as running until it is dropped.
struct Running(Rc<State>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
    }
}

/// Notes when the call is left, completed or dropped.
struct Left(Rc<State>);

impl Drop for Left {
    fn drop(&mut self) {
        *self.0.left.borrow_mut() = Some(Instant::now());
    }
}

async fn setup() -> Rc<State> {
    let policy = Policy::new(Backoff::fixed(ms(100)).jitter(Jitter::None))
        .max_attempts(4)
        .attempt_timeout(ms(1000))
        .budget(Budget::percent(0).per_second(0).reserve(RESERVE));
    let (started, running) = (Cell::new(0), Cell::new(0));
    Rc::new(State { policy, started, running, last_start: Cell::default(), left: RefCell::default() })
}

/// Fails once, hangs once, and then succeeds after a while.
async fn operation(state: Rc<State>) -> Result<u32, Refused> {
    let number = state.started.get() + 1;
    state.started.set(number);
    state.last_start.set(Some(Instant::now()));
    state.running.set(state.running.get() + 1);
    let _running = Running(state);
    sleep(ms(10)).await;
    match number {
        1 => Err(Refused(1)),
        2 => std::future::pending().await,
        _ => Ok(number),
    }
}

async fn check(state: Rc<State>) {
    assert_eq!(state.running.get(), 0, "an attempt outlived its call");
    if let (Some(start), Some(left)) = (state.last_start.get(), *state.left.borrow()) {
        assert!(start <= left, "an attempt was made after the call was left");
    }
    let budget = state.started.get().saturating_sub(1);
    let policy = &state.policy;
    assert!(format!("{policy:?}").contains(&format!("available: {}", RESERVE - budget)), "{policy:?}");
    state.started.set(2);
    assert_eq!(policy.run(|| operation(state.clone())).await, Ok(3));
}

#[test]
fn the_future() {
    let cuts = cancel::every_point(
        setup,
        async |state| {
            let _left = Left(state.clone());
            let outcome =
                state.policy.run(|| operation(state.clone())).until(sleep(Duration::from_secs(60))).await;
            assert_eq!(outcome, Ok(3));
        },
        check,
    );
    // Three attempts, of which the second goes on after its sleep, and two waits.
    assert_eq!(cuts.points(), 6);
}

async fn looped(state: Rc<State>, has_stop: bool) {
    let _left = Left(state.clone());
    let mut attempts = state.policy.start();
    let value = loop {
        match attempts.attempt(operation(state.clone())).await {
            Ok(value) => break value,
            Err(failed) if has_stop => {
                attempts.backoff_until(failed, sleep(Duration::from_secs(60))).await.unwrap();
            }
            Err(failed) => attempts.backoff(failed).await.unwrap(),
        }
    };
    assert_eq!(value, 3);
}

#[test]
fn the_loop() {
    for has_stop in [false, true] {
        let cuts = cancel::every_point(setup, move |state| looped(state, has_stop), check);
        assert_eq!(cuts.points(), 6, "with a stop: {has_stop}");
    }
}
