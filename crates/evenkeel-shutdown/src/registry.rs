//! The runs of this process: which signals they listen to, and which watchdogs are left of those that are over.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot::{self, Sender};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::escalation::{self, Effect};
use crate::run::Run;
use crate::watchdog_thread::{Lent, aside, end};
use crate::{Reason, signals, watchdog};

static PROCESS: Mutex<Process> =
    Mutex::new(Process { runs: Vec::new(), armed: Vec::new(), given_back: Vec::new(), last: None });

struct Process {
    runs: Vec<Listening>,
    // Of the runs that are over.
    armed: Vec<Armed>,
    // The signals that were taken over and that nobody wanted in the end.
    given_back: Vec<i32>,
    // When a signal counted last, and the window that it opened.
    last: Option<(Instant, Duration)>,
}

/// No code that is not ours runs while it is locked. The state of a run may be locked within, never the other way.
fn process() -> MutexGuard<'static, Process> {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Listening {
    run: Arc<Run>,
    numbers: Vec<i32>,
    // Whether it has begun.
    running: bool,
}

/// A watchdog, and what tells it that the runtime is gone.
#[derive(Clone)]
struct Armed {
    watchdog: AbortHandle,
    sentinel: Option<AbortHandle>,
}

impl Armed {
    fn call_off(self) {
        // The sentinel would be heard.
        self.watchdog.abort();
        self.sentinel.inspect(AbortHandle::abort);
    }
}

/// Keeps a run connected with the signals and its watchdog until it is dropped.
pub(crate) struct Watch {
    run: Arc<Run>,
    armed: Armed,
    runtime: Option<Sender<()>>,
    /// Why a signal cannot be heard: that shows when the run begins.
    refused: Option<String>,
}

impl Watch {
    /// Connects a run that has not begun.
    ///
    /// # Panics
    ///
    /// If the system refuses the thread.
    pub(crate) fn new(run: &Arc<Run>, numbers: &[i32]) -> Self {
        let (runtime, gone) = oneshot::channel();
        let watchdog = watchdog::start(run, gone);
        let mut process = process();
        let mut state = run.state();
        state.is_system = true;
        state.ladder.last = process.last.map(|(at, _)| at);
        drop(state);
        process.given_back.retain(|number| !numbers.contains(number));
        process.runs.push(Listening { run: Arc::clone(run), numbers: numbers.to_vec(), running: false });
        drop(process);
        let armed = Armed { watchdog, sentinel: None };
        // What comes from here on finds the run.
        let refused = take_over(numbers).err();
        Self { run: Arc::clone(run), armed, runtime: Some(runtime), refused }
    }

    /// Listens to these signals and no others.
    pub(crate) fn listen_to(&mut self, numbers: Vec<i32>) {
        let mut process = process();
        process.given_back.retain(|number| !numbers.contains(number));
        let Some(index) = process.index(&self.run) else { return };
        let before = mem::replace(&mut process.runs[index].numbers, numbers.clone());
        let unwanted: Vec<_> = before
            .into_iter()
            .filter(|number| process.runs.iter().all(|run| !run.numbers.contains(number)))
            .collect();
        process.given_back.extend(unwanted);
        drop(process);
        self.refused = take_over(&numbers).err();
    }

    /// Ties the watchdog to the runtime that this is called in, and calls those of earlier runs off.
    ///
    /// # Panics
    ///
    /// If the system has refused the handler of a signal.
    pub(crate) fn begin(&mut self) {
        if let Some(refused) = &self.refused {
            panic!("{refused}");
        }
        self.armed.sentinel = self.runtime.take().map(watchdog::sentinel);
        let earlier = {
            let mut process = process();
            if let Some(index) = process.index(&self.run) {
                process.runs[index].running = true;
            }
            mem::take(&mut process.armed)
        };
        earlier.into_iter().for_each(Armed::call_off);
    }
}

impl Process {
    fn index(&self, run: &Arc<Run>) -> Option<usize> {
        self.runs.iter().position(|listening| Arc::ptr_eq(&listening.run, run))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let is_armed = {
            let mut process = process();
            if let Some(index) = process.index(&self.run) {
                // Not the last one: this has it, too.
                process.runs.remove(index);
            }
            let mut state = self.run.state();
            let by_itself = !self.run.stop.is_draining() || self.run.reason() == Some(&Reason::Ended);
            state.ended_by_itself = by_itself && !state.ladder.has_counted();
            // The end of one run is not the end of the process while there is another, nor is that of one that
            // nobody has begun and nobody wanted to stop.
            let is_armed = !process.runs.iter().any(|other| other.running)
                && (self.armed.sentinel.is_some() || !state.ended_by_itself);
            if is_armed {
                process.armed.push(self.armed.clone());
            }
            is_armed
        };
        if !is_armed {
            self.armed.clone().call_off();
        }
    }
}

/// Takes signals over from the system; an error is in words.
fn take_over(numbers: &[i32]) -> Result<(), String> {
    numbers.iter().try_for_each(|&number| {
        let taken = signals::take_over(number, heard);
        taken.map_err(|error| format!("signal {number} cannot be listened to: {error}"))
    })
}

/// Whether another run has begun and goes on.
pub(crate) fn another_runs(run: &Arc<Run>) -> bool {
    process().runs.iter().any(|other| other.running && !Arc::ptr_eq(&other.run, run))
}

/// Calls the watchdogs of all runs off that are over.
pub(crate) fn disarm() {
    let armed = mem::take(&mut process().armed);
    armed.into_iter().for_each(Armed::call_off);
}

/// The ladder: drain, abort, end. The handler stays installed for good, so a signal that no run listens to ends
/// the process.
pub(crate) fn heard(number: i32) {
    let (effects, is_wanted, is_given_back) = {
        let mut process = process();
        let now = Instant::now();
        let is_copy = process.last.is_some_and(|(last, window)| escalation::within(Some(last), window, now));
        let listening: Vec<_> = process
            .runs
            .iter()
            .filter(|listening| listening.numbers.contains(&number))
            .map(|listening| Lent::new(Arc::clone(&listening.run)))
            .collect();
        let effects = count(&mut process, listening, number, now);
        let is_wanted = is_copy || !effects.is_empty();
        (effects, is_wanted, process.given_back.contains(&number))
    };
    match (is_wanted, is_given_back) {
        (true, _) => {}
        (false, true) => signals::by_default(number),
        (false, false) => end(128 + number),
    }
    for (run, effect) in effects {
        match effect {
            Effect::Nothing => {}
            Effect::End => end(128 + number),
            effect => aside(Arc::clone(run.run()), move |run| run.obey(number, effect)),
        }
    }
}

/// Does for one run what `heard` does for all, on the thread of the caller.
pub(crate) fn told(run: &Arc<Run>, number: i32) {
    let effects = {
        let mut process = process();
        count(&mut process, vec![Lent::new(Arc::clone(run))], number, Instant::now())
    };
    for (run, effect) in effects {
        match effect {
            Effect::End => end(128 + number),
            effect => run.run().obey(number, effect),
        }
    }
}

fn count(process: &mut Process, runs: Vec<Lent>, number: i32, now: Instant) -> Vec<(Lent, Effect)> {
    let effects = runs.into_iter().map(|run| {
        let (effect, window) = run.run().hear(number, now);
        if effect != Effect::Nothing {
            // Of several runs the one that waits longest.
            let longer =
                process.last.filter(|(last, _)| *last == now).map_or(window, |(_, other)| other.max(window));
            process.last = Some((now, longer));
        }
        (run, effect)
    });
    effects.collect()
}
