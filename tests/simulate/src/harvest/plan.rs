//! The sizes and faults of a run.

use std::time::Duration;

use crate::{Random, Script};

/// The time in which faults come, in milliseconds.
const HORIZON: u64 = 20_000;

/// The time for which a store may be lost without an end of a run.
pub(super) const LOST: u64 = 2000;

/// A fault; times are in milliseconds.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// A call for a document gets this answer.
    Answer {
        /// The document, modulo their number.
        document: u64,
        /// The call for it, counted from 0 over all processes.
        call: u64,
        /// The answer.
        answer: Answer,
    },
    /// A document of a user is not there.
    Missing {
        /// The document, modulo their number.
        document: u64,
    },
    /// The network between a process and the API has a fault for a time.
    Network {
        /// The time.
        at: u64,
        /// How long.
        time: u64,
        /// The fault.
        fault: NetworkFault,
        /// Whether it is the network to the database.
        is_database: bool,
    },
    /// A statement at the database fails.
    Statement {
        /// Its number, counted from 1 over all processes.
        number: u64,
        /// How it fails.
        fault: StatementFault,
    },
    /// A commit at the database fails, or its answer is lost.
    Commit {
        /// Its number, counted from 0 over all processes.
        number: u64,
        /// How it fails.
        fault: StatementFault,
    },
    /// The database ends all sessions.
    Terminate {
        /// The time.
        at: u64,
    },
    /// The database ends all sessions, refuses some, and allows no writes for a time.
    Failover {
        /// The time.
        at: u64,
        /// The sessions that it refuses.
        rejects: u64,
        /// How long it allows no writes.
        time: u64,
    },
    /// The clock of the database jumps.
    ClockJump {
        /// The time.
        at: u64,
        /// The seconds.
        seconds: i64,
    },
    /// A process is killed at a poll.
    Kill {
        /// The process, counted from 0.
        process: u64,
        /// The poll, counted from its start.
        step: u64,
        /// The time until the next process starts.
        down: u64,
    },
    /// A process is asked to stop.
    Stop {
        /// The process, counted from 0.
        process: u64,
        /// The moment.
        at: Moment,
        /// The time until a second signal, if there is one.
        again: Option<u64>,
    },
}

/// A moment of a process.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Moment {
    /// So many milliseconds after its start.
    Time(u64),
    /// At a poll, counted from its start.
    Poll(u64),
}

/// A faulty answer of the API.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// This status.
    Status(u16),
    /// 503 with `Retry-After` in seconds.
    Unavailable(u64),
    /// 503 with `Retry-After` as a date, which is this many seconds away.
    UnavailableUntil(u64),
    /// 429 with `Retry-After` in seconds.
    TooMany(u64),
    /// 403 with nothing left for this many seconds.
    Exhausted(u64),
    /// The connection is reset.
    Reset,
    /// The connection is closed.
    Eof,
    /// The connection is reset within the body.
    ResetBody(u64),
    /// The connection is closed within the body.
    CutBody(u64),
    /// No answer comes.
    Stall,
    /// The body comes in pieces of so many bytes, with a pause of so many milliseconds.
    Slow(u64, u64),
    /// Bytes that are not HTTP.
    Garbage,
}

/// A fault of a network.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum NetworkFault {
    /// All connections are reset.
    Reset,
    /// All connections are closed.
    Close,
    /// No connection comes about.
    Refuse,
    /// Nothing arrives.
    Partition,
    /// Each connection is reset when so many bytes have come.
    ResetAt(u64),
    /// Bytes come in small pieces, and late.
    Slow,
}

/// A fault of a statement.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum StatementFault {
    /// It conflicts with another transaction.
    Conflict,
    /// It is the victim of a deadlock.
    Deadlock,
    /// Its session is ended by an administrator.
    Killed,
    /// The connection is reset before it runs.
    Reset,
    /// It runs, and the connection is reset before its answer.
    LostAnswer,
    /// It runs, and the connection is reset within its answer.
    HalfAnswer,
    /// It takes so many milliseconds.
    Slow(u64),
}

impl Fault {
    /// Whether it concerns the database, the network to it, or the end of a process.
    pub(super) const fn is_of_store(&self) -> bool {
        matches!(
            self,
            Self::Network { is_database: true, .. }
                | Self::Statement { .. }
                | Self::Commit { .. }
                | Self::Terminate { .. }
                | Self::Failover { .. }
        )
    }

    /// Returns how long the store is lost by it, in milliseconds.
    pub(super) fn outage(&self) -> u64 {
        match *self {
            Self::Network { time, is_database: true, .. } | Self::Failover { time, .. } => time,
            Self::Statement { fault: StatementFault::Slow(time), .. }
            | Self::Commit { fault: StatementFault::Slow(time), .. } => time,
            _ => 0,
        }
    }

    /// Whether it concerns many documents at once.
    pub(super) const fn is_of_network(&self) -> bool {
        matches!(self, Self::Network { is_database: false, .. })
    }

    /// Returns the time at which it comes, unless it is one of a call, a statement or a process.
    pub(super) const fn time(&self) -> Option<u64> {
        match *self {
            Self::Network { at, .. }
            | Self::Terminate { at }
            | Self::Failover { at, .. }
            | Self::ClockJump { at, .. } => Some(at),
            _ => None,
        }
    }
}

/// The sizes of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) users: u64,
    pub(super) page_size: u64,
    pub(super) concurrency: u64,
    /// Calls per second; zero for no limit.
    pub(super) rate: u64,
    /// The longest latency of the API.
    pub(super) latency: u64,
    /// Whether the process knows that latency.
    pub(super) is_known: bool,
    /// The longest latency of a statement, in microseconds.
    pub(super) statement: u64,
    pub(super) grace: u64,
    /// How often everything is read.
    pub(super) passes: u64,
}

