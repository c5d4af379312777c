//! A task, a clean-up or a guard of a program.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use evenkeel_tck::shutdown::Task;
use tokio::sync::{Notify, oneshot, watch};

use super::Fault;
use crate::faulty::inline_task::InlineTask;

pub(super) struct ProgramTask {
    pub(super) future: InlineTask,
    pub(super) kind: TaskKind,
    pub(super) phase: usize,
    pub(super) is_vital: bool,
    asked: Arc<DrainSignal>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskKind {
    Task,
    CleanUp,
    Guard,
}

/// The stop of one task.
#[derive(Default)]
struct DrainSignal {
    reason: watch::Sender<Option<String>>,
    /// The signal of a fault, which only wakes current listeners.
    edge: Notify,
}

/// The tasks that were spawned and have not begun.
#[derive(Clone, Default)]
pub(super) struct SpawnQueue(Arc<Mutex<QueueState>>);

#[derive(Default)]
struct QueueState {
    /// Each with its phase.
    tasks: Vec<(Task, usize)>,
    waker: Option<Waker>,
}

impl SpawnQueue {
    fn queue(&self) -> MutexGuard<'_, QueueState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, task: Task, phase: usize) {
        let mut queue = self.queue();
        queue.tasks.push((task, phase));
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }

    /// Takes all of them; the next push wakes.
    pub(super) fn take(&self, waker: &Waker) -> Vec<(Task, usize)> {
        let mut queue = self.queue();
        queue.waker = Some(waker.clone());
        std::mem::take(&mut queue.tasks)
    }
}

impl ProgramTask {
    pub(super) fn new(fault: Fault, task: Task, kind: TaskKind, phase: usize, spawned: SpawnQueue) -> Self {
        let (name, is_vital, phase) = (task.name(), task.is_vital(), task.phase().max(phase));
        let asked = Arc::new(DrainSignal::default());
        let (mut reason, edge) = (asked.reason.subscribe(), asked.clone());
        let signal = async move {
            if fault == Fault::TellsWhoListens {
                edge.edge.notified().await;
                return None;
            }
            reason.wait_for(Option::is_some).await.ok()?.clone().filter(|reason| !reason.is_empty())
        };
        let work = task.run(signal, move |task| spawned.push(task, phase));
        Self { future: InlineTask::new(name, Box::pin(work)), kind, phase, is_vital, asked }
    }

    /// Runs work beside the program. The returned task ends when the guard of that work is dropped.
    pub(super) fn guard(task: Task) -> Self {
        let (guard, released) = oneshot::channel::<()>();
        let name = task.name();
        tokio::spawn(async move {
            let _ = task.alone().await;
            drop(guard);
        });
        let held = async {
            let _ = released.await;
            Ok(())
        };
        let future = InlineTask::new(name, Box::pin(held));
        Self { future, kind: TaskKind::Guard, phase: 0, is_vital: false, asked: Arc::default() }
    }

    pub(super) fn ask(&self, reason: &str) {
        self.asked.reason.send_replace(Some(reason.to_owned()));
        self.asked.edge.notify_waiters();
    }

    pub(super) fn is_task(&self) -> bool {
        self.kind == TaskKind::Task
    }
}
