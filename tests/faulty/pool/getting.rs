//! The future of a get.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    thread,
};

use evenkeel_tck::pool::{GetError, Lease};
use tokio::{
    task::{self, coop},
    time::{Duration, Instant, Sleep, sleep_until},
};

use super::{
    Fault,
    lease::Leased,
    shared::Shared,
    state::{Effects, Entry, State},
};

pub(super) struct Getting {
    shared: Arc<Shared>,
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    ticket: Option<u64>,
    is_over: bool,
}

impl Getting {
    pub(super) fn new(shared: &Arc<Shared>, deadline: Option<Instant>) -> Self {
        let deadline = deadline.filter(|_| shared.fault != Fault::IgnoresDeadlines);
        let mut getting =
            Self { shared: shared.clone(), deadline, timer: None, ticket: None, is_over: false };
        if shared.fault == Fault::WaitsWhenItIsMade {
            getting.ticket = Some(shared.update(|state, _| {
                let ticket = state.ticket();
                state.enqueue(ticket, Waker::noop());
                ticket
            }));
        }
        getting
    }

    fn over(&mut self, answer: Result<Entry, GetError>) -> Result<Box<dyn Lease>, GetError> {
        self.is_over = true;
        let ticket = self.ticket.unwrap_or_default();
        answer.map(|entry| Box::new(Leased::new(&self.shared, entry, ticket)) as Box<dyn Lease>)
    }

    /// Leaves the queue.
    fn leave(&self, state: &mut State, ticket: u64, effects: &mut Effects) {
        let fault = self.shared.fault;
        if let Some(Ok(entry)) = state.served.remove(&ticket) {
            state.leases.remove(&ticket);
            match fault {
                // It stays counted.
                Fault::KeepsTheSlotOfADroppedGet => drop(entry),
                Fault::LosesARoomInFive if ticket.is_multiple_of(5) => drop(entry),
                Fault::IdlesWhatWasOnItsWay => {
                    state.idle.push_back(entry);
                    state.is_stuck = true;
                }
                _ => state.deliver(entry, effects),
            }
        }
        if state.waiters.iter().any(|waiter| waiter.ticket == ticket) {
            state.left += 1;
            if fault != Fault::KeepsThePlaceOfADroppedGet {
                state.waiters.retain(|waiter| waiter.ticket != ticket);
            }
        }
        for (of, is_check, task) in &state.tasks {
            let cuts = match fault {
                Fault::CutsCreations => !is_check,
                Fault::LosesTheRoomOfACheck | Fault::DropsWhatIsChecked => *is_check,
                _ => false,
            };
            if cuts && *of == ticket {
                task.abort();
            }
        }
    }

    /// Takes the object of another caller that has not been polled since it was served.
    fn overtake(&self, state: &mut State, ticket: u64) {
        let Some(other) = state.served.keys().copied().find(|other| *other != ticket) else { return };
        if let Some(answer) = state.served.remove(&other) {
            state.leases.remove(&other);
            state.enqueue(other, Waker::noop());
            state.served.insert(ticket, answer);
        }
    }

    fn timeout(&mut self, now: Instant) -> Option<Instant> {
        let limit = self.shared.settings.acquire_timeout;
        if self.shared.fault == Fault::CutsLateDeadlines {
            self.deadline = self.deadline.into_iter().chain(limit.map(|limit| now + limit)).min();
        }
        let late =
            if self.shared.fault == Fault::TimesOutLate { Duration::from_secs(1) } else { Duration::ZERO };
        if self.deadline.is_none() {
            self.deadline = limit.map(|limit| now + limit + late);
        }
        self.deadline
    }
}

impl Future for Getting {
    type Output = Result<Box<dyn Lease>, GetError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let shared = self.shared.clone();
        let fault = shared.fault;
        let coop = match fault {
            Fault::HogsTheThread => None,
            _ => Some(ready!(coop::poll_proceed(cx))),
        };
        let is_first = self.ticket.is_none();
        let deadline = self.timeout(Instant::now());
        let is_past = deadline.is_some_and(|deadline| deadline <= Instant::now());
        if is_past
            && fault == Fault::LosesAnObjectToATimeout
            && let Some(ticket) = self.ticket
            && let Some(Ok(entry)) = shared.state().served.remove(&ticket)
        {
            // It stays counted.
            drop(entry);
            return Poll::Ready(self.over(Err(GetError::Timeout(None))));
        }
        if is_first && is_past && fault == Fault::RefusesAPastDeadline {
            return Poll::Ready(self.over(Err(GetError::Timeout(None))));
        }
        let ticket = self.ticket.unwrap_or_else(|| shared.state().ticket());
        self.ticket = Some(ticket);
        let answer = |state: &mut State| {
            if state.is_closed && is_first && fault != Fault::LendsWhenClosed {
                return Some(Err(GetError::Closed));
            }
            state.served.remove(&ticket)
        };
        if fault == Fault::ChecksThenCreates {
            let has_room = shared.update(|state, _| state.size < state.limit());
            // Another thread may take the room now.
            (0..1000).for_each(|_| thread::yield_now());
            if has_room {
                shared.update(|state, effects| state.begin_creation(ticket, effects));
            }
        }
        let first = shared.update(|state, _| {
            if is_first && fault == Fault::LetsNewcomersOvertake {
                self.overtake(state, ticket);
            }
            let answer = answer(state);
            if answer.is_none() {
                state.enqueue(ticket, cx.waker());
            }
            answer
        });
        // It may have been served at once.
        let answer = first.or_else(|| shared.update(|state, _| answer(state)));
        if let Some(answer) = answer {
            coop.inspect(|coop| coop.made_progress());
            return Poll::Ready(self.over(answer));
        }
        if shared.state().is_deadlock(task::try_id()) {
            shared.update(|state, effects| self.leave(state, ticket, effects));
            return Poll::Ready(self.over(Err(GetError::Deadlock)));
        }
        let Some(deadline) = deadline else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        while timer.as_mut().poll(cx).is_ready() {
            let mut state = shared.state();
            if fault == Fault::ForgetsTheTimeInChecks && state.checking > 0 {
                timer.as_mut().reset(Instant::now() + Duration::from_secs(1));
                continue;
            }
            if state.is_stuck {
                return Poll::Pending;
            }
            let cause = state.last_error.clone().filter(|_| fault != Fault::HidesTheCause);
            state.waiters.retain(|waiter| waiter.ticket != ticket);
            drop(state);
            return Poll::Ready(self.over(Err(GetError::Timeout(cause))));
        }
        Poll::Pending
    }
}

impl Drop for Getting {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.filter(|_| !self.is_over) {
            self.shared.update(|state, effects| self.leave(state, ticket, effects));
        }
    }
}
