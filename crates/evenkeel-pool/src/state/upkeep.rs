//! The upkeep of a pool: idle objects that are missing, too old, or too long idle, and leases that last too long.
//!
//! # How it works
//!
//! A pool with such a setting has one task (`crate::upkeep`), which sleeps until the next time at which there is something to do, and is
//! told when there is something earlier. It does not keep the pool alive. If its runtime ends, the next caller that has to
//! wait starts another one; objects are also judged when they are taken and returned, so that a task that is late costs
//! nothing but the idle objects that should be there.
//!
//! An object that expires soon does not count as idle, so the one that replaces it is made before it is dropped; above
//! `max` none is made, and then the room is used when it is gone.

use std::{mem, panic::Location, sync::Arc};

use evenkeel_base::Random;
use tokio::time::Instant;

use super::{
    State,
    shared::Shared,
    slot::{IdleObject, NewSlot, PooledObject},
    slots::SlotUse,
};
use crate::{DiscardReason, Holder, Manager, limits::Limits};

/// A tenth of a lifetime is random, and at most a tenth before its end an object is replaced.
const JITTER: u32 = 10;

/// The task of a pool, as its state knows it.
#[derive(Default)]
pub(super) struct Upkeep {
    /// Whether the task is running.
    is_running: bool,
    /// The time at which it has something to do.
    next: Option<Instant>,
    /// Whether it was told to look earlier.
    is_told: bool,
    /// The time at which it was started.
    started: Option<Instant>,
}

/// The work that the upkeep finds.
pub(crate) struct UpkeepWork<M: Manager> {
    pub(crate) outdated: Vec<(IdleObject<M>, DiscardReason)>,
    pub(crate) creations: Vec<NewSlot<M>>,
    pub(crate) held_long: Vec<Holder>,
    /// The time at which there is something more to do.
    pub(crate) next: Option<Instant>,
}

/// Returns the time at which an object that is made now expires: drawn once, so that those made together do not expire
/// together.
pub(super) fn expiry(limits: &Limits, now: Instant) -> Option<Instant> {
    let lifetime = limits.max_lifetime?;
    let random = Random::new().number(0) >> 32;
    let less = (lifetime / JITTER).mul_f64(random as f64 / f64::from(u32::MAX));
    now.checked_add(lifetime - less)
}

impl<M: Manager> PooledObject<M> {
    /// Returns whether its lifetime is over.
    #[inline]
    pub(crate) fn has_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// Returns the time from which it is replaced.
    fn replaced_from(&self, limits: &Limits) -> Option<Instant> {
        let lead = limits.max_lifetime.unwrap_or_default() / JITTER;
        self.expires.map(|at| at.checked_sub(lead.min(limits.create_timeout)).unwrap_or(at))
    }

    /// Returns the time at which it has been idle for too long.
    fn idle_until(&self, limits: &Limits) -> Option<Instant> {
        self.idle_since?.checked_add(limits.idle_timeout?)
    }
}

impl<M: Manager> State<M> {
    /// Returns whether idle objects are missing that may be created, if there are so many that last.
    fn lacks_idle(&self, lasting: usize) -> bool {
        let coming = self.slots.creating.saturating_sub(self.waiters.len());
        !self.closed && lasting + coming < self.limits.min_idle && self.allowed_creations() > 0
    }

    /// Tells the task if there is something to do before the time for which it sleeps.
    fn tell_upkeep(&mut self, at: Option<Instant>) {
        let is_earlier = at.is_some_and(|at| self.upkeep.next.is_none_or(|next| at < next));
        if is_earlier && self.upkeep.is_running && !self.upkeep.is_told {
            self.upkeep.is_told = true;
            self.deferred.rare().upkeep = true;
        }
    }

    /// Tells the task that idle objects are missing, if they are.
    pub(super) fn tell_of_missing(&mut self) {
        if self.limits.min_idle > 0 && self.lacks_idle(self.idle.len()) {
            // At once: an instant that is earlier than all that it can wait for.
            self.tell_upkeep(self.upkeep.started);
        }
    }

    /// Tells the task of an object that is idle from now on.
    pub(super) fn tell_of_idle(&mut self) {
        let limits = &self.limits;
        let expires = self.idle.back().and_then(|pooled| pooled.replaced_from(limits));
        // The one in front has been idle for the longest time.
        let idle = self.idle.front().filter(|_| self.idle.len() > limits.min_idle);
        let idle_until = idle.and_then(|pooled| pooled.idle_until(limits));
        self.tell_upkeep(expires.into_iter().chain(idle_until).min());
    }

    /// Tells the task of a lease that began.
    pub(super) fn tell_of_lease(&mut self) {
        if let Some(limit) = self.limits.hold_warning {
            // It began at the last reading of the clock; the task knows of those before.
            self.tell_upkeep(self.slots.last_reading().and_then(|since| since.checked_add(limit)));
        }
        self.tell_of_missing();
    }

    pub(crate) fn keep_up(&mut self, shared: &Arc<Shared<M>>, now: Instant) -> UpkeepWork<M> {
        let limits = self.limits;
        let (mut outdated, mut lasting, mut next) = (Vec::new(), 0, None::<Instant>);
        let mut look_at = |at: Option<Instant>| next = next.into_iter().chain(at).min();
        let mut surplus = self.idle.len().saturating_sub(limits.min_idle);
        // The object that has been idle for the longest time is in front.
        for pooled in mem::take(&mut self.idle) {
            let idle_until = pooled.idle_until(&limits).filter(|_| surplus > 0);
            let reason = match idle_until {
                _ if pooled.has_expired(now) => DiscardReason::Expired,
                Some(at) if at <= now => DiscardReason::Idle,
                _ => {
                    let replaced_from = pooled.replaced_from(&limits);
                    lasting += usize::from(replaced_from.is_none_or(|at| at > now));
                    look_at(replaced_from.filter(|at| *at > now).or(pooled.expires));
                    look_at(idle_until);
                    self.idle.push_back(pooled);
                    continue;
                }
            };
            surplus = surplus.saturating_sub(1);
            self.slots.set_use(pooled.idle_slot, SlotUse::Drop);
            outdated.push((pooled, reason));
        }
        let mut creations = Vec::new();
        while self.lacks_idle(lasting) {
            creations.push(self.begin(Location::caller(), shared));
        }
        let held_long = self.slots.warn(&limits, now);
        look_at(self.slots.next_warning(&limits));
        (self.upkeep.next, self.upkeep.is_told) = (next, false);
        UpkeepWork { outdated, creations, held_long, next }
    }
}

impl<M: Manager> State<M> {
    /// Records that the task is started, unless it is running or not needed any more.
    pub(crate) fn start_upkeep(&mut self, now: Instant) -> bool {
        let starts = !self.closed && !mem::replace(&mut self.upkeep.is_running, true);
        if starts {
            self.upkeep.started = Some(now);
        }
        starts
    }

    /// Records that the task has ended.
    pub(crate) fn end_upkeep(&mut self) {
        self.upkeep = Upkeep::default();
    }
}
