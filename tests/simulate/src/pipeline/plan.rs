//! The sizes and faults of a run.

use std::time::Duration;

use evenkeel_pipeline::{Faults, MemoryConfig};

use crate::{Random, Script};

/// The time in which faults come.
const HORIZON: u64 = 4000;

/// A fault; times are in milliseconds.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// A process is killed at a step, and started again after a time.
    Kill {
        /// The process.
        process: u64,
        /// The step, counted from its start.
        step: u64,
        /// The time until its next start.
        down: u64,
    },
    /// The handle of a pipeline is dropped, and the process goes on.
    Abort {
        /// The process.
        process: u64,
        /// The time.
        at: u64,
    },
    /// A pipeline is drained, and started again.
    Drain {
        /// The process.
        process: u64,
        /// The time.
        at: u64,
        /// The budget.
        within: u64,
    },
    /// Pulls are paused for a time.
    Pause {
        /// The process.
        process: u64,
        /// The time.
        at: u64,
        /// How long.
        time: u64,
    },
    /// The limit of a stage changes.
    SetLimit {
        /// The process.
        process: u64,
        /// The time.
        at: u64,
        /// The stage.
        stage: u64,
        /// Its new limit.
        limit: u64,
    },
    /// Calls of the broker fail for a time.
    Cut {
        /// The process.
        process: u64,
        /// The time.
        at: u64,
        /// How long.
        time: u64,
    },
    /// Calls of the broker have no answer for a time.
    Stall {
        /// The process.
        process: u64,
        /// The time.
        at: u64,
        /// How long.
        time: u64,
    },
    /// A pull fails for good, so that the pipeline ends.
    Delete {
        /// The process.
        process: u64,
        /// The time.
        at: u64,
    },
    /// A pull panics, so that the pipeline ends.
    PanicInPull {
        /// The process.
        process: u64,
        /// The time.
        at: u64,
    },
    /// The broker is down for a time.
    Crash {
        /// The time.
        at: u64,
        /// How long.
        down: u64,
    },
    /// The broker is down for a time, and forgets what it has not synced.
    PowerLoss {
        /// The time.
        at: u64,
        /// How long.
        down: u64,
    },
}

impl Fault {
    /// Returns the time at which it comes; a kill comes at a step.
    pub(super) fn time(&self) -> u64 {
        match *self {
            Self::Kill { .. } => 0,
            Self::Abort { at, .. }
            | Self::Drain { at, .. }
            | Self::Pause { at, .. }
            | Self::SetLimit { at, .. }
            | Self::Cut { at, .. }
            | Self::Stall { at, .. }
            | Self::Delete { at, .. }
            | Self::PanicInPull { at, .. }
            | Self::Crash { at, .. }
            | Self::PowerLoss { at, .. } => at,
        }
    }

    /// Returns the process that it concerns; none for the broker.
    pub(super) fn process(&self) -> Option<u64> {
        match *self {
            Self::Kill { process, .. }
            | Self::Abort { process, .. }
            | Self::Drain { process, .. }
            | Self::Pause { process, .. }
            | Self::SetLimit { process, .. }
            | Self::Cut { process, .. }
            | Self::Stall { process, .. }
            | Self::Delete { process, .. }
            | Self::PanicInPull { process, .. } => Some(process),
            Self::Crash { .. } | Self::PowerLoss { .. } => None,
        }
    }
}

/// Draws a script.
pub(super) fn draw(random: &mut Random) -> Script<Fault> {
    let mut script = Script::new();
    // One of eight runs has no fault at all, so that promises which faults would excuse are seen as well.
    let calm = random.happens(125);
    let share = |random: &mut Random, most: u64| {
        if !calm && random.happens(350) { random.within(1..=most) } else { 0 }
    };
    let shares = [
        ("failing", 250),
        ("panicking", 100),
        ("hanging", 80),
        ("sinks failing", 250),
        ("letters failing", 300),
        ("duplicates", 150),
        ("reorders", 400),
        ("answers lost", 200),
    ];
    for (name, most) in shares {
        let value = share(random, most);
        script.set(name, value, 0);
    }
    let processes = random.one_of(&[1, 1, 2, 3]);
    script.set("processes", processes, 1);
    let items = random.within(1..=50);
    script.set("items", items, 1);
    let shape = random.below(7);
    script.set("shape", shape, 0);
    let keys = random.within(1..=6);
    script.set("keys", keys, 1);
    let parts = random.within(1..=4);
    script.set("parts", parts, 1);
    let batch = random.within(1..=8);
    script.set("batch", batch, 1);
    let brokers = random.one_of(&[1, 1, 1, 2]);
    script.set("brokers", brokers, 1);
    let window = batch.max(random.within(1..=24));
    script.set("window above a batch", window - batch, 0);
    let within = random.within(1..=40);
    script.set("batch within", within, 1);
    let budget = random.one_of(&[0, 0, random.clone().within(40..=400)]);
    script.set("budget", budget, 0);
    let limit = random.within(1..=6);
    script.set("limit", limit, 1);
    let work = random.one_of(&[0, 5, 20, 80]);
    script.set("work", work, 0);
    let gap = random.one_of(&[0, 0, 3, 30]);
    script.set("gap", gap, 0);
    let ack_wait = random.one_of(&[300, 700, 3000]);
    script.set("ack wait", ack_wait, 300);
    let latency = if calm { random.below(4) } else { random.one_of(&[0, 2, 10, 40]) };
    script.set("latency", latency, 0);
    let timeout = random.one_of(&[0, 40, 200]);
    script.set("timeout", if calm { 0 } else { timeout }, 0);
    let backoff = random.one_of(&[0, 1, 50, 400]);
    script.set("backoff", backoff, 0);
    let attempts = random.one_of(&[0, 0, 1, 2, 4]);
    script.set("attempts", attempts, 0);
    let poison = if attempts > 0 && !calm && random.happens(400) { random.within(2..=9) } else { 0 };
    script.set("poison", poison, 0);
    let sync_every = random.one_of(&[0, 50, 400]);
    script.set("sync every", sync_every, 0);
    if !calm {
        for _ in 0..random.one_of(&[0, 1, 2, 4, 8]) {
            let fault = draw_fault(random, processes, limit);
            script.faults.push(fault);
        }
    }
    script
}

