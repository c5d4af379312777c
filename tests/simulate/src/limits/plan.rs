//! The sizes and faults of a run, and its requests.

use std::time::Duration;

use crate::{Random, Script};

/// The time in which requests and faults come.
const HORIZON: u64 = 3000;

/// A fault; times are in milliseconds.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// A process is killed with its limit and its requests, and started again after a time.
    Kill {
        /// The process.
        process: u64,
        /// The time.
        at: u64,
        /// The time until its next start.
        down: u64,
    },
    /// The clock of the store is set forward, or back.
    ClockJump {
        /// The time.
        at: u64,
        /// By how much.
        by: i64,
    },
    /// The store forgets all buckets, as one that is replaced does.
    Forget {
        /// The time.
        at: u64,
    },
    /// Calls of the store end badly for a time.
    Store {
        /// The process whose calls do; all if it is none of them.
        process: u64,
        /// The time.
        at: u64,
        /// How long.
        time: u64,
        /// The end of the calls.
        how: Broken,
    },
    /// A process closes its limit.
    Close {
        /// The process.
        process: u64,
        /// The time.
        at: u64,
    },
    /// The limit, or the rate in permits per second, is changed.
    Set {
        /// The time.
        at: u64,
        /// The new one.
        limit: u64,
    },
    /// A pause of a local rate limiter.
    Penalize {
        /// The time.
        at: u64,
        /// How long.
        time: u64,
    },
}

/// The bad end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Broken {
    /// It fails, and nothing is taken.
    Refused,
    /// There is no answer, and nothing is taken.
    Hangs,
    /// It is carried out, and fails.
    AnswerLost,
    /// It is carried out, and there is no answer.
    AnswerHangs,
    /// The time until the bucket is full is that of an older answer.
    Stale,
    /// The answer has more than was asked for, or contradicts itself.
    Nonsense,
    /// The store panics.
    Panics,
}

impl Fault {
    pub(super) const fn time(&self) -> u64 {
        match *self {
            Self::Kill { at, .. }
            | Self::ClockJump { at, .. }
            | Self::Forget { at }
            | Self::Store { at, .. }
            | Self::Close { at, .. }
            | Self::Set { at, .. }
            | Self::Penalize { at, .. } => at,
        }
    }
}

/// The limit that is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Distributed,
    Rate,
    Keyed,
    Concurrency,
}

const KINDS: [Kind; 5] = [Kind::Distributed, Kind::Distributed, Kind::Rate, Kind::Keyed, Kind::Concurrency];

/// Draws a script.
pub(super) fn draw(random: &mut Random) -> Script<Fault> {
    let mut script = Script::new();
    let kind = random.below(KINDS.len() as u64);
    script.set("kind", kind, kind);
    let processes = random.within(1..=3);
    script.set("processes", processes, 1);
    let requests = random.within(1..=40);
    script.set("requests", requests, 1);
    let rate = random.one_of(&[1, 7, 20, 100, 100, 333, 1000]);
    script.set("rate", rate, rate);
    let burst = random.within(1..=20);
    script.set("burst", burst, 1);
    let most = random.one_of(&[1, 3, burst]).min(burst);
    script.set("permits", most, 1);
    let lease = random.one_of(&[1, 1, 4, burst]);
    script.set("lease", lease, 1);
    let policy = random.below(3);
    script.set("policy", policy, policy);
    let latency = random.one_of(&[0, 1, 5, 60]);
    script.set("latency", latency, 0);
    let horizon = random.one_of(&[0, 10, 300, HORIZON]);
    script.set("horizon", horizon, 0);
    let cancelled = random.one_of(&[0, 0, 300]);
    script.set("cancelled", cancelled, 0);
    let tried = random.one_of(&[0, 300]);
    script.set("tried", tried, 0);
    let refunded = random.one_of(&[0, 0, 200]);
    script.set("refunded", refunded, 0);
    let held = random.one_of(&[0, 10, 200]);
    script.set("held", held, 0);
    let is_fast = random.below(2);
    script.set("fast", is_fast, 0);
    for _ in 0..random.one_of(&[0, 0, 1, 2, 5]) {
        let fault = draw_fault(random, KINDS[kind as usize], processes);
        script.faults.push(fault);
    }
    script
}

