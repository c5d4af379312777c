//! A task, a clean-up or a guard of a program.

use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use evenkeel_tck::shutdown::Job;
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

/// The jobs that were spawned and have not begun.
#[derive(Clone, Default)]
pub(super) struct SpawnQueue(Arc<Mutex<QueueState>>);

#[derive(Default)]
struct QueueState {
    /// Each with its phase.
    jobs: Vec<(Job, usize)>,
    waker: Option<Waker>,
}

impl SpawnQueue {
    fn queue(&self) -> MutexGuard<'_, QueueState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job, phase: usize) {
        let mut queue = self.queue();
        queue.jobs.push((job, phase));
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }

    /// Takes all of them; the next push wakes.
    pub(super) fn take(&self, waker: &Waker) -> Vec<(Job, usize)> {
        let mut queue = self.queue();
        queue.waker = Some(waker.clone());
        std::mem::take(&mut queue.jobs)
    }
}

impl ProgramTask {
    pub(super) fn new(fault: Fault, job: Job, kind: TaskKind, phase: usize, spawned: SpawnQueue) -> Self {
        let (name, is_vital, phase) = (job.name(), job.is_vital(), job.phase().max(phase));
        let asked = Arc::new(DrainSignal::default());
        let (mut reason, edge) = (asked.reason.subscribe(), asked.clone());
        let signal = async move {
            if fault == Fault::TellsWhoListens {
                edge.edge.notified().await;
                return None;
            }
            reason.wait_for(Option::is_some).await.ok()?.clone().filter(|reason| !reason.is_empty())
        };
        let work = job.run(signal, move |job| spawned.push(job, phase));
        Self { future: InlineTask::new(name, Box::pin(work)), kind, phase, is_vital, asked }
    }

    /// Runs work beside the program. The returned task ends when the guard of that work is dropped.
    pub(super) fn guard(job: Job) -> Self {
        let (guard, released) = oneshot::channel::<()>();
        let name = job.name();
        tokio::spawn(async move {
            let _ = job.run(pending(), drop).await;
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
