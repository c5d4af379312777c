//! The runs of this process: it passes signals on to them, and keeps the watchdogs of runs that are over.
//!
//! # How it works
//!
//! One static [`Registry`] lists the runs that have not ended, with the signals that each listens to, and the
//! watchdogs that stay armed after their run. A [`ProcessLink`] connects a run with it. The signal thread calls
//! [`on_signal`], which records the signal in all runs that listen to it under the lock of the registry, and
//! applies it after that on other threads, because a drain wakes foreign wakers.
//!
//! Lock order: the registry, then the state of a run, never the other way round.
//!
//! - **No signal is lost at the start**: a run is registered before its signals are taken over.
//! - **Copies are recognized over the end of a run**: the registry keeps the last signal that counted and its window,
//!   and hands the instant to the next run.
//! - **The end of one run does not end a process with another one**: a link that is dropped looks for other runs and
//!   decides on its own watchdog in one critical section.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use evenkeel_base::lock;
use tokio::{
    sync::oneshot::{self, Sender},
    task::AbortHandle,
    time::Instant,
};

#[cfg(all(unix, feature = "inspect"))]
use crate::dump_signal::{self, DumpFn};
use crate::{
    Reason,
    escalation::{self, Effect},
    exit::exit,
    run::Run,
    signals, watchdog,
    watchdog_thread::{RunRef, on_blocking_thread},
};

static REGISTRY: Mutex<Registry> =
    Mutex::new(Registry { runs: Vec::new(), armed: Vec::new(), released: Vec::new(), last: None });

struct Registry {
    runs: Vec<RegisteredRun>,
    // The watchdogs of runs that are over.
    armed: Vec<ArmedWatchdog>,
    // Signals that were taken over and that no run listens to any more: they get the default action.
    released: Vec<i32>,
    // The last signal that counted, and the window that it opened.
    last: Option<(Instant, Duration)>,
}

/// Locks the registry. No foreign code runs under this lock; the state of a run may be locked within it.
fn registry() -> MutexGuard<'static, Registry> {
    lock(&REGISTRY)
}

struct RegisteredRun {
    run: Arc<Run>,
    signals: Vec<i32>,
    has_begun: bool,
}

/// A watchdog, and the task that tells it that the runtime is gone.
#[derive(Clone)]
struct ArmedWatchdog {
    watchdog: AbortHandle,
    sentinel: Option<AbortHandle>,
}

impl ArmedWatchdog {
    fn disarm(self) {
        // The watchdog first: it would take the end of the sentinel for the end of the runtime.
        self.watchdog.abort();
        self.sentinel.inspect(AbortHandle::abort);
    }
}

/// Connects a run with the signals and its watchdog until it is dropped.
pub(crate) struct ProcessLink {
    run: Arc<Run>,
    armed: ArmedWatchdog,
    runtime: Option<Sender<()>>,
    // The error of a signal that cannot be taken over; `begin` panics with it.
    refused: Option<String>,
    #[cfg(all(unix, feature = "inspect"))]
    dump: Option<Arc<DumpFn>>,
}

impl ProcessLink {
    /// Connects a run that has not begun.
    ///
    /// # Panics
    ///
    /// If the system refuses the thread.
    pub(crate) fn new(run: &Arc<Run>, numbers: &[i32]) -> Self {
        let (runtime, gone) = oneshot::channel();
        let watchdog = watchdog::start(run, gone, is_another_running);
        let mut registry = registry();
        let mut state = run.state();
        state.ends_process = true;
        state.escalation.last = registry.last.map(|(at, _)| at);
        drop(state);
        registry.released.retain(|number| !numbers.contains(number));
        registry.runs.push(RegisteredRun {
            run: Arc::clone(run),
            signals: numbers.to_vec(),
            has_begun: false,
        });
        drop(registry);
        let armed = ArmedWatchdog { watchdog, sentinel: None };
        // A signal that comes from here on finds the run.
        let refused = take_over(numbers).err();
        Self {
            run: Arc::clone(run),
            armed,
            runtime: Some(runtime),
            refused,
            #[cfg(all(unix, feature = "inspect"))]
            dump: None,
        }
    }

    /// Makes a dump at SIGUSR1 from now on, and gives it to the function until the run is over.
    #[cfg(all(unix, feature = "inspect"))]
    pub(crate) fn dump_at_signal(&mut self, to: Arc<DumpFn>) {
        dump_signal::give_to(&to);
        self.dump = Some(to);
        self.refused = self.refused.take().or_else(|| take_over(&[dump_signal::SIGNAL]).err());
    }

    /// Listens to these signals and no others.
    pub(crate) fn listen_to(&mut self, numbers: Vec<i32>) {
        let mut registry = registry();
        registry.released.retain(|number| !numbers.contains(number));
        let Some(index) = registry.index(&self.run) else { return };
        let before = mem::replace(&mut registry.runs[index].signals, numbers.clone());
        let unwanted: Vec<_> = before
            .into_iter()
            .filter(|number| registry.runs.iter().all(|run| !run.signals.contains(number)))
            .collect();
        registry.released.extend(unwanted);
        drop(registry);
        self.refused = take_over(&numbers).err();
        #[cfg(all(unix, feature = "inspect"))]
        if self.dump.is_some() {
            self.refused = self.refused.take().or_else(|| take_over(&[dump_signal::SIGNAL]).err());
        }
    }

