//! A limiter, shared by its handles.

use std::{
    future::{pending, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use evenkeel_tck::{
    BoxFuture,
    limit::{Change, Denied, Limiter, Permit, Request, Settings, Settle},
};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::{Fault, algorithm::Algorithm, state::State};

#[derive(Clone)]
pub(super) struct FaultyLimiter {
    fault: Fault,
    state: Arc<Mutex<State>>,
}

impl FaultyLimiter {
    pub(super) fn new(fault: Fault, settings: &Settings) -> Self {
        Self { fault, state: Arc::new(Mutex::new(State::new(fault, settings))) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is as good as a new one.
    pub(super) fn is_full(&self) -> bool {
        match &mut self.state().algorithm {
            Algorithm::Bucket(bucket) => bucket.is_full(Instant::now()),
            Algorithm::Window(_) | Algorithm::Semaphore(_) => false,
        }
    }

    /// Takes what is there now.
    fn take(&self, permits: u32, waits: bool) -> Result<Option<Permit>, Denied> {
        let now = Instant::now();
        let mut state = self.state();
        if !state.admits(now, permits, waits)? {
            return Ok(None);
        }
        if matches!(self.fault, Fault::ChecksThenTakes | Fault::ChecksThenRuns) {
            drop(state);
            thread::yield_now();
            state = self.state();
        }
        state.algorithm.take(now, permits);
        drop(state);
        Ok(Some(self.permit(permits)))
    }

    fn permit(&self, permits: u32) -> Permit {
        match self.state().algorithm {
            Algorithm::Semaphore(_) => Permit::new(RunPermit { limiter: self.clone(), permits }),
            Algorithm::Bucket(_) | Algorithm::Window(_) => Permit::new(()),
        }
    }
}

impl Limiter for FaultyLimiter {
    fn try_acquire(&self, request: Request) -> Result<Permit, Denied> {
        let taken = self.take(request.permits, false)?;
        taken.ok_or_else(|| self.state().refuse(Instant::now(), request.permits))
    }

    fn acquire(&self, request: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        let limiter = self.clone();
        Box::pin(async move {
            if limiter.fault == Fault::WaitsFirst {
                sleep(Duration::from_millis(1)).await;
            }
            if let Some(permit) = limiter.take(request.permits, true)? {
                return Ok(permit);
            }
            let number = limiter.state().enqueue(Instant::now(), request)?;
            if matches!(limiter.fault, Fault::SleepsElsewhere | Fault::WaitsForWhatNeverFits) {
                pending::<()>().await;
            }
            let mut waiting = Acquire { limiter, request, number, timer: None, is_answered: false };
            poll_fn(|cx| waiting.poll(cx)).await
        })
    }

    fn reserve(&self, permits: u32) -> BoxFuture<'_, Result<Settle<'_>, Denied>> {
        Box::pin(async move {
            if self.fault != Fault::TakesWhenSettled && self.take(permits, false)?.is_none() {
                return Err(self.state().refuse(Instant::now(), permits));
            }
            let at = Instant::now();
            let mut reserved = Reserved { limiter: self, permits, at, is_settled: false };
            Ok(Box::new(move |used| reserved.use_up(used)) as Settle<'_>)
        })
    }

    fn change(&self, change: Change) {
        self.state().change(Instant::now(), change);
    }
}

/// Permits whose cost is to come.
struct Reserved<'a> {
    limiter: &'a FaultyLimiter,
    permits: u32,
    at: Instant,
    is_settled: bool,
}

impl Reserved<'_> {
    fn use_up(&mut self, used: u32) {
        self.is_settled = true;
        self.limiter.state().settle(Instant::now(), (self.at, self.permits), used);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.is_settled && self.limiter.fault != Fault::SpendsWhatWasDropped {
            self.use_up(0);
        }
    }
}

/// A waiter in the queue.
struct Acquire {
    limiter: FaultyLimiter,
    request: Request,
    number: u64,
    timer: Option<Pin<Box<Sleep>>>,
    is_answered: bool,
}

impl Acquire {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Permit, Denied>> {
        loop {
            let now = Instant::now();
            let polled = self.limiter.state().poll_waiter(now, self.number, cx.waker());
            let ready_at = match polled {
                Ok(answer) => {
                    self.is_answered = true;
                    return Poll::Ready(answer.map(|()| self.limiter.permit(self.request.permits)));
                }
                Err(ready_at) => ready_at,
            };
            if self.request.deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(Err(Denied::Deadline));
            }
            let Some(at) = ready_at.into_iter().chain(self.request.deadline).min() else {
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if timer.deadline() != at {
                timer.as_mut().reset(at);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if !self.is_answered {
            self.limiter.state().cancel(Instant::now(), self.number);
        }
    }
}

/// A permit of a limit of concurrency.
struct RunPermit {
    limiter: FaultyLimiter,
    permits: u32,
}

impl Drop for RunPermit {
    fn drop(&mut self) {
        if self.limiter.fault != Fault::LosesPermitsOfPanics || !thread::panicking() {
            self.limiter.state().release(Instant::now(), self.permits);
        }
    }
}
