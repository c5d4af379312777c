//! How many permits were granted lately.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{
    QueueAhead,
    clock::{MonotonicClock, Tokens},
};
use crate::rate::Rate;

/// So many grants are remembered one by one; of more, those that are close to each other as one, the last.
const REMEMBERED: usize = 1024;

/// A sliding window: in no stretch of the rate's time are more permits granted than its number.
///
/// Its readings are nanoseconds, and its permits have numbers, in the order in which they were granted.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    rate: Rate,
    burst: u32,
    clock: MonotonicClock,
    now: Tokens,
    paused_until: Tokens,
    /// The number of the last permit that was taken for a pause.
    pause: Option<u64>,
    /// Those up to this number count no longer.
    gone: u64,
    grants: VecDeque<Grant>,
}

#[derive(Clone, Copy, Debug)]
struct Grant {
    /// The number of its last permit.
    last: u64,
    at: Tokens,
    /// When the first of those was that are remembered as one.
    since: Tokens,
}

impl Window {
    pub(crate) fn new(rate: Rate, burst: u32, now: Instant) -> Self {
        let clock = MonotonicClock::new(now);
        // QueueAhead it began: a pause that ends at once is one as well.
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

    /// The reading from which on `permits` fit, behind those who wait.
    pub(crate) fn due(&self, before: QueueAhead<'_>, permits: u32) -> Tokens {
        let permits = permits.min(self.burst);
        if before.singles {
            return self.due_behind(before.permits, permits);
        }
        let (mut last, mut at) = (self.granted(), self.paused_until);
        let mut future: Vec<(u64, Tokens)> = vec![];
        for permits in before.each.chain([permits]) {
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
        }
        at
    }

    /// The same where others wait for so many single permits.
    fn due_behind(&self, singles: u64, permits: u32) -> Tokens {
        let burst = u64::from(self.burst);
        let makes_room = (self.granted() + singles + u64::from(permits)).saturating_sub(burst);
        // What is granted a window later makes room a window later.
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

    /// Forgets permits, the earliest: what is left counts at least as long as it should.
    pub(crate) fn refund(&mut self, permits: u32) {
        self.gone = (self.gone + u64::from(permits)).min(self.granted());
    }

    /// The time.
    pub(crate) fn mark(&self) -> Tokens {
        self.now
    }

    /// Forgets permits that were granted at `mark`, if they still count: else others would be forgotten in their place.
    pub(crate) fn take_back(&mut self, permits: u32, mark: Tokens) {
        if self.now - mark < self.time() {
            self.refund(permits);
        }
    }

    /// The same of those that were not used.
    pub(crate) fn give_back(&mut self, permits: u32, mark: Tokens) {
        self.take_back(permits, mark);
    }

    /// It does not fill up: nothing runs over.
    pub(crate) fn overflow(&mut self) {}

    /// It has whole permits alone.
    pub(crate) fn spend_tokens(&mut self, _tokens: Tokens) {}

    /// How long a pause is still in force.
    pub(crate) fn paused_for(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.paused_until - self.now).unwrap_or(0))
    }

    /// Lets nothing fit for `pause`, and one permit at most when it is over.
    pub(crate) fn pause(&mut self, pause: Duration) {
        let until = self.now + Tokens::from(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
        if until <= self.paused_until {
            return;
        }
        // As if all but one were granted at its end; but that counts for the later pause only.
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

    /// How many permits were ever granted.
    fn granted(&self) -> u64 {
        self.grants.back().map_or(self.gone, |grant| grant.last.max(self.gone))
    }

    fn last_at(&self) -> Tokens {
        self.grants.back().map_or(self.now, |grant| grant.at)
    }

    /// When the permit with this number was granted; `None` if that counts no longer.
    fn granted_at(&self, number: u64) -> Option<Tokens> {
        let place = self.grants.partition_point(|grant| grant.last < number);
        (number > self.gone).then(|| self.grants.get(place).map(|grant| grant.at)).flatten()
    }
}
