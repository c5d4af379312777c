//! The way of an object through its seats.

use std::mem;

use tokio::time::Instant;

use super::{Place, State};
use crate::Manager;
use crate::queue::Key;

/// A seat that is taken.
pub(super) struct Taken {
    pub(super) place: Place,
    pub(super) since: Instant,
    pub(super) work: Work,
}

#[derive(Clone, Copy)]
pub(super) enum Work {
    /// A creation that waits until it may begin.
    Paused,
    /// A creation that began after so many failures.
    Creating(u32),
    /// A task checks the object; the waiter that took it may have left.
    Checking(Option<Key>),
    Held,
}

impl<M: Manager> State<M> {
    pub(super) fn seat(&mut self, place: Place, since: Instant, work: Work) -> Key {
        if let Work::Paused | Work::Creating(_) = work {
            self.creating += 1;
        }
        self.seats.push(Taken { place, since, work })
    }

    fn unseat(&mut self, seat: Key) -> Work {
        let work = self.seats.remove(seat).work;
        match work {
            Work::Paused => {
                self.creating -= 1;
                self.forgo();
            }
            Work::Creating(_) => self.creating -= 1,
            Work::Checking(waiter) => {
                self.checking -= 1;
                if let Some(waiter) = waiter {
                    self.checked_for -= 1;
                    self.waiters.get_mut(waiter).checks -= 1;
                }
            }
            Work::Held => {}
        }
        work
    }

    /// The check of the object in this seat is left to a task, for this waiter.
    pub(crate) fn check_goes_on(&mut self, seat: Key, waiter: Option<Key>) {
        self.seats.get_mut(seat).work = Work::Checking(waiter);
        self.checking += 1;
        if let Some(waiter) = waiter {
            self.checked_for += 1;
            self.waiters.get_mut(waiter).checks += 1;
        }
    }

    /// The waiter leaves the line; the checks for it go on for nobody.
    pub(super) fn forsake_checks(&mut self, waiter: Key) {
        let checks = mem::take(&mut self.waiters.get_mut(waiter).checks);
        self.checked_for -= checks;
        if checks > 0 {
            for seat in self.seats.values_mut() {
                if let Work::Checking(for_whom) = &mut seat.work {
                    *for_whom = for_whom.filter(|key| *key != waiter);
                }
            }
        }
    }

    /// An object was made in this seat.
    pub(crate) fn created(&mut self, seat: Key) {
        self.seats.get_mut(seat).work = Work::Checking(None);
        self.creating -= 1;
        self.checking += 1;
        self.counts.created += 1;
        if let Some(outdated) = self.last_failure.take() {
            self.due.rest().outdated = Some(outdated);
        }
        self.reset_backoff();
    }

    /// Gives an object that is fit for use to the first waiter, or keeps it; a closed pool refuses it.
    pub(crate) fn offer(&mut self, object: M::Object, seat: Key, now: Instant) -> Option<M::Object> {
        if self.closed {
            return Some(object);
        }
        self.unseat(seat);
        if let Some(key) = self.waiters.first() {
            let place = self.waiters.get_mut(key).place;
            let seat = self.seat(place, now, Work::Held);
            self.serve_and_wake(key, Ok((object, seat)));
        } else {
            self.idle.push(object);
        }
        None
    }

    /// Takes back an object that was used: it must pass a check before its next use. A closed pool refuses it.
    pub(crate) fn put_back(&mut self, object: M::Object, seat: Key) -> Option<M::Object> {
        if self.closed {
            return Some(object);
        }
        self.unseat(seat);
        self.idle.push(object);
        // A waiter takes what comes first, also where a task works for it.
        self.call(self.waiters.len());
        None
    }

    /// The object left the pool and lives on.
    pub(crate) fn detach(&mut self, seat: Key) {
        self.unseat(seat);
        self.counts.detached += 1;
    }

    /// The creation in this seat has failed.
    pub(crate) fn create_failed(&mut self, seat: Key, now: Instant) {
        if let Work::Creating(failures) = self.seats.get_mut(seat).work {
            self.back_off(failures, now);
        }
        self.vacate(seat);
    }

    /// The object is gone, or it never came.
    pub(crate) fn vacate(&mut self, seat: Key) {
        match self.unseat(seat) {
            Work::Paused => {}
            Work::Creating(_) => self.counts.create_failures += 1,
            Work::Checking(_) | Work::Held => self.counts.discarded += 1,
        }
    }
}
