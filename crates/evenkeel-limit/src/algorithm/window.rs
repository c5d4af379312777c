//! The sliding window: in no stretch of the rate's time are more permits granted than its number.
//!
//! # How it works
//!
//! Permits have numbers, in the order in which they were granted; a [`Grant`] remembers the last number of those that were
//! granted at one time. A reading is a count of nanoseconds. Permits up to the number `gone` count no longer: they were
//! granted a window ago, or put back. So `granted - gone` of them are in use.
//!
//! The permit with number `n` fits when the permit `n - burst` has left the window: that many nanoseconds after its
//! grant. For waiters that ask for different numbers of permits this is played through one after the other
//! ([`Window::due`]); behind single permits it is one division.
//!
//! A pause counts as a grant of all permits but one, dated at its end.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::clock::{MonotonicClock, Tokens};
use crate::{rate::Rate, sync::wait_queue::QueueAhead};

/// The grants that are remembered one by one. Beyond that, grants close to each other count as one, at the last of them.
const REMEMBERED: usize = 1024;

#[derive(Clone, Debug)]
pub(crate) struct Window {
    rate: Rate,
    burst: u32,
    clock: MonotonicClock,
    now: Tokens,
    paused_until: Tokens,
    /// The last number of the grant that stands for a pause.
    pause: Option<u64>,
    /// Permits up to this number count no longer.
    gone: u64,
    grants: VecDeque<Grant>,
}

#[derive(Clone, Copy, Debug)]
struct Grant {
    last: u64,
    at: Tokens,
    /// The time of the first of those that count as this one.
    since: Tokens,
}

impl Window {
    pub(crate) fn new(rate: Rate, burst: u32, now: Instant) -> Self {
        let clock = MonotonicClock::new(now);
        // Before the start, since a pause that ends at once counts as well.
        let paused_until = -1;
        Self { rate, burst, clock, now: 0, paused_until, pause: None, gone: 0, grants: VecDeque::new() }
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    pub(crate) fn burst(&self) -> u32 {
        self.burst
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn advance(&mut self, now: Instant) {
        self.now += Tokens::from(self.clock.advance(now));
        let (time, now) = (self.time(), self.now);
        while let Some(grant) = self.grants.front().copied().filter(|grant| grant.at + time <= now) {
            self.gone = self.gone.max(grant.last);
            self.grants.pop_front();
        }
    }

    pub(crate) fn available(&self) -> u32 {
        if self.now < self.paused_until {
            return 0;
        }
        let used = u32::try_from(self.granted() - self.gone).unwrap_or(u32::MAX);
        self.burst.saturating_sub(used)
    }

    /// Returns the reading from which on `permits` fit, behind the waiters `ahead`.
    pub(crate) fn due(&self, ahead: QueueAhead<'_>, permits: u32) -> Tokens {
        let permits = permits.min(self.burst);
        if ahead.singles {
            return self.due_behind_singles(ahead.permits, permits);
        }
        self.dues(ahead.each.chain([permits])).last().expect("the last request")
    }

    /// Returns the readings from which on each of these requests fits, one behind the other.
    pub(crate) fn dues(&self, requests: impl Iterator<Item = u32>) -> impl Iterator<Item = Tokens> {
        let (mut last, mut at) = (self.granted(), self.paused_until);
        let mut future: Vec<(u64, Tokens)> = vec![];
        requests.map(move |permits| {
            last += u64::from(permits);
            let makes_room = last.saturating_sub(self.burst.into());
            let place = future.partition_point(|(number, _)| *number < makes_room);
            let free = if makes_room > self.granted() {
                future.get(place).map(|(_, at)| *at)
            } else {
                self.granted_at(makes_room)
            };
            at = at.max(free.map_or(self.now, |free| free + self.time()));
            future.push((last, at));
            at
        })
    }

    /// Returns the same behind waiters for single permits.
    fn due_behind_singles(&self, singles: u64, permits: u32) -> Tokens {
        let burst = u64::from(self.burst);
        let makes_room = (self.granted() + singles + u64::from(permits)).saturating_sub(burst);
        // A permit that is granted a window later makes room a window later.
        let windows = makes_room.saturating_sub(self.granted()).div_ceil(burst);
        let free = self.granted_at(makes_room.saturating_sub(windows * burst));
        let first = free.map_or(self.now, |free| free + self.time()).max(self.paused_until);
        first + Tokens::from(windows) * self.time()
    }

    pub(crate) fn until(&self, reading: Tokens) -> Duration {
        Duration::from_nanos(u64::try_from((reading - self.now).max(0)).unwrap_or(u64::MAX))
    }

    pub(crate) fn spend(&mut self, permits: u32) {
        let (last, at) = (self.granted() + u64::from(permits), self.now.max(self.last_at()));
        let close = self.time() / REMEMBERED as Tokens;
        let many = self.grants.len() >= REMEMBERED;
        match self.grants.back_mut().filter(|grant| grant.at == at || many && at - grant.since < close) {
            Some(grant) => (grant.last, grant.at) = (last, at),
            None => self.grants.push_back(Grant { last, at, since: at }),
        }
    }

    /// Forgets the earliest permits: the others count at least as long as they should.
    pub(crate) fn refund(&mut self, permits: u32) {
        self.gone = (self.gone + u64::from(permits)).min(self.granted());
    }

    /// Returns the time.
    pub(crate) fn mark(&self) -> Tokens {
        self.now
    }

    /// Forgets permits that were granted at `mark`, if they still count; else others would be forgotten in their place.
    pub(crate) fn take_back(&mut self, permits: u32, mark: Tokens) {
        if self.now - mark < self.time() {
            self.refund(permits);
        }
    }

    /// Forgets permits that were not used, if they still count.
    pub(crate) fn give_back(&mut self, permits: u32, mark: Tokens) {
        self.take_back(permits, mark);
    }

    /// Does nothing: a window has no surplus.
    pub(crate) fn overflow(&mut self) {}

    /// Does nothing: a window has no fractions of permits.
    pub(crate) fn spend_tokens(&mut self, _tokens: Tokens) {}

    /// Returns the rest of the pause in force, or zero.
    pub(crate) fn paused_for(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.paused_until - self.now).unwrap_or(0))
    }

    /// Lets nothing fit for `pause`, and one permit at most at its end.
    pub(crate) fn pause(&mut self, pause: Duration) {
        let until = self.now + Tokens::from(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
        if until <= self.paused_until {
            return;
        }
        // Of two pauses only the later one counts as a grant.
        if self.grants.back().is_some_and(|grant| grant.at > self.now && Some(grant.last) == self.pause) {
            self.grants.pop_back();
        }
        self.paused_until = until;
        let last = self.granted() + u64::from(self.burst) - 1;
        self.pause = Some(last);
        self.grants.push_back(Grant { last, at: until, since: until });
    }

    pub(crate) fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
    }

    pub(crate) fn set_burst(&mut self, burst: u32) {
        self.burst = burst;
    }

    fn time(&self) -> Tokens {
        self.rate.nanos().into()
    }

    /// Returns the number of the last permit that was granted.
    fn granted(&self) -> u64 {
        self.grants.back().map_or(self.gone, |grant| grant.last.max(self.gone))
    }

    fn last_at(&self) -> Tokens {
        self.grants.back().map_or(self.now, |grant| grant.at)
    }

    /// Returns the time at which the permit with this number was granted; `None` if it counts no longer.
    fn granted_at(&self, number: u64) -> Option<Tokens> {
        let place = self.grants.partition_point(|grant| grant.last < number);
        (number > self.gone).then(|| self.grants.get(place).map(|grant| grant.at)).flatten()
    }
}
