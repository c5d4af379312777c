//! The events of probe tasks, and the questions that rules ask of them.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{timeline::Timeline, verdict::Checked};

/// The events of the tasks of a group or of a program, each with its time.
pub(crate) type Record = Timeline<Event>;

/// An event of the task with this number; the body of a group is number 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The task was given to the implementation: its future exists.
    Spawned(u32),
    /// The future was polled for the first time: the task begins.
    Began(u32),
    /// The future was polled, and nothing had happened to it since the last time.
    PolledInVain(u32),
    /// The task has seen the signal to drain, and this reason.
    Drained(u32, Option<String>),
    /// The future was ready.
    Ended(u32, End),
    /// It panicked, or its destructor did.
    Panicked(u32),
    /// The future was dropped, with everything that it held.
    Freed(u32),
    /// The program was made, and does not run yet.
    StartsUp,
    /// The program tells that it is not ready any more.
    TurnedAway,
    /// The group or the program has ended: its future returned or panicked.
    Returned,
}

/// How a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ok,
    Error,
    Panic,
}

impl Record {
    /// When each task began, in the order of their numbers.
    pub(crate) fn begun(&self) -> Vec<Duration> {
        self.times(|event| match event {
            Event::Began(number @ 1..) => Some(*number),
            _ => None,
        })
    }

    /// The tasks that ended in this way, in the order in which they did.
    pub(crate) fn ended(&self, how: End) -> Vec<u32> {
        self.pick(|_, event| match event {
            Event::Ended(number @ 1.., end) if *end == how => Some(*number),
            _ => None,
        })
    }

    /// The tasks that panicked, in this order.
    pub(crate) fn panicked(&self) -> Vec<u32> {
        self.pick(|_, event| match event {
            Event::Panicked(number) => Some(*number),
            _ => None,
        })
    }

    /// How many tasks were given to the implementation.
    pub(crate) fn spawned(&self) -> usize {
        self.pick(|_, event| matches!(event, Event::Spawned(_)).then_some(())).len()
    }

    /// The tasks whose futures are there when the group or the program ends.
    pub(crate) fn alive_at_the_end(&self) -> Vec<u32> {
        let mut alive = Vec::new();
        let mut is_over = false;
        for event in self.pick(|_, event| Some(event.clone())) {
            match event {
                Event::Returned => is_over = true,
                Event::Spawned(number) if !is_over => alive.push(number),
                Event::Freed(number) if !is_over => alive.retain(|other| *other != number),
                _ => {}
            }
        }
        alive
    }

    /// When each task was asked to stop, in the order of their numbers.
    pub(crate) fn drained(&self) -> Vec<Duration> {
        self.times(|event| match event {
            Event::Drained(number, _) => Some(*number),
            _ => None,
        })
    }

    /// The times of the events that `task` finds the number of a task in, in the order of these numbers.
    fn times(&self, task: impl Fn(&Event) -> Option<u32>) -> Vec<Duration> {
        let times = self.pick(|at, event| task(event).map(|number| (number, at)));
        BTreeMap::from_iter(times).into_values().collect()
    }

    /// The rule asks that the only task that drained was told why.
    pub(crate) fn drains_for_a_reason(&self) -> Checked {
        let seen = self.pick(|_, event| match event {
            Event::Drained(_, reason) => Some(reason.clone()),
            _ => None,
        });
        let has_reason = matches!(&seen[..], [Some(reason)] if !reason.is_empty());
        self.require(has_reason, "one task that drains for a reason", format_args!("{seen:?}"))
    }

    /// When the first event of this kind came.
    pub(crate) fn first(&self, wanted: &Event) -> Option<Duration> {
        self.pick(|at, event| (event == wanted).then_some(at)).first().copied()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = |number: u32| if number == 0 { "the body".to_owned() } else { format!("task {number}") };
        match self {
            Self::Spawned(number) => write!(f, "{} is spawned", who(*number)),
            Self::Began(number) => write!(f, "{} begins", who(*number)),
            Self::PolledInVain(number) => write!(f, "{} is polled in vain", who(*number)),
            Self::Drained(number, None) => write!(f, "{} drains", who(*number)),
            Self::Drained(number, Some(reason)) => write!(f, "{} drains: {reason}", who(*number)),
            Self::Ended(number, End::Ok) => write!(f, "{} ends", who(*number)),
            Self::Ended(number, End::Error) => write!(f, "{} fails", who(*number)),
            // It is noted as `Panicked`.
            Self::Ended(number, End::Panic) | Self::Panicked(number) => write!(f, "{} panics", who(*number)),
            Self::Freed(number) => write!(f, "{} is dropped", who(*number)),
            Self::TurnedAway => write!(f, "the program is not ready any more"),
            Self::StartsUp => write!(f, "it starts up"),
            Self::Returned => write!(f, "it has ended"),
        }
    }
}
