//! The events of a pool, and the questions that rules ask of them.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::GetError;
use crate::timeline::Timeline;

/// The events of a backend, of its objects and of the callers, each with its time.
pub(crate) type Record = Timeline<Event>;

/// An event of the object with this number, or of the caller with this number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The creation of the object begins.
    Creates(u32),
    /// The object is there.
    Created(u32),
    /// The creation has ended without an object: it failed, panicked or was dropped.
    NotCreated(u32),
    /// A check of the object begins.
    Checks(u32),
    /// The check of the object passes.
    Checked(u32),
    /// The object is reset.
    Reset(u32),
    /// The object is dropped.
    Freed(u32),
    /// The caller asks for an object.
    Asked(u32),
    /// The caller (first) gets the object (second).
    Got(u32, u32),
    /// The caller gets no object.
    Denied(u32, GetError),
    /// The caller (first) returns the object (second).
    Returned(u32, u32),
    /// The pool is closed, or another step that the rule is about has ended.
    Ended,
}

impl Record {
    /// The number that `of` finds in an event, in the order of time.
    pub(crate) fn numbers(&self, of: impl Fn(&Event) -> Option<u32>) -> Vec<u32> {
        self.pick(|_, event| of(event))
    }

    /// The first time of this event.
    pub(crate) fn first(&self, wanted: &Event) -> Option<Duration> {
        self.pick(|at, event| (event == wanted).then_some(at)).first().copied()
    }

    /// The creations that were begun, and their times.
    pub(crate) fn creations(&self) -> Vec<Duration> {
        self.pick(|at, event| matches!(event, Event::Creates(_)).then_some(at))
    }

    /// The objects that were created.
    pub(crate) fn created(&self) -> Vec<u32> {
        self.numbers(|event| match event {
            Event::Created(number) => Some(*number),
            _ => None,
        })
    }

    /// The objects that were dropped.
    pub(crate) fn freed(&self) -> Vec<u32> {
        self.numbers(|event| match event {
            Event::Freed(number) => Some(*number),
            _ => None,
        })
    }

    /// The callers that got an object, in this order.
    pub(crate) fn served(&self) -> Vec<u32> {
        self.numbers(|event| match event {
            Event::Got(who, _) => Some(*who),
            _ => None,
        })
    }

    /// The time at which the caller got an object, and which.
    pub(crate) fn got(&self, caller: u32) -> Option<(Duration, u32)> {
        let got = self.pick(|at, event| match event {
            Event::Got(who, object) if *who == caller => Some((at, *object)),
            _ => None,
        });
        got.first().copied()
    }

    /// The time at which the caller got an object.
    pub(crate) fn got_at(&self, caller: u32) -> Option<Duration> {
        self.got(caller).map(|(at, _)| at)
    }

    /// The errors of the callers, and their times.
    pub(crate) fn denied(&self) -> Vec<(u32, Duration, GetError)> {
        self.pick(|at, event| match event {
            Event::Denied(who, error) => Some((*who, at, error.clone())),
            _ => None,
        })
    }

    /// The maximum of objects at a time, creations under way included.
    pub(crate) fn peak_size(&self) -> usize {
        self.peak(|event| match event {
            Event::Creates(_) => 1,
            Event::NotCreated(_) | Event::Freed(_) => -1,
            _ => 0,
        })
    }

    /// The maximum of leases at a time.
    pub(crate) fn peak_leased(&self) -> usize {
        self.peak(|event| match event {
            Event::Got(..) => 1,
            Event::Returned(..) => -1,
            _ => 0,
        })
    }

    /// The objects that are there.
    pub(crate) fn alive(&self) -> usize {
        self.created().len() - self.freed().len()
    }

    fn peak(&self, step: impl Fn(&Event) -> isize) -> usize {
        let (mut now, mut peak) = (0_isize, 0);
        for step in self.pick(|_, event| Some(step(event))) {
            now += step;
            peak = peak.max(now);
        }
        peak as usize
    }

    /// The object that two callers had at the same time.
    pub(crate) fn shared(&self) -> Option<u32> {
        let mut held: BTreeMap<u32, u32> = BTreeMap::new();
        let uses = self.pick(|_, event| match event {
            Event::Got(_, object) => Some((*object, true)),
            Event::Returned(_, object) => Some((*object, false)),
            _ => None,
        });
        uses.into_iter().find_map(|(object, begins)| {
            let users = held.entry(object).or_default();
            *users = if begins { *users + 1 } else { users.saturating_sub(1) };
            (*users > 1).then_some(object)
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Creates(number) => write!(f, "the creation of object {number} begins"),
            Self::Created(number) => write!(f, "object {number} is created"),
            Self::NotCreated(number) => write!(f, "the creation of object {number} ends without it"),
            Self::Checks(number) => write!(f, "a check of object {number} begins"),
            Self::Checked(number) => write!(f, "the check of object {number} passes"),
            Self::Reset(number) => write!(f, "object {number} is reset"),
            Self::Freed(number) => write!(f, "object {number} is dropped"),
            Self::Asked(caller) => write!(f, "caller {caller} asks"),
            Self::Got(caller, object) => write!(f, "caller {caller} gets object {object}"),
            Self::Denied(caller, error) => write!(f, "caller {caller} is told: {error}"),
            Self::Returned(caller, object) => write!(f, "caller {caller} returns object {object}"),
            Self::Ended => f.write_str("it has ended"),
        }
    }
}
