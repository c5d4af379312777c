//! Wakers and values that call back while they are called.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use cooked_waker::{IntoWaker, Wake, WakeRef};
use evenkeel_testkit::{probe, seq::Seq};

type Hook = Arc<dyn Fn(&'static str) + Send + Sync>;

/// A waker that calls this with the name of what is done to it.
struct Hooked(Hook);

impl Clone for Hooked {
    fn clone(&self) -> Self {
        (self.0)("clone");
        Self(Arc::clone(&self.0))
    }
}

impl WakeRef for Hooked {
    fn wake_by_ref(&self) {
        (self.0)("wake");
    }
}

impl Wake for Hooked {}

impl Drop for Hooked {
    fn drop(&mut self) {
        (self.0)("drop");
    }
}

fn hooked(hook: impl Fn(&'static str) + Send + Sync + 'static) -> Waker {
    Box::new(Hooked(Arc::new(hook))).into_waker()
}

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

#[test]
fn a_waker_may_use_the_steps_that_it_waits_for() {
    let seq = Seq::new();
    let waker = hooked({
        let seq = seq.clone();
        // Another step, taken and given up.
        move |_| drop(poll(&mut Box::pin(seq.at(9)), Waker::noop()))
    });
    let Poll::Ready(first) = poll(&mut Box::pin(seq.at(0)), Waker::noop()) else { panic!("it is the first") };
    let (mut second, mut third) = (Box::pin(seq.at(1)), Box::pin(seq.at(2)));
    for _ in 0..2 {
        assert!(poll(&mut second, &waker).is_pending());
        assert!(poll(&mut third, &waker.clone()).is_pending());
        assert!(poll(&mut third, &hooked(|_| ())).is_pending());
    }
    drop(third);
    drop(first);
    assert!(poll(&mut second, &waker).is_ready());
}

#[test]
fn a_waker_may_look_at_the_probe_that_it_is_woken_by() {
    let inner = Arc::new(Mutex::new(None::<Waker>));
    let keep = Arc::clone(&inner);
    let mut metered = Box::pin(probe::meter(std::future::poll_fn(move |cx| {
        *keep.lock().unwrap() = Some(cx.waker().clone());
        Poll::<()>::Pending
    })));
    // It wakes again from within its own clone, wake and drop.
    let again = {
        let inner = Arc::clone(&inner);
        move |_| {
            let waker = inner.lock().unwrap().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    };
    let waker = hooked(again);
    for _ in 0..3 {
        assert!(poll(&mut metered, &waker).is_pending());
        assert!(poll(&mut metered, Waker::noop()).is_pending());
        let woken = inner.lock().unwrap().clone();
        woken.unwrap().wake();
    }
    assert_eq!(metered.counts().polls, 6);
}
