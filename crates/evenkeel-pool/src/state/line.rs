//! The line of those who wait.

use std::mem;
use std::sync::Arc;
use std::task::Waker;

use tokio::time::Instant;

use super::{Place, State, Work};
use crate::queue::Key;
use crate::seat::{Seat, Seated};
use crate::shared::Shared;
use crate::{GetError, Manager, Timeout};

/// How many holders a [`Timeout`] names.
const NAMED: usize = 3;

pub(super) struct Waiter<M: Manager> {
    pub(super) place: Place,
    pub(super) turn: Turn<M>,
    /// How many objects that it took are checked by tasks.
    pub(super) checks: usize,
}

pub(super) enum Turn<M: Manager> {
    Waiting(Waker),
    /// It was woken, and has not come yet.
    Called,
    /// Out of line.
    Served(Served<M>),
}

/// An object with its seat, or the reason why there is none.
pub(crate) type Served<M> = Result<(<M as Manager>::Object, Key), GetError<<M as Manager>::Error>>;

/// The place in line of one getter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    key: Key,
    ahead: usize,
    since: Instant,
}

/// What a getter brings along: its waker and, for the line, a clone of it, which is made and dropped outside of the
/// lock.
pub(crate) struct Asker<'a, M: Manager> {
    pub(crate) shared: &'a Arc<Shared<M>>,
    pub(crate) waker: &'a Waker,
    clone: Option<Waker>,
}

impl<'a, M: Manager> Asker<'a, M> {
    pub(crate) fn new(shared: &'a Arc<Shared<M>>, waker: &'a Waker) -> Self {
        Self { shared, waker, clone: None }
    }

    /// Makes a clone for the next step.
    pub(crate) fn clone_waker(&mut self) {
        self.clone = Some(self.waker.clone());
    }
}

/// What a getter does next. It owns objects and seats, so that nothing is lost if a waker panics.
pub(crate) enum Step<M: Manager> {
    /// It clones its waker, and asks again.
    Clone,
    /// It checks this idle object.
    Check(Seated<M>),
    /// It starts a creation in this seat, which begins at this time if not at once, and waits.
    Create(Seat<M>, Option<Instant>),
    Wait,
    Done(Result<Seated<M>, GetError<M::Error>>),
}

impl<M: Manager> Step<M> {
    fn done(shared: &Arc<Shared<M>>, served: Served<M>) -> Self {
        Step::Done(served.map(|taken| Seated::new(shared, taken)))
    }
}

impl<M: Manager> State<M> {
    /// How many waiters have no task that works for them.
    pub(super) fn uncovered(&self) -> usize {
        self.waiters.len().saturating_sub(self.creating + self.checked_for)
    }

    /// Calls the next waiter, if fewer than so many have been called, and there is something to take for it.
    ///
    /// It calls one; should more be due, then that one calls the next when it comes or goes.
    pub(super) fn call(&mut self, wanted: usize) {
        if self.called < wanted && self.called < self.idle.len() + self.room() {
            self.call_next();
        }
    }

    #[inline(never)]
    fn call_next(&mut self) {
        let next = self.waiters.iter().find(|(_, waiter)| matches!(waiter.turn, Turn::Waiting(_)));
        if let Some((key, _)) = next
            && let Turn::Waiting(waker) = mem::replace(&mut self.waiters.get_mut(key).turn, Turn::Called)
        {
            self.called += 1;
            self.due.add(waker);
        }
    }

    /// An idle object, for one who comes new: those in line come first.
    pub(crate) fn take_idle(&mut self, place: Place, now: Instant) -> Option<(M::Object, Key)> {
        if self.waiters.len() > 0 {
            return None;
        }
        let object = self.idle.pop()?;
        Some((object, self.seat(place, now, Work::Held)))
    }

    /// The next step of a getter, which joins the line if it has to.
    pub(crate) fn step(
        &mut self,
        ticket: &mut Option<Ticket>,
        place: Place,
        now: Instant,
        asker: &mut Asker<'_, M>,
    ) -> Step<M> {
        match ticket {
            Some(Ticket { key, .. }) => match &mut self.waiters.get_mut(*key).turn {
                Turn::Waiting(last) if last.will_wake(asker.waker) => Step::Wait,
                Turn::Waiting(last) => {
                    let Some(waker) = asker.clone.take() else { return Step::Clone };
                    self.due.rest().stale = Some(mem::replace(last, waker));
                    Step::Wait
                }
                Turn::Called => self.come(*key, place, now, asker),
                Turn::Served(_) => {
                    self.leave(ticket).map_or(Step::Wait, |served| Step::done(asker.shared, served))
                }
            },
            None if self.closed => Step::Done(Err(GetError::Closed)),
            None => self.arrive(ticket, place, now, asker),
        }
    }

    fn arrive(
        &mut self,
        ticket: &mut Option<Ticket>,
        place: Place,
        now: Instant,
        asker: &mut Asker<'_, M>,
    ) -> Step<M> {
        if let Some(taken) = self.take_idle(place, now) {
            return Step::Check(Seated::new(asker.shared, taken));
        }
        let Some(waker) = asker.clone.take() else { return Step::Clone };
        self.join(ticket, place, now, waker);
        self.create_if_due(place, now, asker.shared)
    }

