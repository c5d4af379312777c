//! The drain of a run in the dumps of evenkeel-inspect.
//!
//! # How it works
//!
//! The holders are the tasks, clean-ups and guards of the state, as they are there anyway: before the stop all of them, and
//! during it those that the current step waits for. The waiter is the task that awaits the run, from the request to stop on.
//!
//! A look for the report begins shortly before a step is over its time, on a thread that may block, and nothing waits for it: it
//! calls foreign code, which must not delay the abort.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::HashMap,
    panic::Location,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use evenkeel_base::lock;
use evenkeel_inspect::{
    Dump, HolderEdge, Inspect, Inspected, InspectedResource, Registration, TaskId, WaiterEdge, copy_chunks,
    dump, dump_of, register,
};
use evenkeel_task::Panic;
use tokio::{runtime::Handle, task::spawn_blocking, time::Instant};

use crate::{
    Kind,
    phase::PhaseStep,
    run::Run,
    state::{Registration as Part, State},
    watchdog_thread::runtime,
};

/// The guards that have outlived their tasks of which a dump tells.
const MAX_LEFT: usize = 10;

/// The place of a run in the registry of the process, and what a look at its end has seen.
pub(crate) struct Inspection {
    place: &'static Location<'static>,
    // `Some` once the run has begun.
    awaited: OnceLock<Awaited>,
    // The number of the current step of a stop, and its begin; `None` until a phase stops.
    step: Mutex<Option<(u64, Instant)>>,
    dump: OnceLock<Arc<Dump>>,
}

/// The task that awaits a run, and where.
struct Awaited {
    task: TaskId,
    place: &'static Location<'static>,
    _registration: Registration,
}

impl Inspection {
    pub(crate) fn new(place: &'static Location<'static>) -> Self {
        Self { place, awaited: OnceLock::new(), step: Mutex::new(None), dump: OnceLock::new() }
    }

    /// Records that a step of a stop begins, before the state says so: the wait for its parts is a new one.
    pub(crate) fn begin_step(&self) {
        let now = Instant::now();
        let mut step = lock(&self.step);
        *step = Some((step.map_or(1, |(number, _)| number + 1), now));
    }

    /// Returns the dump of the first step that was about to be over its time.
    pub(crate) fn dump(&self) -> Option<Arc<Dump>> {
        self.dump.get().cloned()
    }
}

impl Run {
    /// Enters a run that begins, in the runtime in which it does, and the task that awaits it.
    pub(crate) fn begin_inspection(self: &Arc<Self>, place: &'static Location<'static>) {
        let run = Arc::downgrade(self);
        self.inspection.awaited.get_or_init(|| Awaited {
            task: TaskId::current(),
            place,
            _registration: register(run),
        });
    }

    /// Looks at what stands still, for the report, and does not wait for it.
    pub(crate) fn look(self: &Arc<Self>) {
        if self.inspection.dump.get().is_some() {
            return;
        }
        let run = Arc::clone(self);
        let ends_process = self.state().ends_process;
        let look = move || {
            // A run without signals may be one of several in a test.
            let dump = if ends_process { dump() } else { dump_of(Handle::current().id()) };
            let _ = run.inspection.dump.set(Arc::new(dump));
        };
        // The system may refuse a thread: then the report has no dump.
        let _ = Panic::catch(|| match ends_process {
            // A runtime waits for its blocking calls when it is dropped, and this one is not.
            true => drop(runtime().spawn_blocking(look)),
            false => drop(spawn_blocking(look)),
        });
    }
}

