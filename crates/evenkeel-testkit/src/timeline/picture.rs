//! `Picture`: the data of a timeline, in nanoseconds since the start of its world.

use std::{borrow::Cow, panic::Location};

use evenkeel_inspect::TaskOutcome;

/// Nanoseconds since the start of the world: enough for five hundred years.
pub(super) type Nanos = u64;

/// The limits of a picture: it stays readable, and its memory bounded.
pub(super) const MAX_TRACKS: usize = 2_000;
pub(super) const MAX_BARS: usize = 50_000;
pub(super) const MAX_MARKS: usize = 20_000;
pub(super) const MAX_GROUPS: usize = 500;
pub(super) const MAX_RESOURCES: usize = 500;
pub(super) const MAX_USES: usize = 50_000;
/// The longest text that is kept of a mark, a span or a name, in characters.
pub(super) const MAX_TEXT: usize = 200;

#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub(super) title: String,
    pub(super) tracks: Vec<Track>,
    pub(super) groups: Vec<Group>,
    pub(super) resources: Vec<Resource>,
    /// The tasks beyond the limit, which are counted only.
    pub(super) crowds: Vec<Crowd>,
    pub(super) left_out: LeftOut,
    /// The time of the last event.
    pub(super) end: Nanos,
}

/// The parts that are over a limit.
#[derive(Clone, Debug, Default)]
pub(super) struct LeftOut {
    pub(super) bars: usize,
    pub(super) marks: usize,
    pub(super) uses: usize,
    /// The time from which waits and holds were not looked at any more.
    pub(super) looks_from: Option<Nanos>,
}

/// A task, or a server, with what it did.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) section: Section,
    pub(super) title: Title,
    pub(super) place: Option<&'static Location<'static>>,
    pub(super) start: Nanos,
    pub(super) life: Life,
    /// `None` if they are not known.
    pub(super) polls: Option<u32>,
    pub(super) bars: Vec<Bar>,
    pub(super) marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Section {
    Body,
    /// Tasks of no group.
    Tasks,
    Group(u32),
    Servers,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Title {
    Name(Cow<'static, str>),
    /// By its place.
    Unnamed,
    /// A task of which nothing else is known, by the order in which they were seen.
    Task(u32),
    Thread(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Neither begin nor end are known, only what is on the track.
    Unknown,
    Alive,
    Ended(Nanos, Ending),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    Failed,
    Cancelled,
    Panicked,
    Shutdown,
    /// It is not known how.
    Gone,
}

/// Something on a track that lasts.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) kind: BarKind,
    pub(super) text: Cow<'static, str>,
    pub(super) start: Nanos,
    /// `None` if it had not ended when the recording did.
    pub(super) end: Option<Nanos>,
    /// The time at which the wait would have ended by itself.
    pub(super) until: Option<Nanos>,
    pub(super) resource: Option<u32>,
    /// The tracks of those that were waited for, the first ones.
    pub(super) held_by: Vec<u32>,
    /// The answer of a call or the end of a span, in words.
    pub(super) outcome: Option<Cow<'static, str>>,
    pub(super) is_fault: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BarKind {
    Limit,
    Rate,
    Pool,
    Backoff,
    Slot,
    Join,
    Database,
    Other,
    Hold,
    Span,
    Call,
}

/// Something at one instant.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) at: Nanos,
    pub(super) text: Cow<'static, str>,
    pub(super) is_fault: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) place: &'static Location<'static>,
    pub(super) owner: Option<u32>,
    pub(super) limit: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) kind: &'static str,
    pub(super) title: String,
    pub(super) uses: Vec<Use>,
}

/// The use of a resource from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) at: Nanos,
    pub(super) in_use: u64,
    pub(super) capacity: u64,
    pub(super) waiting: u64,
}

/// Tasks of one place in one group.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    pub(super) section: Section,
    pub(super) place: Option<&'static Location<'static>>,
    pub(super) counts: Counts,
    pub(super) start: Nanos,
    pub(super) end: Nanos,
}

/// The numbers of tasks by their ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) all: usize,
    unknown: usize,
    ended: [usize; Ending::ALL.len()],
}

impl Ending {
    pub(super) const ALL: [Self; 6] =
        [Self::Done, Self::Failed, Self::Cancelled, Self::Panicked, Self::Shutdown, Self::Gone];

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Panicked => "panicked",
            Self::Shutdown => "dropped by the runtime",
            Self::Gone => "ended",
        }
    }

    /// Returns whether it may be the reason why others are cancelled.
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Panicked)
    }
}

