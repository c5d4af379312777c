//! A process that can be killed between any two of its steps.
//!
//! # How it works
//!
//! A kill in a simulation cannot spare the destructors: the tasks of the process are dropped, and its code could still say
//! something to the world then. So everything that a process does to its world goes through its [`Process`], which counts
//! the steps. From the step at which it is killed on nothing takes effect any more: calls hang, results do not arrive.
//! The state of the process is dropped afterwards, by the one that waits for [`killed`](Process::killed); the world stays.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use tokio::sync::Notify;

/// A process of the program under simulation; clones stand for the same one.
#[derive(Clone, Debug)]
pub struct Process {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// The steps so far.
    steps: AtomicU64,
    killed_at: u64,
    is_dead: AtomicBool,
    killed: Notify,
    /// The step that somebody waits for.
    awaited: AtomicU64,
    reached: Notify,
}

impl Process {
    /// Creates a process that is killed at this step, or lives.
    #[must_use]
    pub fn new(killed_at: Option<u64>) -> Self {
        let state = State {
            steps: AtomicU64::new(0),
            killed_at: killed_at.unwrap_or(u64::MAX),
            is_dead: AtomicBool::new(false),
            killed: Notify::new(),
            awaited: AtomicU64::new(u64::MAX),
            reached: Notify::new(),
        };
        Self { state: Arc::new(state) }
    }

    /// Makes a step; returns whether the process is alive, and may have an effect.
    #[must_use = "a process that is dead has no effect"]
    pub fn step(&self) -> bool {
        if self.is_dead() {
            return false;
        }
        let step = self.state.steps.fetch_add(1, Relaxed) + 1;
        if step == self.state.awaited.load(Relaxed) {
            self.state.reached.notify_one();
        }
        if step >= self.state.killed_at {
            self.kill();
        }
        !self.is_dead()
    }

    /// Returns the steps so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.state.steps.load(Relaxed)
    }

    /// Waits until it has made so many steps; one future waits.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn reaches(&self, step: u64) {
        self.state.awaited.store(step, Relaxed);
        while self.steps() < step {
            self.state.reached.notified().await;
        }
    }

    /// Kills it now.
    pub fn kill(&self) {
        self.state.is_dead.store(true, Relaxed);
        self.state.killed.notify_one();
    }

    /// Returns whether it was killed.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.state.is_dead.load(Relaxed)
    }

    /// Waits until it is killed; one future waits.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn killed(&self) {
        while !self.is_dead() {
            self.state.killed.notified().await;
        }
    }

    /// Returns a future of the process: each poll is a step before it, and its result is one behind it.
    pub fn runs<F: Future>(&self, future: F) -> Steps<F> {
        Steps { process: self.clone(), future: Box::pin(future) }
    }
}

/// A future of a process, which hangs when the process is dead; from [`Process::runs`].
///
/// # Cancel safety
///
/// That of the future inside.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Steps<F> {
    process: Process,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Steps<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !self.process.step() {
            return Poll::Pending;
        }
        match self.future.as_mut().poll(cx) {
            Poll::Ready(output) if self.process.step() => Poll::Ready(output),
            _ => Poll::Pending,
        }
    }
}
