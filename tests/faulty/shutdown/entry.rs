//! Something that runs on a stage.

use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use evenkeel_tck::shutdown::Job;
use tokio::sync::{Notify, oneshot, watch};

use super::Fault;
use crate::faulty::member::Member;

pub(super) struct Entry {
    pub(super) member: Member,
    pub(super) kind: What,
    pub(super) phase: usize,
    pub(super) is_vital: bool,
    asked: Arc<Asked>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Task,
    CleanUp,
    Guard,
}

/// The stop of one task.
#[derive(Default)]
struct Asked {
    reason: watch::Sender<Option<String>>,
    /// What a fault has in its place.
    edge: Notify,
}

/// The jobs that were started and have not begun.
#[derive(Clone, Default)]
pub(super) struct Started(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    /// Each with its phase.
    jobs: Vec<(Job, usize)>,
    waker: Option<Waker>,
}

impl Started {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job, phase: usize) {
        let mut queue = self.queue();
        queue.jobs.push((job, phase));
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }

    /// Takes all of them; the next one wakes.
    pub(super) fn take(&self, waker: &Waker) -> Vec<(Job, usize)> {
        let mut queue = self.queue();
        queue.waker = Some(waker.clone());
        std::mem::take(&mut queue.jobs)
    }
}

impl Entry {
    pub(super) fn new(fault: Fault, job: Job, kind: What, phase: usize, started: Started) -> Self {
        let (name, is_vital, phase) = (job.name(), job.is_vital(), job.phase().max(phase));
        let asked = Arc::new(Asked::default());
        let (mut reason, edge) = (asked.reason.subscribe(), asked.clone());
        let signal = async move {
            if fault == Fault::TellsWhoListens {
                edge.edge.notified().await;
                return None;
            }
            reason.wait_for(Option::is_some).await.ok()?.clone().filter(|reason| !reason.is_empty())
        };
        let work = job.run(signal, move |job| started.push(job, phase));
        Self { member: Member::new(name, Box::pin(work)), kind, phase, is_vital, asked }
    }

    /// Runs work beside the program, and is what ends with its guard.
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
        let member = Member::new(name, Box::pin(held));
        Self { member, kind: What::Guard, phase: 0, is_vital: false, asked: Arc::default() }
    }

    pub(super) fn ask(&self, reason: &str) {
        self.asked.reason.send_replace(Some(reason.to_owned()));
        self.asked.edge.notify_waiters();
    }

    pub(super) fn is_task(&self) -> bool {
        self.kind == What::Task
    }
}
