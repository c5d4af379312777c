//! The events of a limiter.

use std::{fmt, time::Duration};

use super::{Change, Denied};
use crate::timeline::Timeline;

/// The requests made of a limiter, each with its time.
pub(crate) type Record = Timeline<Event>;

/// An event of a request. Requests that do not wait have number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The future of a request for this number of permits was polled for the first time.
    Asked(u32, u32),
    /// This number of permits was granted.
    Granted(u32, u32),
    Refused(u32, Denied),
    /// The granted permits were given back.
    Freed(u32),
    /// A reservation (first number) was settled with this number of used permits (second number).
    Settled(u32, u32),
    Changed(Change),
}

impl Record {
    /// The times at which waiters were served.
    pub(crate) fn turns(&self) -> Vec<Duration> {
        self.pick(|at, event| matches!(event, Event::Granted(1.., _)).then_some(at))
    }

    /// The waiters, in the order of their arrival.
    pub(crate) fn came(&self) -> Vec<u32> {
        self.pick(|_, event| match event {
            Event::Asked(who @ 1.., _) => Some(*who),
            _ => None,
        })
    }

    /// The waiters, in the order in which they were served.
    pub(crate) fn served(&self) -> Vec<u32> {
        self.pick(|_, event| match event {
            Event::Granted(who @ 1.., _) => Some(*who),
            _ => None,
        })
    }

    /// When each permit was granted.
    pub(crate) fn granted(&self) -> Vec<Duration> {
        let granted = self.pick(|at, event| match event {
            Event::Granted(_, permits) => Some((at, *permits)),
            _ => None,
        });
        granted.into_iter().flat_map(|(at, permits)| (0..permits).map(move |_| at)).collect()
    }

    /// The maximum of holders at one time.
    pub(crate) fn peak(&self) -> usize {
        let steps = self.pick(|_, event| match event {
            Event::Granted(..) => Some(true),
            Event::Freed(_) => Some(false),
            _ => None,
        });
        let (mut running, mut peak) = (0_usize, 0);
        for begins in steps {
            running = if begins { running + 1 } else { running - 1 };
            peak = peak.max(running);
        }
        peak
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |number: u32| if number == 0 { "somebody".to_owned() } else { format!("request {number}") };
        match self {
            Self::Asked(number, permits) => write!(f, "{} asks for {permits}", who(*number)),
            Self::Granted(number, permits) => write!(f, "{} is granted {permits}", who(*number)),
            Self::Refused(number, denied) => write!(f, "{} is refused: {denied}", who(*number)),
            Self::Freed(number) => write!(f, "{} gives back", who(*number)),
            Self::Settled(reserved, used) => write!(f, "of {reserved} that were reserved {used} are used"),
            Self::Changed(change) => write!(f, "the limiter is changed: {change:?}"),
        }
    }
}
