//! One limiter, for all who have a handle.

use std::{
    future::{pending, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use evenkeel_tck::limit::{
    Change, Denied, Limiter, Permit, Reason, Request, Reservation, Reserve, Settings, Turn,
};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::{Fault, gate::Gate, stock::Stock};

#[derive(Clone)]
pub(super) struct Door {
    fault: Fault,
    gate: Arc<Mutex<Gate>>,
}

impl Door {
    pub(super) fn new(fault: Fault, settings: &Settings) -> Self {
        Self { fault, gate: Arc::new(Mutex::new(Gate::new(fault, settings))) }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is as good as a new one.
    pub(super) fn is_full(&self) -> bool {
        match &mut self.gate().stock {
            Stock::Bucket(bucket) => bucket.is_full(Instant::now()),
            Stock::Window(_) | Stock::Slots(_) => false,
        }
    }

    /// Takes what is there now.
    fn take(&self, permits: u32, waits: bool) -> Result<Option<Permit>, Denied> {
        let now = Instant::now();
        let mut gate = self.gate();
        if !gate.admits(now, permits, waits)? {
            return Ok(None);
        }
        if matches!(self.fault, Fault::ChecksThenTakes | Fault::ChecksThenRuns) {
            drop(gate);
            thread::yield_now();
            gate = self.gate();
        }
        gate.stock.take(now, permits);
        drop(gate);
        Ok(Some(self.permit(permits)))
    }

    fn permit(&self, permits: u32) -> Permit {
        match self.gate().stock {
            Stock::Slots(_) => Permit::new(Run { door: self.clone(), permits }),
            Stock::Bucket(_) | Stock::Window(_) => Permit::new(()),
        }
    }
}

impl Limiter for Door {
    fn try_acquire(&self, request: Request) -> Result<Permit, Denied> {
        let taken = self.take(request.permits, false)?;
        taken.ok_or_else(|| self.gate().refuse(Instant::now(), request.permits))
    }

    fn acquire(&self, request: Request) -> Turn {
        let door = self.clone();
        Box::pin(async move {
            if door.fault == Fault::WaitsFirst {
                sleep(Duration::from_millis(1)).await;
            }
            if let Some(permit) = door.take(request.permits, true)? {
                return Ok(permit);
            }
            let number = door.gate().enter(Instant::now(), request)?;
            if matches!(door.fault, Fault::SleepsElsewhere | Fault::WaitsForWhatNeverFits) {
                pending::<()>().await;
            }
            let mut waiting = Waiting { door, request, number, timer: None, is_answered: false };
            poll_fn(|cx| waiting.poll(cx)).await
        })
    }

    fn reserve(&self, permits: u32) -> Reserve<'_> {
        Box::pin(async move {
            if self.fault != Fault::TakesWhenSettled && self.take(permits, false)?.is_none() {
                return Err(self.gate().refuse(Instant::now(), permits));
            }
            let at = Instant::now();
            Ok(Box::new(Reserved { door: self, permits, at, is_settled: false }) as Box<dyn Reservation>)
        })
    }

    fn change(&self, change: Change) {
        self.gate().change(Instant::now(), change);
    }
}

/// Permits whose cost is to come.
struct Reserved<'a> {
    door: &'a Door,
    permits: u32,
    at: Instant,
    is_settled: bool,
}

impl Reserved<'_> {
    fn use_up(&mut self, used: u32) {
        self.is_settled = true;
        self.door.gate().settle(Instant::now(), (self.at, self.permits), used);
    }
}

impl Reservation for Reserved<'_> {
    fn settle(mut self: Box<Self>, used: u32) {
        self.use_up(used);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.is_settled && self.door.fault != Fault::SpendsWhatWasDropped {
            self.use_up(0);
        }
    }
}

/// Somebody in the queue.
struct Waiting {
    door: Door,
    request: Request,
    number: u64,
    timer: Option<Pin<Box<Sleep>>>,
    is_answered: bool,
}

impl Waiting {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Permit, Denied>> {
        loop {
            let now = Instant::now();
            let looked = self.door.gate().look(now, self.number, cx.waker());
            let turn = match looked {
                Ok(answer) => {
                    self.is_answered = true;
                    return Poll::Ready(answer.map(|()| self.door.permit(self.request.permits)));
                }
                Err(turn) => turn,
            };
            if self.request.deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(Err(Denied::new(Reason::Deadline)));
            }
            let Some(at) = turn.into_iter().chain(self.request.deadline).min() else { return Poll::Pending };
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

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_answered {
            self.door.gate().leave(Instant::now(), self.number);
        }
    }
}

/// The right to run.
struct Run {
    door: Door,
    permits: u32,
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.door.fault != Fault::LosesPermitsOfPanics || !thread::panicking() {
            self.door.gate().give_back(Instant::now(), self.permits);
        }
    }
}
