//! The names under which faults are counted when they have come.

use super::plan::{Answer, NetworkFault, StatementFault};

impl Answer {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Status(429) => "answers: 429 alone",
            Self::Status(_) => "answers: other statuses",
            Self::Unavailable(_) => "answers: 503 for seconds",
            Self::UnavailableUntil(_) => "answers: 503 until a date",
            Self::TooMany(_) => "answers: 429 for seconds",
            Self::Exhausted(_) => "answers: 403 with nothing left",
            Self::Reset => "answers: reset",
            Self::Eof => "answers: closed",
            Self::ResetBody(_) => "answers: reset in the body",
            Self::CutBody(_) => "answers: half a body",
            Self::Stall => "answers: stalled",
            Self::Slow(..) => "answers: slow body",
            Self::Garbage => "answers: garbage",
        }
    }
}

impl NetworkFault {
    pub(super) const fn name(self, is_database: bool) -> &'static str {
        match (self, is_database) {
            (Self::Reset, false) => "API: connections reset",
            (Self::Close, false) => "API: connections closed",
            (Self::Refuse, false) => "API: connections refused",
            (Self::Partition, false) => "API: partitioned",
            (Self::ResetAt(_), false) => "API: reset at a byte",
            (Self::Slow, false) => "API: slow",
            (Self::Reset, true) => "database: connections reset",
            (Self::Close, true) => "database: connections closed",
            (Self::Refuse, true) => "database: connections refused",
            (Self::Partition, true) => "database: partitioned",
            (Self::ResetAt(_), true) => "database: reset at a byte",
            (Self::Slow, true) => "database: slow",
        }
    }
}

impl StatementFault {
    pub(super) const fn name(self, is_commit: bool) -> &'static str {
        match (self, is_commit) {
            (Self::Conflict, false) => "statements: conflict",
            (Self::Deadlock, false) => "statements: deadlock",
            (Self::Killed, false) => "statements: backend killed",
            (Self::Reset, false) => "statements: not run",
            (Self::LostAnswer, false) => "statements: answer lost",
            (Self::HalfAnswer, false) => "statements: half an answer",
            (Self::Slow(_), false) => "statements: slow",
            (Self::Conflict, true) => "commits: conflict",
            (Self::Deadlock, true) => "commits: deadlock",
            (Self::Killed, true) => "commits: backend killed",
            (Self::Reset, true) => "commits: not run",
            (Self::LostAnswer, true) => "commits: answer lost",
            (Self::HalfAnswer, true) => "commits: half an answer",
            (Self::Slow(_), true) => "commits: slow",
        }
    }
}

/// Every name, and those of the other events that the seeds are for.
pub const EVENTS: &[&str] = &[
    "API: connections closed",
    "API: connections refused",
    "API: connections reset",
    "API: partitioned",
    "API: reset at a byte",
    "API: slow",
    "aborts",
    "answers: 403 with nothing left",
    "answers: 429 alone",
    "answers: 429 for seconds",
    "answers: 503 for seconds",
    "answers: 503 until a date",
    "answers: closed",
    "answers: garbage",
    "answers: half a body",
    "answers: other statuses",
    "answers: reset",
    "answers: reset in the body",
    "answers: slow body",
    "answers: stalled",
    "calls repeated by the next process",
    "commits: answer lost",
    "commits: backend killed",
    "commits: conflict",
    "commits: deadlock",
    "commits: half an answer",
    "commits: not run",
    "commits: slow",
    "complete",
    "database: clock jumps",
    "database: connections closed",
    "database: connections refused",
    "database: connections reset",
    "database: failovers",
    "database: partitioned",
    "database: reset at a byte",
    "database: sessions ended",
    "database: slow",
    "documents that are missing",
    "drains",
    "kills",
    "kills behind a run",
    "polls",
    "retries",
    "retries of transactions",
    "retries refused by the budget",
    "runs that failed",
    "second passes",
    "second signals",
    "statements: answer lost",
    "statements: backend killed",
    "statements: conflict",
    "statements: deadlock",
    "statements: half an answer",
    "statements: not run",
    "statements: slow",
    "stops at a poll",
    "stops at a time",
];
