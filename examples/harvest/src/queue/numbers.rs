//! The numbers of a worker, which it writes to the board.

use std::{
    collections::VecDeque,
    process,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use evenkeel::{pipeline::PipelineSnapshot, task::Stop};
use tokio::time::{MissedTickBehavior, interval};

use super::worker::Shared;
use crate::{
    board::{StageState, WorkerState},
    error::Fatal,
    process::{hostname, unique},
};

/// The time between two looks of a worker that has nothing to do: another one may have finished the harvest.
const LOOK: Duration = Duration::from_millis(100);

/// The looks between two writes.
const LOOKS_PER_WRITE: u64 = 10;

/// The time over which rates are taken.
const RATE: Duration = Duration::from_secs(3);

/// The last looks at the pipeline of a worker.
#[derive(Debug)]
pub(super) struct Numbers {
    id: String,
    looks: Mutex<VecDeque<PipelineSnapshot>>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { id: unique(), looks: Mutex::default() }
    }
}

impl Numbers {
    pub(super) fn look(&self, snapshot: PipelineSnapshot) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |look: &PipelineSnapshot| snapshot.elapsed.saturating_sub(look.elapsed) > RATE;
        while looks.len() > 1 && looks.front().is_some_and(is_old) {
            looks.pop_front();
        }
        looks.push_back(snapshot);
    }
}

/// Writes the numbers every second until `end` drains, and looks how far the harvest has come; more often without a job.
pub(super) async fn publish_numbers(shared: Arc<Shared>, end: Stop) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let publish = async {
        for number in 0_u64.. {
            ticks.tick().await;
            let is_turn = number.is_multiple_of(LOOKS_PER_WRITE);
            if is_turn {
                // Without the server there is no board either, and later numbers replace these.
                let _ = shared.board.publish(&shared.numbers(false)).await;
            }
            let state = match is_turn {
                true => shared.store.look().await,
                false if *shared.begun.borrow() == 0 => shared.store.state().await,
                false => continue,
            };
            match state {
                Ok(state) if state.is_complete => shared.complete(),
                Err(error) if !error.is_transient => shared.fail(Fatal::from(error)),
                _ => {}
            }
        }
    };
    tokio::select! {
        () = publish => {}
        () = end.draining() => {}
    }
}

impl Shared {
    /// Returns the numbers now.
    pub(super) fn numbers(&self, ended: bool) -> WorkerState {
        let (calls, retries, store_retries, failures, in_flight) = self.stats.with(|counts| {
            let retries = counts.retries.values().sum::<u64>();
            (counts.calls, retries, counts.store_retries, counts.failures.len() as u64, counts.in_flight)
        });
        let looks = self.numbers.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, last) = (looks.front(), looks.back());
        let rate = |stage: &str| first.zip(last).and_then(|(first, last)| last.rate_since(first, stage));
        let stages = last.into_iter().flat_map(|look| &look.stages).map(|stage| StageState {
            name: stage.name.clone(),
            limit: stage.limit,
            in_flight: stage.in_flight,
            queued: stage.queued as u64,
            waiting: stage.waiting.as_secs_f64(),
            working: stage.working.as_secs_f64(),
            done: stage.done,
            errors: stage.failed,
            retries: if stage.name == "read" { retries } else { store_retries },
            rate: rate(&stage.name).unwrap_or_default(),
        });
        WorkerState {
            id: self.numbers.id.clone(),
            pid: process::id(),
            host: hostname(),
            users: self.users.load(Relaxed),
            calls,
            retries,
            failures,
            dead_letters: self.dead_letters.load(Relaxed),
            in_flight,
            rate: rate("store").unwrap_or_default(),
            stages: stages.collect(),
            bottleneck: last.map(|look| look.bottleneck().to_string()),
            ended,
            ..WorkerState::default()
        }
    }
}
