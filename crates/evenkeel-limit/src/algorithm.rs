//! The arithmetic of a rate limit: which permits there are, and when more of them are due.
//!
//! An [`Algorithm`] is a token bucket ([`bucket`]) or a sliding window ([`window`]), on a clock that is moved by hand
//! ([`clock`]). It knows no lock, waiter or timer. Times are *readings* of its clock, which only grow; a turn is due at a
//! reading, and [`Algorithm::until`] says how long that takes at the present rate.

use std::time::Duration;

use tokio::time::Instant;

use self::{bucket::Bucket, clock::Tokens, window::Window};
use crate::{rate::Rate, sync::wait_queue::QueueAhead};

pub(crate) mod bucket;
pub(crate) mod clock;
pub(crate) mod window;

#[derive(Clone, Debug)]
pub(crate) struct Algorithm {
    kind: Kind,
    /// During a pause, the state that it would have without it: `resume` goes back to that.
    unpaused: Option<Box<Kind>>,
}

#[derive(Clone, Debug)]
enum Kind {
    Bucket(Bucket),
    Window(Window),
}

/// The effect of a pause on one that is in force.
#[derive(Clone, Copy)]
pub(crate) enum PauseMode {
    /// The pause that ends later counts.
    KeepLonger,
    /// The new pause counts.
    Replace,
}

/// Does the same with a bucket or a window.
macro_rules! dispatch {
    ($kind:expr, $inner:ident => $result:expr) => {
        match $kind {
            Kind::Bucket($inner) => $result,
            Kind::Window($inner) => $result,
        }
    };
}

/// Does the same with the state in force and, during a pause, with the state without it.
macro_rules! dispatch_both {
    ($algorithm:expr, $inner:ident => $result:expr) => {{
        dispatch!(&mut $algorithm.kind, $inner => $result);
        if let Some(unpaused) = &mut $algorithm.unpaused {
            dispatch!(&mut **unpaused, $inner => $result);
        }
    }};
}

impl Algorithm {
    pub(crate) fn bucket_of(rate: Rate, burst: u32, now: Instant) -> Self {
        Self { kind: Kind::Bucket(Bucket::full(rate, burst, now)), unpaused: None }
    }

    pub(crate) fn window_of(rate: Rate, burst: u32, now: Instant) -> Self {
        Self { kind: Kind::Window(Window::new(rate, burst, now)), unpaused: None }
    }

    pub(crate) fn bucket(&self) -> Option<&Bucket> {
        match &self.kind {
            Kind::Bucket(bucket) => Some(bucket),
            Kind::Window(_) => None,
        }
    }

    /// Returns the bucket of a limiter that is not paused: the state without the pause does not follow.
    pub(crate) fn bucket_mut(&mut self) -> Option<&mut Bucket> {
        match &mut self.kind {
            Kind::Bucket(bucket) => Some(bucket),
            Kind::Window(_) => None,
        }
    }

    pub(crate) fn rate(&self) -> Rate {
        dispatch!(&self.kind, inner => inner.rate())
    }

    pub(crate) fn burst(&self) -> u32 {
        dispatch!(&self.kind, inner => inner.burst())
    }

    /// Returns the instant of the last `advance`.
    pub(crate) fn now(&self) -> Instant {
        dispatch!(&self.kind, inner => inner.now())
    }

    #[inline]
    pub(crate) fn advance(&mut self, now: Instant) {
        dispatch_both!(self, inner => inner.advance(now));
        if self.unpaused.is_some() && self.paused_for().is_zero() {
            self.unpaused = None;
        }
    }

    /// Forgets the permits that were earned beyond the burst, when nobody waits.
    #[inline]
    pub(crate) fn overflow(&mut self) {
        dispatch_both!(self, inner => inner.overflow());
    }

    pub(crate) fn available(&self) -> u32 {
        dispatch!(&self.kind, inner => inner.available())
    }

