//! Several threads at once.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
};

use tokio::runtime::Handle;

use super::prelude::*;

pub(super) const RULES: &[Rule<Settings>] = &[
    rule!(Must "LIMIT-68" threads limit_68 "Threads that ask at once get the burst together, and no more."),
    rule!(Must "LIMIT-69" threads limit_69 "Of several threads, never more run at once than the limit."),
];

const THREADS: u32 = 4;

/// Lets all threads begin with the same limiter at the same time, one limiter after the other.
fn race(
    subject: &Subject,
    settings: &Settings,
    rounds: usize,
    work: impl Fn(usize, &Harness) + Sync,
) -> Checked {
    let runtime = runtime(Builder::new_multi_thread().worker_threads(1).enable_time())?;
    let _inside = runtime.enter();
    let trials: Vec<Harness> =
        (0..rounds).map(|_| Harness::start(subject, settings)).collect::<Checked<_>>()?;
    let begins = Barrier::new(THREADS as usize);
    let racer = || {
        let _inside = runtime.enter();
        for (round, harness) in trials.iter().enumerate() {
            begins.wait();
            work(round, harness);
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(racer))));
    Ok(())
}

fn limit_68(subject: &Subject) -> Checked {
    const ROUNDS: usize = 50;
    const BURST: u32 = 100;
    let granted: Vec<AtomicU32> = (0..ROUNDS).map(|_| AtomicU32::new(0)).collect();
    race(subject, &Settings::rate(BURST, secs(24 * 60 * 60)), ROUNDS, |round, harness| {
        for _ in 0..BURST {
            let is_granted = harness.ask_unnoted(Request::of(1)).is_ok();
            granted[round].fetch_add(u32::from(is_granted), SeqCst);
        }
    })?;
    match granted.iter().map(|count| count.load(SeqCst)).find(|count| *count != BURST) {
        None => Ok(()),
        Some(wrong) => Err(Verdict::fail(format_args!("{BURST} for {THREADS} threads together"), wrong)),
    }
}

fn limit_69(subject: &Subject) -> Checked {
    const ROUNDS: usize = 200;
    let (running, peak) = (AtomicU32::new(0), AtomicU32::new(0));
    race(subject, &Settings::concurrency(2), ROUNDS, |_, harness| {
        let turn = async { timeout(secs(60), harness.unpolled(Request::of(1))).await };
        let Ok(Ok(permit)) = Handle::current().block_on(turn) else { return };
        peak.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
        thread::yield_now();
        running.fetch_sub(1, SeqCst);
        drop(permit);
    })?;
    match peak.load(SeqCst) {
        1..=2 => Ok(()),
        peak => Err(Verdict::fail("at most 2 at once", peak)),
    }
}