fn draw_fault(random: &mut Random, processes: u64, limit: u64) -> Fault {
    let process = random.below(processes);
    // As many early as late: most runs are short.
    let horizon = random.one_of(&[50, 400, HORIZON]);
    let at = random.below(horizon);
    let time = random.one_of(&[1, 20, 200, 1500, 6000]);
    match random.below(14) {
        0..=3 => {
            let most = random.one_of(&[10, 100, 1000]);
            Fault::Kill { process, step: random.within(1..=most), down: random.one_of(&[0, 1, 100, 2000]) }
        }
        4 => Fault::Abort { process, at },
        5 | 6 => Fault::Drain { process, at, within: random.one_of(&[0, 1, 30, 300, 20_000]) },
        7 => Fault::Pause { process, at, time },
        8 => Fault::SetLimit { process, at, stage: random.below(3), limit: random.within(1..=2 * limit) },
        9 => Fault::Cut { process, at, time },
        10 => Fault::Stall { process, at, time },
        11 if random.happens(500) => Fault::Delete { process, at },
        11 => Fault::PanicInPull { process, at },
        12 => Fault::Crash { at, down: time },
        _ => Fault::PowerLoss { at, down: time.min(200) },
    }
}

/// The sizes of a run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) processes: u64,
    pub(super) brokers: u64,
    pub(super) items: u64,
    pub(super) shape: u64,
    pub(super) keys: u64,
    pub(super) parts: u64,
    pub(super) batch: u64,
    pub(super) within: u64,
    pub(super) window: u64,
    pub(super) budget: u64,
    pub(super) limit: u64,
    pub(super) work: u64,
    pub(super) gap: u64,
    pub(super) ack_wait: Duration,
    pub(super) timeout: u64,
    pub(super) backoff: u64,
    /// 0 without a dead letter sink.
    pub(super) attempts: u32,
    pub(super) poison: u64,
    /// Of a thousand calls.
    pub(super) failing: u64,
    pub(super) panicking: u64,
    pub(super) hanging: u64,
    pub(super) sinks_failing: u64,
    pub(super) letters_failing: u64,
    config: MemoryConfig,
    /// Whether nothing in the run excuses a lost lease.
    pub(super) is_calm: bool,
    /// Whether each message may be delivered again although it is settled.
    pub(super) forgets: bool,
}

impl Plan {
    pub(super) fn new(script: &Script<Fault>) -> Self {
        let size = |name| script.size(name);
        let share = |name| script.size(name) as f64 / 1000.0;
        let faults = Faults {
            seed: 0,
            latency: ms(size("latency")),
            duplicates: share("duplicates"),
            reorders: share("reorders"),
            lost_answers: share("answers lost"),
        };
        let ack_wait = ms(size("ack wait"));
        let config = MemoryConfig {
            ack_wait,
            faults,
            sync_every: Some(size("sync every")).filter(|every| *every > 0).map(ms),
            ..MemoryConfig::default()
        };
        Self {
            processes: size("processes"),
            brokers: size("brokers"),
            items: size("items"),
            shape: size("shape"),
            keys: size("keys"),
            parts: size("parts"),
            batch: size("batch"),
            within: size("batch within"),
            // Each broker has a share of it.
            window: size("brokers") * (size("batch") + size("window above a batch")),
            budget: size("budget"),
            limit: size("limit"),
            work: size("work"),
            gap: size("gap"),
            ack_wait,
            timeout: size("timeout"),
            backoff: size("backoff"),
            attempts: size("attempts") as u32,
            poison: size("poison"),
            failing: size("failing"),
            panicking: size("panicking"),
            hanging: size("hanging"),
            sinks_failing: size("sinks failing"),
            letters_failing: size("letters failing"),
            is_calm: script.faults.is_empty()
                && size("duplicates") + size("answers lost") == 0
                // An extension and its answer come well before the end of a lease.
                && ms(10 * size("latency")) < ack_wait,
            forgets: script.faults.iter().any(|fault| matches!(fault, Fault::PowerLoss { .. })),
            config,
        }
    }

    pub(super) fn broker(&self, seed: u64) -> MemoryConfig {
        let faults = Faults { seed, ..self.config.faults.clone() };
        MemoryConfig { faults, ..self.config.clone() }
    }

    /// The size of an item in bytes.
    pub(super) fn size(&self, number: u64) -> u64 {
        if self.budget == 0 { 0 } else { 1 + number * 37 % 90 }
    }

    pub(super) fn key(&self, number: u64) -> u64 {
        number * 5 % self.keys
    }

    /// The rows that an item has at the end.
    pub(super) fn rows(&self, number: u64) -> u64 {
        match self.shape {
            2 if self.is_filtered(number) => 0,
            3 | 5 => self.parts_of(number),
            _ => 1,
        }
    }

    pub(super) fn is_filtered(&self, number: u64) -> bool {
        number.is_multiple_of(4)
    }

    /// Some items have no parts.
    pub(super) fn parts_of(&self, number: u64) -> u64 {
        number % (self.parts + 1)
    }

    /// Whether each attempt of an item fails.
    pub(super) fn is_poison(&self, number: u64) -> bool {
        self.attempts > 0 && self.poison > 0 && number.is_multiple_of(self.poison)
    }
}

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