impl From<TaskOutcome> for Ending {
    fn from(outcome: TaskOutcome) -> Self {
        match outcome {
            TaskOutcome::Done => Self::Done,
            TaskOutcome::Failed => Self::Failed,
            TaskOutcome::Cancelled => Self::Cancelled,
            TaskOutcome::Panicked => Self::Panicked,
            TaskOutcome::RuntimeShutdown => Self::Shutdown,
            _ => Self::Gone,
        }
    }
}

impl BarKind {
    /// Returns whether the task stands still meanwhile.
    pub(super) fn is_wait(self) -> bool {
        !matches!(self, Self::Hold | Self::Span | Self::Call)
    }

    /// Returns the explanation of its color, pattern or letter.
    pub(super) fn legend(self) -> &'static str {
        match self {
            Self::Limit => "waits for a permit",
            Self::Rate => "waits for its rate",
            Self::Pool => "waits for a lease",
            Self::Backoff => "waits to try again",
            Self::Slot => "waits for a slot",
            Self::Join => "waits for tasks",
            Self::Database => "waits for the database",
            Self::Other => "waits for other things",
            Self::Hold => "holds",
            Self::Span => "span",
            Self::Call => "call",
        }
    }
}

impl Bar {
    /// Returns the end, or that of the recording.
    pub(super) fn end_or(&self, end: Nanos) -> Nanos {
        self.end.unwrap_or(end).max(self.start)
    }
}

impl Track {
    /// Returns the begin and the end of what is known of it.
    pub(super) fn extent(&self, picture_end: Nanos) -> (Nanos, Nanos) {
        let bars = self.bars.iter().map(|bar| (bar.start, bar.end_or(picture_end)));
        let marks = self.marks.iter().map(|mark| (mark.at, mark.at));
        let known = bars.chain(marks);
        match self.life {
            Life::Alive => (self.start, picture_end.max(self.start)),
            Life::Ended(at, _) => (self.start, at),
            Life::Unknown => known
                .fold((self.start, self.start), |(from, to), (start, end)| (from.min(start), to.max(end))),
        }
    }

    pub(super) fn ending(&self) -> Option<(Nanos, Ending)> {
        match self.life {
            Life::Ended(at, ending) => Some((at, ending)),
            Life::Unknown | Life::Alive => None,
        }
    }
}

impl Counts {
    pub(super) fn end(&mut self, ending: Ending) {
        self.ended[ending as usize] += 1;
    }

    /// Adds a task with its end, as far as it is known.
    pub(super) fn add(&mut self, life: Life) {
        self.all += 1;
        match life {
            Life::Unknown => self.unknown += 1,
            Life::Alive => {}
            Life::Ended(_, ending) => self.end(ending),
        }
    }

    /// Adds a task that is alive.
    pub(super) fn begin(&mut self) {
        self.all += 1;
    }

    pub(super) fn add_all(&mut self, other: Self) {
        self.all += other.all;
        self.unknown += other.unknown;
        for (count, more) in self.ended.iter_mut().zip(other.ended) {
            *count += more;
        }
    }

    /// Returns the numbers in words: `930 done, 10 cancelled`; nothing of those whose end is not known.
    pub(super) fn text(&self) -> String {
        let counts = Ending::ALL.iter().zip(self.ended).filter(|(_, count)| *count > 0);
        let mut parts: Vec<_> = counts.map(|(ending, count)| format!("{count} {}", ending.text())).collect();
        let alive = self.all - self.unknown - self.ended.iter().sum::<usize>();
        if alive > 0 {
            parts.push(format!("{alive} alive"));
        }
        parts.join(", ")
    }
}

impl Picture {
    pub(super) fn new() -> Self {
        Self {
            title: "timeline".to_owned(),
            tracks: Vec::new(),
            groups: Vec::new(),
            resources: Vec::new(),
            crowds: Vec::new(),
            left_out: LeftOut::default(),
            end: 0,
        }
    }

    /// Ends the bars of the tracks that have ended: the last look was before that.
    pub(super) fn close_bars(&mut self) {
        for track in &mut self.tracks {
            if let Life::Ended(at, _) = track.life {
                track
                    .bars
                    .iter_mut()
                    .filter(|bar| bar.end.is_none())
                    .for_each(|bar| bar.end = Some(at.max(bar.start)));
            }
        }
    }

    /// Returns whether nothing but the body was seen.
    pub(super) fn is_empty(&self) -> bool {
        self.tracks
            .iter()
            .all(|track| track.section == Section::Body && track.bars.is_empty() && track.marks.is_empty())
    }
}