    /// Returns the reading from which on `permits` fit, behind the waiters `ahead`. More than the burst fit when it is full.
    pub(crate) fn due(&self, ahead: QueueAhead<'_>, permits: u32) -> Tokens {
        match &self.kind {
            Kind::Bucket(bucket) => bucket.due(ahead.permits, permits),
            Kind::Window(window) => window.due(ahead, permits),
        }
    }

    /// Returns the times until each of these requests is due, one behind the other, and no pause is in force.
    #[cfg(feature = "inspect")]
    pub(crate) fn turns(&self, requests: impl Iterator<Item = u32>) -> Vec<Duration> {
        match &self.kind {
            Kind::Bucket(bucket) => {
                let mut ahead = 0;
                let due = |permits| {
                    let due = bucket.due(ahead, permits);
                    ahead += u64::from(permits);
                    bucket.until(due)
                };
                requests.map(due).collect()
            }
            Kind::Window(window) => window.dues(requests).map(|due| window.until(due)).collect(),
        }
    }

    /// Returns whether `permits` can be granted now.
    pub(crate) fn fits(&self, permits: u32) -> bool {
        match &self.kind {
            Kind::Bucket(bucket) => bucket.fits(permits),
            Kind::Window(window) => permits <= window.available(),
        }
    }

    /// Returns the time until a reading is due, and no pause is in force.
    pub(crate) fn until(&self, reading: Tokens) -> Duration {
        dispatch!(&self.kind, inner => inner.until(reading))
    }

    #[inline]
    pub(crate) fn spend(&mut self, permits: u32) {
        dispatch_both!(self, inner => inner.spend(permits));
    }

    /// Spends fractions of permits; a window has none, and spends nothing.
    pub(crate) fn spend_tokens(&mut self, tokens: Tokens) {
        dispatch_both!(self, inner => inner.spend_tokens(tokens));
    }

    /// Puts spent permits back, up to the burst.
    pub(crate) fn refund(&mut self, permits: u32) {
        dispatch_both!(self, inner => inner.refund(permits));
    }

    /// Returns the mark of a grant, right after it: the position to which its permits can be put back.
    pub(crate) fn mark(&self) -> Tokens {
        dispatch!(&self.kind, inner => inner.mark())
    }

    /// Puts back the permits of a grant that was never observed: no more than there would be had they not been spent.
    pub(crate) fn take_back(&mut self, permits: u32, mark: Tokens) {
        dispatch_both!(self, inner => inner.take_back(permits, mark));
    }

    /// Puts back permits that were granted and not used, up to the burst, if they still count.
    pub(crate) fn give_back(&mut self, permits: u32, mark: Tokens) {
        dispatch_both!(self, inner => inner.give_back(permits, mark));
    }

    /// Returns the rest of the pause in force, or zero.
    pub(crate) fn paused_for(&self) -> Duration {
        dispatch!(&self.kind, inner => inner.paused_for())
    }

    /// Lets nothing fit for `pause`, and one permit at most at its end.
    pub(crate) fn pause(&mut self, pause: Duration, mode: PauseMode) {
        match (&self.unpaused, mode) {
            (None, _) => self.unpaused = Some(Box::new(self.kind.clone())),
            (Some(unpaused), PauseMode::Replace) => self.kind = Kind::clone(unpaused),
            (Some(_), PauseMode::KeepLonger) => {}
        }
        dispatch!(&mut self.kind, inner => inner.pause(pause));
    }

    /// Ends a pause as if it had been set to end now.
    pub(crate) fn resume(&mut self) {
        if let Some(unpaused) = self.unpaused.take() {
            self.kind = *unpaused;
            dispatch!(&mut self.kind, inner => inner.pause(Duration::ZERO));
        }
    }

    pub(crate) fn set_rate(&mut self, rate: Rate) {
        dispatch_both!(self, inner => inner.set_rate(rate));
    }

    pub(crate) fn set_burst(&mut self, burst: u32) {
        dispatch_both!(self, inner => inner.set_burst(burst));
    }
}
