//! The two clocks of a connection, in step.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use evenkeel_base::lock;
use tokio::time::{Instant, advance, sleep_until};

use super::{
    super::wire::{Members, Object},
    Link,
};
use crate::agenda;

/// How long the adapter may run on where the suite has set no timer.
const STRETCH: Duration = Duration::from_secs(60 * 60);

/// After so many of these without an event nothing is expected any more: the world may find its deadlock.
const STRETCHES: u32 = 1000;

const MILLISECOND: u128 = 1_000_000;

impl Link {
    /// Keeps the two clocks in step until the link is closed, or the adapter is found wanting.
    pub(crate) async fn drive(&self) {
        let mut silent = 0;
        loop {
            // Twice: who waits for the same rest may act when it comes.
            self.world.settle().await;
            self.world.settle().await;
            if self.stops() {
                return;
            }
            let now = Instant::now();
            let due = agenda::next_after(now).into_iter().chain(self.world.drains_until()).min();
            let due = due.map(|at| whole_after(self.time_of(at)));
            let has_said = !lock(&self.state).queue.is_empty();
            if due.is_none() && !has_said && silent >= STRETCHES {
                self.said.notified().await;
                continue;
            }
            let until = due.unwrap_or_else(|| self.time_of(now) + STRETCH);
            let Some((at, events)) = self.turn(Some(until)) else { return };
            if self.spins(at) {
                return;
            }
            silent = if due.is_some() || has_said || !events.is_empty() { 0 } else { silent + 1 };
            self.reach(at).await;
            self.tell_in_turn(events).await;
        }
    }

    /// Tells events to their handlers. The owner of what has ended sees that before the events that follow it.
    async fn tell_in_turn(&self, mut events: Vec<Object>) {
        while let Some(end) = events.iter().position(|event| event.text("event") == Ok("end")) {
            let later = events.split_off(end + 1);
            self.tell(events);
            events = later;
            if !events.is_empty() {
                self.world.settle().await;
            }
        }
        self.tell(events);
    }

    async fn until_closed(&self) {
        while !lock(&self.state).is_closed {
            self.closed.notified().await;
        }
    }

    /// Whether it is not to be driven any more.
    fn stops(&self) -> bool {
        let mut state = lock(&self.state);
        state.is_driven = !state.is_closed;
        state.is_closed
    }

    /// Moves the clock of the world to this time, rounded to the microsecond: timers of floats have no more.
    async fn reach(&self, at: Duration) {
        let at = Duration::from_micros(((at.as_nanos() + 500) / 1000).try_into().unwrap_or(u64::MAX));
        // Tokio's timers are whole milliseconds, by which its clock moves on from where it is.
        let now = self.time_of(Instant::now());
        let millis = (now.as_millis() + at.saturating_sub(now).as_millis()).try_into().unwrap_or(u64::MAX);
        let whole = self.start + Duration::from_millis(millis);
        if whole > Instant::now() {
            let (mut timer, mut closed) = (pin!(sleep_until(whole)), pin!(self.until_closed()));
            let is_closed = poll_fn(|cx| {
                if closed.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(true);
                }
                timer.as_mut().poll(cx).map(|()| false)
            });
            if is_closed.await {
                return;
            }
        }
        let rest = (self.start + at).saturating_duration_since(Instant::now());
        if !rest.is_zero() {
            self.world.settle().await;
            advance(rest).await;
        }
    }
}

/// The millisecond at which a timer for this time fires.
fn whole_after(time: Duration) -> Duration {
    Duration::from_millis(time.as_nanos().div_ceil(MILLISECOND).try_into().unwrap_or(u64::MAX))
}