    /// A creation needs nobody to be called: its result goes to the first waiter, whoever starts it. What is idle is
    /// for those who are called.
    fn create_if_due(&mut self, place: Place, now: Instant, shared: &Arc<Shared<M>>) -> Step<M> {
        if self.uncovered() > self.idle.len() && self.room() > 0 {
            let (seat, next) = self.seat_creation(place, now);
            Step::Create(Seat::new(shared, seat), next)
        } else {
            Step::Wait
        }
    }

    fn join(&mut self, ticket: &mut Option<Ticket>, place: Place, now: Instant, waker: Waker) -> Key {
        let ahead = self.waiters.len();
        let key = self.waiters.push(Waiter { place, turn: Turn::Waiting(waker), checks: 0 });
        *ticket = Some(Ticket { key, ahead, since: now });
        key
    }

    /// A waiter that was called has come. It stays called until its object has passed its check.
    fn come(&mut self, key: Key, place: Place, now: Instant, asker: &mut Asker<'_, M>) -> Step<M> {
        if let Some(object) = self.idle.pop() {
            let seat = self.seat(place, now, Work::Held);
            return Step::Check(Seated::new(asker.shared, (object, seat)));
        }
        let Some(waker) = asker.clone.take() else { return Step::Clone };
        self.uncall(key, waker);
        self.create_if_due(place, now, asker.shared)
    }

    fn uncall(&mut self, key: Key, waker: Waker) {
        self.waiters.get_mut(key).turn = Turn::Waiting(waker);
        self.called -= 1;
    }

    /// A getter, in line or new, leaves the check of the object that it took to a task. It has cloned its waker.
    pub(crate) fn wait_for_check(
        &mut self,
        seat: Key,
        ticket: &mut Option<Ticket>,
        place: Place,
        now: Instant,
        asker: &mut Asker<'_, M>,
    ) -> Step<M> {
        let called = |turn: &Turn<M>| matches!(turn, Turn::Called);
        let in_line = ticket.as_ref().map(|ticket| ticket.key);
        let waits = match in_line {
            Some(key) => called(&self.waiters.get_mut(key).turn),
            None => !self.closed,
        };
        if !waits {
            // It was served while it was busy, or told that all is over.
            self.check_goes_on(seat, None);
            return self.step(ticket, place, now, asker);
        }
        let waker = asker.clone.take().expect("the clone of the waker is made before");
        let key = match in_line {
            Some(key) => {
                self.uncall(key, waker);
                key
            }
            None => self.join(ticket, place, now, waker),
        };
        self.check_goes_on(seat, Some(key));
        Step::Wait
    }

    /// Ends the wait of a getter, whether it got something or gave up. What it was called to goes to the next; what it
    /// was served is given to the caller.
    pub(crate) fn leave(&mut self, ticket: &mut Option<Ticket>) -> Option<Served<M>> {
        let key = ticket.take()?.key;
        self.forsake_checks(key);
        match self.waiters.remove(key).turn {
            Turn::Served(served) => return Some(served),
            Turn::Waiting(waker) => self.due.rest().stale = Some(waker),
            Turn::Called => {
                self.called -= 1;
                self.call(self.waiters.len());
            }
        }
        None
    }

    /// Ends the wait of a getter whose time is up, with a report, or with what came in the last moment.
    pub(crate) fn expire(&mut self, ticket: &mut Option<Ticket>, now: Instant) -> Served<M> {
        let Some(Ticket { ahead, since, .. }) = *ticket else {
            unreachable!("only who waits runs out of time")
        };
        self.leave(ticket).unwrap_or_else(|| {
            self.counts.timeouts += 1;
            Err(GetError::Timeout(Box::new(Timeout {
                waited: now.saturating_duration_since(since),
                ahead,
                snapshot: self.snapshot(),
                holders: self.holders(now).take(NAMED).collect(),
                last_failure: self.last_failure.as_ref().map(|failure| failure.text.clone()),
                cause: self.last_failure.as_ref().map(|failure| Arc::clone(&failure.error)),
            })))
        })
    }

    /// Takes a waiter out of line, and gives its waker unless it was called, and so woken, already.
    pub(super) fn serve(&mut self, key: Key, served: Served<M>) -> Option<Waker> {
        self.forsake_checks(key);
        self.waiters.retire(key);
        match mem::replace(&mut self.waiters.get_mut(key).turn, Turn::Served(served)) {
            Turn::Waiting(waker) => return Some(waker),
            Turn::Called => self.called -= 1,
            Turn::Served(_) => unreachable!("it would not be in line"),
        }
        None
    }

    pub(super) fn serve_and_wake(&mut self, key: Key, served: Served<M>) {
        if let Some(waker) = self.serve(key, served) {
            self.due.add(waker);
        }
    }

    /// How many wait while there is no object that could come to them.
    pub(crate) fn waiting_in_vain(&self) -> usize {
        if self.size() == self.creating { self.waiters.len() } else { 0 }
    }

    /// Gives an error to the first waiter, or back.
    pub(crate) fn fail(&mut self, error: GetError<M::Error>) -> Option<GetError<M::Error>> {
        let Some(key) = self.waiters.first() else { return Some(error) };
        self.serve_and_wake(key, Err(error));
        None
    }
}