impl Inspect for Run {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let inspection = &self.inspection;
        let stopped_at = self.stop.is_draining().then(|| self.noticed_stop_at().unwrap_or(now));
        let (waiter, place) = inspection.awaited.get().map(|awaited| (awaited.task, awaited.place))?;
        let state = self.state();
        if state.is_over && state.tasks.iter().all(|task| task.ended.is_some()) {
            return None;
        }
        let step = stopped_at.map(|stopped_at| Step::of(&state, stopped_at));
        let is_awaited = |part: &Part| step.as_ref().is_none_or(|step| step.awaits(part));
        let mut drain = InspectedResource::new("drain", 0);
        drain.place = Some(inspection.place);
        let running = state.tasks.iter().enumerate();
        let running = running.filter(|(_, task)| task.ended.is_none() && task.start.is_none());
        for (index, task) in running.filter(|(_, task)| is_awaited(&task.registration)) {
            let held_for = now.saturating_duration_since(task.started);
            let number = 2 * index as u64;
            drain.holders.push(holder(number, task.polling.task(), &task.registration, held_for));
            if task.abort_sent && task.polling.is_set() {
                let Part { name, place, .. } = &task.registration;
                let name = name.escape_debug();
                drain.notes.push(format!("task '{name}' ({place}) was told to abort, and keeps its thread"));
            }
        }
        // The tasks that have ended, as a guard may have been forgotten in one.
        let ended = state.tasks.iter().filter(|task| task.ended.is_some() && stopped_at.is_some());
        let ended: HashMap<TaskId, Cow<'static, str>> =
            ended.filter_map(|task| Some((task.polling.task()?, task.registration.name.clone()))).collect();
        let guards = state.guards.len();
        drop(state);
        copy_chunks(&mut drain.holders, guards, |entries, holders| {
            let state = self.state();
            let guards = state.guards.values_in(entries).filter(|guard| is_awaited(&guard.registration));
            holders.extend(guards.map(|guard| {
                let held_for = now.saturating_duration_since(guard.since);
                holder(2 * guard.number + 1, Some(guard.task), &guard.registration, held_for)
            }));
            state.guards.entry_count()
        });
        drain.holders.sort_by_key(|holder| Reverse(holder.held_for));
        drain.in_use = drain.holders.len() as u64;
        drain.capacity = drain.in_use;
        if let (Some(step), Some(stopped_at)) = (step, stopped_at) {
            // Read behind the state, so that it is no older than that.
            let (number, since) = lock(&inspection.step).unwrap_or((0, stopped_at));
            let mut waiter = WaiterEdge::new(number, waiter, place, now.saturating_duration_since(since));
            (waiter.until, waiter.label) = (step.until, Some(step.label));
            drain.waiters.push(waiter);
        }
        if stopped_at.is_some() {
            let reason = self.reason_text();
            drain.notes.push(format!("asked to stop: {}", reason.escape_debug()));
        }
        let taken_by = |holder: &HolderEdge| ended.get(&holder.task.filter(|_| is_guard(holder.number))?);
        let left = drain.holders.iter().filter_map(|holder| {
            let (label, task) = (holder.label.as_deref()?, taken_by(holder)?);
            Some(format!(
                "'{}' has outlived task '{}', which took it",
                label.escape_debug(),
                task.escape_debug()
            ))
        });
        drain.notes.extend(left.take(MAX_LEFT).collect::<Vec<_>>());
        Some(Inspected::Resource(drain))
    }
}

/// Returns whether the number of a holder is that of a guard.
const fn is_guard(number: u64) -> bool {
    number % 2 == 1
}

fn holder(number: u64, task: Option<TaskId>, part: &Part, held_for: Duration) -> HolderEdge {
    let mut holder = HolderEdge::new(number, task, part.place, held_for);
    holder.label = Some(format!("{} {}", part.kind, part.name).into());
    holder
}

/// The step of a stop that is waited for.
struct Step {
    label: String,
    until: Option<Instant>,
    parts: Parts,
}

/// The parts of a program that a step waits for.
enum Parts {
    /// It waits for the time alone.
    None,
    /// The tasks and guards of a phase.
    Phase(usize),
    /// Its clean-ups, and tasks of it that were aborted.
    CleanUps(usize),
    All,
}

impl Step {
    fn of(state: &State, stopped_at: Instant) -> Self {
        let at = |allowance| stopped_at.checked_add(allowance);
        let deadlines = state.deadlines;
        let steps = state.phases.iter().enumerate();
        let mut steps = steps.map(|(index, phase)| (index, phase, phase.step));
        if let Some((index, phase, step)) =
            steps.clone().find(|(_, _, step)| matches!(step, PhaseStep::Draining | PhaseStep::CleaningUp))
        {
            let is_clean_up = step == PhaseStep::CleaningUp;
            let parts = if is_clean_up { "clean-ups" } else { "tasks and guards" };
            let label = match &phase.name {
                Some(name) => format!("the {parts} of phase '{}'", name.escape_debug()),
                None => format!("the {parts}"),
            };
            let reserved = deadlines.reserved_after(&state.phases, index, step);
            let until = at(deadlines.grace.saturating_sub(reserved));
            let parts = if is_clean_up { Parts::CleanUps(index) } else { Parts::Phase(index) };
            return Self { label, until, parts };
        }
        if steps.all(|(_, _, step)| step == PhaseStep::Running) {
            let until = at(deadlines.pre_stop);
            return Self { label: "the end of the pre-stop delay".to_owned(), until, parts: Parts::None };
        }
        Self { label: "the tasks that were aborted".to_owned(), until: None, parts: Parts::All }
    }

    /// Returns whether a part that is alive is waited for.
    fn awaits(&self, part: &Part) -> bool {
        match self.parts {
            Parts::None => false,
            Parts::Phase(phase) => part.phase == phase,
            Parts::CleanUps(phase) => part.phase == phase && part.kind != Kind::Guard,
            Parts::All => part.kind != Kind::Guard,
        }
    }
}