    /// Ties the watchdog to the current runtime, and disarms the watchdogs of earlier runs.
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
            let mut registry = registry();
            if let Some(index) = registry.index(&self.run) {
                registry.runs[index].has_begun = true;
            }
            mem::take(&mut registry.armed)
        };
        earlier.into_iter().for_each(ArmedWatchdog::disarm);
    }
}

impl Registry {
    fn index(&self, run: &Arc<Run>) -> Option<usize> {
        self.runs.iter().position(|registered| Arc::ptr_eq(&registered.run, run))
    }

    /// Records a signal in these runs, and returns its effect on each; the caller applies them without the lock.
    fn record_signal(&mut self, runs: Vec<RunRef>, number: i32, now: Instant) -> Vec<(RunRef, Effect)> {
        let effects = runs.into_iter().map(|run| {
            let (effect, window) = run.run().record_signal(number, now);
            if effect != Effect::Nothing {
                // If the signal counts in several runs, the longest window holds.
                let longest =
                    self.last.filter(|(last, _)| *last == now).map_or(window, |(_, other)| other.max(window));
                self.last = Some((now, longest));
            }
            (run, effect)
        });
        effects.collect()
    }
}

impl Drop for ProcessLink {
    fn drop(&mut self) {
        let is_armed = {
            let mut registry = registry();
            if let Some(index) = registry.index(&self.run) {
                // Never the last reference, which would drop the run under the lock: this link has one, too.
                registry.runs.remove(index);
            }
            let mut state = self.run.state();
            let by_itself = !self.run.stop.is_draining() || self.run.reason() == Some(&Reason::Ended);
            state.ended_by_itself = by_itself && !state.escalation.has_counted();
            // The process need not end while another run goes on, nor after a run that never began and that nobody
            // asked to stop.
            let is_armed = !registry.runs.iter().any(|other| other.has_begun)
                && (self.armed.sentinel.is_some() || !state.ended_by_itself);
            if is_armed {
                registry.armed.push(self.armed.clone());
            }
            is_armed
        };
        if !is_armed {
            self.armed.clone().disarm();
        }
    }
}

/// Takes signals over from the system; an error is in words.
fn take_over(numbers: &[i32]) -> Result<(), String> {
    numbers.iter().try_for_each(|&number| {
        let taken = signals::take_over(number, on_signal);
        taken.map_err(|error| format!("signal {number} cannot be listened to: {error}"))
    })
}

/// Returns whether another run has begun and goes on.
fn is_another_running(run: &Arc<Run>) -> bool {
    registry().runs.iter().any(|other| other.has_begun && !Arc::ptr_eq(&other.run, run))
}

/// Disarms the watchdogs of all runs that are over.
pub(crate) fn disarm() {
    let armed = mem::take(&mut registry().armed);
    armed.into_iter().for_each(ArmedWatchdog::disarm);
}

/// Handles a signal of the process: drain, abort, exit.
///
/// Handlers are never removed, so a signal that no run listens to ends the process.
fn on_signal(number: i32) {
    #[cfg(all(unix, feature = "inspect"))]
    let is_dumped = dump_signal::on_signal(number);
    #[cfg(not(all(unix, feature = "inspect")))]
    let is_dumped = false;
    let (effects, is_wanted, is_released) = {
        let mut registry = registry();
        let now = Instant::now();
        let is_copy =
            registry.last.is_some_and(|(last, window)| escalation::is_within(Some(last), window, now));
        let listening: Vec<_> = registry
            .runs
            .iter()
            .filter(|registered| registered.signals.contains(&number))
            .map(|registered| RunRef::new(Arc::clone(&registered.run)))
            .collect();
        let effects = registry.record_signal(listening, number, now);
        let is_wanted = is_copy || is_dumped || !effects.is_empty();
        (effects, is_wanted, registry.released.contains(&number))
    };
    match (is_wanted, is_released) {
        (true, _) => {}
        (false, true) => signals::default_action(number),
        (false, false) => exit(128 + number),
    }
    for (run, effect) in effects {
        match effect {
            Effect::Nothing => {}
            Effect::Exit => exit(128 + number),
            effect => on_blocking_thread(Arc::clone(run.run()), move |run| run.apply_signal(number, effect)),
        }
    }
}

/// Handles a signal that the program itself sends to one run, on the thread of the caller.
pub(crate) fn on_program_signal(run: &Arc<Run>, number: i32) {
    #[cfg(all(unix, feature = "inspect"))]
    if dump_signal::on_signal(number) {
        return;
    }
    let effects = {
        let runs = vec![RunRef::new(Arc::clone(run))];
        registry().record_signal(runs, number, Instant::now())
    };
    for (run, effect) in effects {
        match effect {
            Effect::Exit => exit(128 + number),
            effect => run.run().apply_signal(number, effect),
        }
    }
}
