//! What says when permits are there.

use std::time::Duration;

use tokio::time::Instant;

use self::{bucket::Bucket, clock::Tokens, window::Window};
use crate::rate::Rate;

pub(crate) mod bucket;
pub(crate) mod clock;
pub(crate) mod window;

/// The policy of a limiter. Its readings grow with time, and turns are due at them.
#[derive(Debug)]
pub(crate) struct Algorithm {
    policy: Policy,
    /// While it is paused, what it would be if it were not: to that it goes back if the pause is lifted.
    unpaused: Option<Box<Policy>>,
}

#[derive(Clone, Debug)]
enum Policy {
    Bucket(Bucket),
    Window(Window),
}

/// How a pause combines with one that is in force.
#[derive(Clone, Copy)]
pub(crate) enum PauseMode {
    /// The one that ends later counts.
    KeepLonger,
    /// The new one counts.
    Replace,
}

/// Those who wait in front of a request.
pub(crate) struct QueueAhead<'a> {
    pub(crate) permits: u64,
    /// Whether each of them asks for exactly one.
    pub(crate) singles: bool,
    /// The permits of each.
    pub(crate) each: &'a mut dyn Iterator<Item = u32>,
}

impl QueueAhead<'_> {
    /// Gives nobody to `with`.
    pub(crate) fn empty<T>(with: impl FnOnce(QueueAhead<'_>) -> T) -> T {
        with(QueueAhead { permits: 0, singles: true, each: &mut std::iter::empty() })
    }
}

macro_rules! either {
    ($policy:expr, $either:ident => $result:expr) => {
        match $policy {
            Policy::Bucket($either) => $result,
            Policy::Window($either) => $result,
        }
    };
}

/// The same for the one that is not paused, too.
macro_rules! each {
    ($algorithm:expr, $either:ident => $result:expr) => {{
        either!(&mut $algorithm.policy, $either => $result);
        if let Some(unpaused) = &mut $algorithm.unpaused {
            either!(&mut **unpaused, $either => $result);
        }
    }};
}

impl From<Bucket> for Algorithm {
    fn from(bucket: Bucket) -> Self {
        Self { policy: Policy::Bucket(bucket), unpaused: None }
    }
}

impl From<Window> for Algorithm {
    fn from(window: Window) -> Self {
        Self { policy: Policy::Window(window), unpaused: None }
    }
}

impl Algorithm {
    pub(crate) fn bucket(&self) -> Option<&Bucket> {
        match &self.policy {
            Policy::Bucket(bucket) => Some(bucket),
            Policy::Window(_) => None,
        }
    }

    /// The bucket of one that is not paused.
    pub(crate) fn bucket_mut(&mut self) -> Option<&mut Bucket> {
        match &mut self.policy {
            Policy::Bucket(bucket) => Some(bucket),
            Policy::Window(_) => None,
        }
    }

    pub(crate) fn rate(&self) -> Rate {
        either!(&self.policy, policy => policy.rate())
    }

    pub(crate) fn burst(&self) -> u32 {
        either!(&self.policy, policy => policy.burst())
    }

    /// The instant to which it was moved.
    pub(crate) fn now(&self) -> Instant {
        either!(&self.policy, policy => policy.now())
    }

    #[inline]
    pub(crate) fn advance(&mut self, now: Instant) {
        each!(self, policy => policy.advance(now));
        if self.unpaused.is_some() && self.paused_for().is_zero() {
            self.unpaused = None;
        }
    }

    /// Forgets what has been earned since it was full, when nobody waits.
    #[inline]
    pub(crate) fn overflow(&mut self) {
        each!(self, policy => policy.overflow());
    }

    pub(crate) fn available(&self) -> u32 {
        either!(&self.policy, policy => policy.available())
    }

    /// The reading from which on `permits` fit, behind those who wait. More than the burst fit when it is full.
    pub(crate) fn due(&self, before: QueueAhead<'_>, permits: u32) -> Tokens {
        match &self.policy {
            Policy::Bucket(bucket) => bucket.due(before.permits, permits),
            Policy::Window(window) => window.due(before, permits),
        }
    }

    /// Whether it grants so many now.
    pub(crate) fn fits(&self, permits: u32) -> bool {
        match &self.policy {
            Policy::Bucket(bucket) => bucket.fits(permits),
            Policy::Window(window) => permits <= window.available(),
        }
    }

    /// The time until a reading is due, and no pause is in force.
    pub(crate) fn until(&self, reading: Tokens) -> Duration {
        either!(&self.policy, policy => policy.until(reading))
    }

    #[inline]
    pub(crate) fn spend(&mut self, permits: u32) {
        each!(self, policy => policy.spend(permits));
    }

    /// Spends parts of permits; none of a window.
    pub(crate) fn spend_tokens(&mut self, tokens: Tokens) {
        each!(self, policy => policy.spend_tokens(tokens));
    }

    /// Puts back what was spent, up to the brim.
    pub(crate) fn refund(&mut self, permits: u32) {
        each!(self, policy => policy.refund(permits));
    }

    /// What is to be known of a grant, right after it, when it comes back.
    pub(crate) fn mark(&self) -> Tokens {
        either!(&self.policy, policy => policy.mark())
    }

    /// Puts back what was spent for nobody: no more than there would be if it had not been spent.
    pub(crate) fn take_back(&mut self, permits: u32, mark: Tokens) {
        each!(self, policy => policy.take_back(permits, mark));
    }

    /// Puts back what was spent and not used, up to the brim, if it still counts.
    pub(crate) fn give_back(&mut self, permits: u32, mark: Tokens) {
        each!(self, policy => policy.give_back(permits, mark));
    }

    /// How long a pause is still in force.
    pub(crate) fn paused_for(&self) -> Duration {
        either!(&self.policy, policy => policy.paused_for())
    }

    /// Lets nothing fit for `pause`, and one permit at most when it is over.
    pub(crate) fn pause(&mut self, pause: Duration, how: PauseMode) {
        match (&self.unpaused, how) {
            (None, _) => self.unpaused = Some(Box::new(self.policy.clone())),
            (Some(unpaused), PauseMode::Replace) => self.policy = Policy::clone(unpaused),
            (Some(_), PauseMode::KeepLonger) => {}
        }
        either!(&mut self.policy, policy => policy.pause(pause));
    }

    /// Ends a pause, as if it had been meant to last until now.
    pub(crate) fn resume(&mut self) {
        if let Some(unpaused) = self.unpaused.take() {
            self.policy = *unpaused;
            either!(&mut self.policy, policy => policy.pause(Duration::ZERO));
        }
    }

    pub(crate) fn set_rate(&mut self, rate: Rate) {
        each!(self, policy => policy.set_rate(rate));
    }

    pub(crate) fn set_burst(&mut self, burst: u32) {
        each!(self, policy => policy.set_burst(burst));
    }
}
