//! The events of workers, and the questions that rules ask of them.

use std::{collections::BTreeSet, fmt, time::Duration};

use super::Letter;
use crate::timeline::Timeline;

/// The events of all workers, each with its time.
pub(crate) type Record = Timeline<Event>;

/// One run of a message or of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) worker: u32,
    pub(crate) number: u32,
    pub(crate) part: u32,
    pub(crate) attempt: u32,
    pub(crate) id: String,
}

/// An event of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The worker with this number is started.
    Starts(u32),
    /// A run begins.
    Begins(Mark),
    /// A run writes its row.
    Writes(Mark),
    /// A run ends well.
    Done(Mark),
    /// A run fails or panics.
    Fails(Mark),
    /// A run is dropped before its end.
    Dropped(Mark),
    /// The store of the messages with these numbers begins.
    Stores(Vec<u32>),
    /// The store of the messages with these numbers ends.
    Stored(Vec<u32>),
    /// A dead letter is written.
    Buried(Letter),
}

impl Record {
    /// The runs that have begun: the time, the number of the message, and of the attempt.
    pub(crate) fn begun(&self) -> Vec<(Duration, u32, u32)> {
        self.pick(|at, event| match event {
            Event::Begins(mark) => Some((at, mark.number, mark.attempt)),
            _ => None,
        })
    }

    /// The attempts of one message: the time, the worker, and the number of the attempt.
    pub(crate) fn attempts(&self, number: u32) -> Vec<(Duration, u32, u32)> {
        self.pick(|at, event| match event {
            Event::Begins(mark) if mark.number == number => Some((at, mark.worker, mark.attempt)),
            _ => None,
        })
    }

    /// The messages that this worker has begun, in order.
    pub(crate) fn begun_by(&self, worker: u32) -> Vec<u32> {
        self.pick(|_, event| match event {
            Event::Begins(mark) if mark.worker == worker => Some(mark.number),
            _ => None,
        })
    }

    /// The messages whose runs have ended well, in order.
    pub(crate) fn done(&self) -> Vec<u32> {
        self.pick(|_, event| match event {
            Event::Done(mark) => Some(mark.number),
            _ => None,
        })
    }

    /// The time at which the last run ended well.
    pub(crate) fn last_done(&self) -> Duration {
        let done = self.pick(|at, event| matches!(event, Event::Done(_)).then_some(at));
        done.last().copied().unwrap_or_default()
    }

    /// The time at which a worker was started.
    pub(crate) fn started(&self, worker: u32) -> Duration {
        let started = self.pick(|at, event| (*event == Event::Starts(worker)).then_some(at));
        started.first().copied().unwrap_or_default()
    }

    /// The runs that were dropped: the time, the number of the message, and of the attempt.
    pub(crate) fn dropped(&self) -> Vec<(Duration, u32, u32)> {
        self.pick(|at, event| match event {
            Event::Dropped(mark) => Some((at, mark.number, mark.attempt)),
            _ => None,
        })
    }

    /// The rows of a sink that writes by identity, and the number of writes.
    pub(crate) fn rows(&self) -> (usize, usize) {
        let writes = self.pick(|_, event| match event {
            Event::Writes(mark) => Some(mark.id.clone()),
            _ => None,
        });
        (writes.iter().collect::<BTreeSet<_>>().len(), writes.len())
    }

    /// The attempts that have written their rows, in order.
    pub(crate) fn writers(&self) -> Vec<u32> {
        self.pick(|_, event| match event {
            Event::Writes(mark) => Some(mark.attempt),
            _ => None,
        })
    }

    /// The stores that have begun.
    pub(crate) fn stores(&self) -> Vec<(Duration, Vec<u32>)> {
        self.pick(|at, event| match event {
            Event::Stores(numbers) => Some((at, numbers.clone())),
            _ => None,
        })
    }

    /// The dead letters.
    pub(crate) fn letters(&self) -> Vec<(Duration, Letter)> {
        self.pick(|at, event| match event {
            Event::Buried(letter) => Some((at, letter.clone())),
            _ => None,
        })
    }

    /// The runs under way now, and the maximum of them at a time.
    pub(crate) fn running(&self) -> (usize, usize) {
        let (mut now, mut peak) = (0_usize, 0);
        for begins in self.pick(|_, event| match event {
            Event::Begins(_) => Some(true),
            Event::Done(_) | Event::Fails(_) | Event::Dropped(_) => Some(false),
            _ => None,
        }) {
            now = if begins { now + 1 } else { now.saturating_sub(1) };
            peak = peak.max(now);
        }
        (now, peak)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worker, number, part, attempt, .. } = self;
        write!(f, "attempt {attempt} of message {number}")?;
        if *part > 0 {
            write!(f, ", part {part},")?;
        }
        write!(f, " by worker {worker}")
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starts(worker) => write!(f, "worker {worker} is started"),
            Self::Begins(mark) => write!(f, "{mark} begins"),
            Self::Writes(mark) => write!(f, "{mark} writes its row"),
            Self::Done(mark) => write!(f, "{mark} is done"),
            Self::Fails(mark) => write!(f, "{mark} fails"),
            Self::Dropped(mark) => write!(f, "{mark} is dropped"),
            Self::Stores(numbers) => write!(f, "a store of {numbers:?} begins"),
            Self::Stored(numbers) => write!(f, "a store of {numbers:?} ends"),
            Self::Buried(letter) => write!(f, "message {} is buried: {}", letter.item.number, letter.reason),
        }
    }
}