impl Plan {
    pub(super) fn new(script: &Script<Fault>) -> Self {
        Self {
            users: script.size("users"),
            page_size: script.size("page size"),
            concurrency: script.size("concurrency"),
            rate: script.size("rate"),
            latency: script.size("latency"),
            is_known: script.size("latency is known") > 0,
            statement: script.size("statement"),
            grace: script.size("grace"),
            passes: script.size("passes"),
        }
    }

    pub(super) fn pages(&self) -> u64 {
        self.users.div_ceil(self.page_size).max(1)
    }

    /// The number of documents: pages, and two for each user.
    pub(super) fn documents(&self) -> u64 {
        self.pages() + 2 * self.users
    }
}

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Draws the sizes and faults of a seed.
pub(super) fn draw(random: &mut Random) -> Script<Fault> {
    let mut script = Script::new();
    let users = if random.happens(50) { random.below(4) } else { random.within(20..=80) };
    script.set("users", users, 0);
    script.set("page size", random.within(3..=30), 1);
    script.set("concurrency", random.within(1..=20), 1);
    let rate = if random.happens(400) { random.within(10..=300) } else { 0 };
    script.set("rate", rate, 0);
    let latency = random.one_of(&[0, 10, 100, 400]);
    script.set("latency", latency, 0);
    script.set("latency is known", random.below(2), 0);
    script.set("statement", random.one_of(&[0, 500, 20_000]), 0);
    script.set("grace", random.one_of(&[100, 1000, 10_000]), 0);
    script.set("passes", 1 + u64::from(random.happens(100)), 1);
    let plan = Plan::new(&script);
    let mut faults = Vec::new();
    // Some runs have faults of one kind alone, and some have none.
    let (has_answers, has_networks) = (random.happens(750), random.happens(350));
    let (has_store, has_ends) = (random.happens(600), random.happens(700));
    if has_answers {
        let per_mille = random.one_of(&[10, 60, 250]);
        for document in 0..plan.documents() {
            if random.happens(per_mille) {
                faults.push(Fault::Answer { document, call: random.below(3), answer: answer(random) });
            }
        }
        if random.happens(200) {
            faults.push(Fault::Missing { document: random.below(1000) });
        }
    }
    let at = |random: &mut Random| {
        let horizon = HORIZON * random.within(1..=10) / 10;
        random.below(horizon)
    };
    if has_networks {
        for _ in 0..random.within(1..=3) {
            let (at, time, fault) = (at(random), random.within(1..=4000), network(random));
            faults.push(Fault::Network { at, time, fault, is_database: false });
        }
    }
    if has_store {
        for _ in 0..random.within(1..=6) {
            let fault = match random.below(8) {
                0 | 1 => Fault::Statement { number: random.within(1..=400), fault: statement(random) },
                2..=4 => Fault::Commit { number: random.below(40), fault: statement(random) },
                5 => Fault::Terminate { at: at(random) },
                6 => Fault::Failover {
                    at: at(random),
                    rejects: random.below(4),
                    time: random.within(0..=LOST),
                },
                _ => {
                    let (at, time, fault) = (at(random), random.within(1..=LOST), network(random));
                    Fault::Network { at, time, fault, is_database: true }
                }
            };
            faults.push(fault);
        }
        if random.happens(200) {
            let seconds = random.one_of(&[-86_400, -3600, -1, 1, 3600, 86_400]);
            faults.push(Fault::ClockJump { at: at(random), seconds });
        }
    }
    if has_ends {
        for process in 0..random.within(1..=4) {
            let poll = random.one_of(&[30, 300, 2000]);
            let poll = random.within(1..=poll);
            if random.happens(600) {
                faults.push(Fault::Kill { process, step: poll, down: random.below(3000) });
            } else {
                let again = random.happens(300).then(|| random.below(2000));
                let most = random.one_of(&[100, 1000, 10_000]);
                let time = random.below(most);
                let at = if random.happens(500) { Moment::Time(time) } else { Moment::Poll(poll) };
                faults.push(Fault::Stop { process, at, again });
            }
        }
    }
    script.faults = faults;
    script
}

fn answer(random: &mut Random) -> Answer {
    match random.below(13) {
        0 => Answer::Status(random.one_of(&[408, 425, 429, 500, 502, 503, 504, 520, 529])),
        1 => Answer::Unavailable(random.below(4)),
        2 => Answer::UnavailableUntil(random.below(4)),
        3 => Answer::TooMany(random.below(10)),
        4 => Answer::Exhausted(random.within(1..=10)),
        5 => Answer::Reset,
        6 => Answer::Eof,
        7 | 8 => Answer::ResetBody(random.below(200)),
        9 => Answer::CutBody(random.below(60)),
        10 => Answer::Stall,
        11 => Answer::Slow(random.within(1..=40), random.within(1..=300)),
        _ => Answer::Garbage,
    }
}

fn network(random: &mut Random) -> NetworkFault {
    match random.below(6) {
        0 => NetworkFault::Reset,
        1 => NetworkFault::Close,
        2 => NetworkFault::Refuse,
        3 => NetworkFault::Partition,
        4 => NetworkFault::ResetAt(random.within(1..=2000)),
        _ => NetworkFault::Slow,
    }
}

fn statement(random: &mut Random) -> StatementFault {
    match random.below(8) {
        0 => StatementFault::Conflict,
        1 => StatementFault::Deadlock,
        2 => StatementFault::Killed,
        3 => StatementFault::Reset,
        4 | 5 => StatementFault::LostAnswer,
        6 => StatementFault::HalfAnswer,
        _ => StatementFault::Slow(random.one_of(&[50, 1000, 12_000])),
    }
}