fn draw_fault(random: &mut Random, kind: Kind, processes: u64) -> Fault {
    let horizon = random.one_of(&[20, 400, HORIZON]);
    let at = random.below(horizon);
    let time = random.one_of(&[1, 30, 400, 2500]);
    let process = random.below(processes);
    if kind != Kind::Distributed {
        return match random.below(2) {
            0 => Fault::Set { at, limit: random.within(1..=20) },
            _ => Fault::Penalize { at, time },
        };
    }
    match random.below(16) {
        0 => Fault::Kill { process, at, down: random.one_of(&[0, 10, 500]) },
        1 | 2 => Fault::ClockJump { at, by: random.one_of(&[1, 50, 5000, 3_600_000]) },
        3..=5 => Fault::ClockJump { at, by: -random.one_of(&[1, 50, 5000, 3_600_000]) },
        6 => Fault::Forget { at },
        7 => Fault::Close { process, at },
        _ => {
            let how = random.one_of(&[
                Broken::Refused,
                Broken::Hangs,
                Broken::AnswerLost,
                Broken::AnswerHangs,
                Broken::Stale,
                Broken::Stale,
                Broken::Stale,
                Broken::Nonsense,
                Broken::Panics,
            ]);
            Fault::Store { process: random.below(processes + 1), at, time, how }
        }
    }
}

/// The sizes of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) processes: u64,
    pub(super) requests: u64,
    pub(super) rate: u64,
    pub(super) burst: u64,
    permits: u64,
    pub(super) lease: u64,
    pub(super) policy: u64,
    pub(super) latency: u64,
    horizon: u64,
    cancelled: u64,
    tried: u64,
    refunded: u64,
    held: u64,
    pub(super) is_fast: bool,
}

/// The time at which a request is dropped, if it waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leaves {
    Never,
    After(Duration),
    /// When it is woken: it was granted or denied, and does not see it.
    Woken,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) process: u64,
    pub(super) at: u64,
    pub(super) permits: u32,
    /// It takes what is available, or nothing.
    pub(super) tries: bool,
    pub(super) leaves: Leaves,
    /// The time for which it is held, or after which it is refunded, if it is.
    pub(super) held: Duration,
    pub(super) refunds: bool,
}

impl Plan {
    pub(super) fn new(script: &Script<Fault>) -> Self {
        let size = |name| script.size(name);
        Self {
            kind: KINDS[size("kind") as usize],
            processes: size("processes"),
            requests: size("requests"),
            rate: size("rate"),
            burst: size("burst"),
            permits: size("permits"),
            lease: size("lease"),
            policy: size("policy"),
            latency: size("latency"),
            horizon: size("horizon"),
            cancelled: size("cancelled"),
            tried: size("tried"),
            refunded: size("refunded"),
            held: size("held"),
            is_fast: size("fast") > 0,
        }
    }

    /// Returns a request, by its number.
    pub(super) fn request(&self, seed: u64, number: u64) -> Request {
        let random = &mut Random::of(seed, &[1, number]);
        let after = random.millis(400);
        let leaves = if random.happens(300) { Leaves::Woken } else { Leaves::After(after) };
        Request {
            process: random.below(self.processes),
            at: random.below(self.horizon + 1),
            permits: random.within(1..=self.permits.min(self.burst)) as u32,
            tries: random.happens(self.tried),
            leaves: if random.happens(self.cancelled) { leaves } else { Leaves::Never },
            held: random.millis(self.held),
            refunds: random.happens(self.refunded),
        }
    }

    /// The virtual time after which no fault and no request is left that has to wait, with much to spare.
    pub(super) fn longest(&self, faults: &[Fault]) -> Duration {
        let ends = faults.iter().map(|fault| {
            let time = match *fault {
                Fault::Store { time, .. } | Fault::Penalize { time, .. } => time,
                Fault::Kill { down, .. } => down,
                _ => 0,
            };
            fault.time() + time
        });
        let end = ends.chain([self.horizon]).max().unwrap_or_default();
        let slowest =
            faults.iter().map(|fault| if let Fault::Set { limit, .. } = fault { *limit } else { self.rate });
        let slowest = slowest.chain([self.rate]).min().unwrap_or(1).max(1);
        let permits = self.requests * self.permits + self.burst * (1 + self.processes);
        ms(end) + Duration::from_secs(20) + ms(self.held * self.requests) + ms(3000 * permits / slowest)
    }
}

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
