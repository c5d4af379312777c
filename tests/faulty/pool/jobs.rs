//! Creations, checks and resets, each in a task of the pool.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use evenkeel_tck::{
    BoxFuture,
    pool::{BackendError, GetError, Object},
};
use tokio::time::{sleep, sleep_until, timeout};

use super::{
    Fault,
    shared::Shared,
    state::{Effects, Entry, Job, State},
};

/// The end of a job that took no course of its own.
enum Failure {
    TimedOut,
    Failed(BackendError),
    Panicked(String),
}

/// The number of jobs under way that a job is one of.
type Count = fn(&mut State) -> &mut usize;

/// A job under way. If it is dropped before its end, with its runtime, its object is gone, and there is room.
struct UnderWay {
    shared: Arc<Shared>,
    count: Count,
    entry: Option<Entry>,
    is_over: bool,
}

impl UnderWay {
    fn object(&self) -> &Object {
        match &self.entry {
            Some(entry) => &entry.object,
            None => unreachable!("only a creation is without one"),
        }
    }

    /// Ends the job.
    fn end<T>(mut self, change: impl FnOnce(&mut State, Option<Entry>, &mut Effects) -> T) -> T {
        self.is_over = true;
        let entry = self.entry.take();
        self.shared.update(|state, effects| {
            *(self.count)(state) -= 1;
            change(state, entry, effects)
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // A panic of a destructor makes room all the same.
        drop(catch_unwind(AssertUnwindSafe(|| self.entry.take())));
        let mut state = self.shared.state();
        *(self.count)(&mut state) -= 1;
        let is_check = std::ptr::fn_addr_eq(self.count, CHECKING);
        let is_lost = match self.shared.fault {
            Fault::LosesTheRoomOfACheck => is_check,
            Fault::LosesTheRoomOfARuntime => !is_check,
            _ => false,
        };
        if is_lost {
            return;
        }
        state.size -= 1;
        // It begins another one itself: nothing is spawned here, where a runtime may be ending.
        let waker = state.waiters.front().map(|waiter| waiter.waker.clone());
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

const CREATING: Count = |state| &mut state.creating;
const CHECKING: Count = |state| &mut state.checking;
const RESETTING: Count = |state| &mut state.resetting;

/// The task of a job. It is under way at once: the runtime may drop the task without polling it.
pub(super) fn run(shared: &Arc<Shared>, job: Job) -> BoxFuture<'static, ()> {
    let under_way = |count, entry| UnderWay { shared: shared.clone(), count, entry, is_over: false };
    match job {
        Job::Create(ticket, generation) => Box::pin(create(under_way(CREATING, None), ticket, generation)),
        Job::Check(entry, _) => Box::pin(check_for_waiter(under_way(CHECKING, Some(entry)))),
        Job::Reset(entry) => Box::pin(reset(under_way(RESETTING, Some(entry)))),
    }
}

/// Runs this within a time, and catches its panic.
async fn limited<T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, BackendError>>,
) -> Result<T, Failure> {
    let mut work = pin!(work);
    let caught = std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(result)) => Poll::Ready(result.map_err(Failure::Failed)),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().cloned();
            Poll::Ready(Err(Failure::Panicked(text.unwrap_or_default())))
        }
    });
    match limit {
        Some(limit) => timeout(limit, caught).await.unwrap_or(Err(Failure::TimedOut)),
        None => caught.await,
    }
}

async fn create(job: UnderWay, ticket: u64, generation: u32) {
    let shared = job.shared.clone();
    let paused = shared.state().next_attempt();
    if let Some(time) = paused {
        sleep_until(time).await;
    }
    let limit = shared.settings.create_timeout.filter(|_| shared.fault != Fault::NeverEndsCreations);
    let created = limited(limit, shared.settings.backend.create()).await;
    let fault = shared.fault;
    let ended = match created {
        Ok(object) => {
            return job.end(|state, _, effects| {
                let generation =
                    if fault == Fault::RetiresNoCreations { state.generation } else { generation };
                let entry = state.entry(object, generation);
                let is_wanted = state.waiters.iter().any(|waiter| waiter.ticket == ticket);
                let place = state.waiters.iter().position(|waiter| waiter.ticket == ticket);
                match place {
                    Some(place) if fault == Fault::WaitsForItsOwnCreation => {
                        state.answer(place, Ok(entry), effects);
                    }
                    _ if fault == Fault::DropsASpareObject && !is_wanted => effects.dropped.push(entry),
                    _ => state.deliver(entry, effects),
                }
                state.note_success();
            });
        }
        Err(ended) => ended,
    };
    let keeps_room = matches!(
        (&ended, fault),
        (Failure::Failed(_), Fault::LosesTheRoomOfFailures)
            | (Failure::Panicked(_), Fault::LosesTheRoomOfPanics)
    );
    job.end(|state, _, effects| {
        if !keeps_room {
            state.size -= 1;
        }
        let (error, tells_all) = match ended {
            Failure::Failed(error) if error.is_transient() || fault == Fault::KeepsErrors => {
                state.is_stuck |= fault == Fault::GivesUpTheMinimum;
                return state.note_failure(&error.to_string());
            }
            Failure::Failed(error) => (
                GetError::Create(error.to_string()),
                error.is_fatal() && fault != Fault::TellsOneOfAFatalError,
            ),
            Failure::TimedOut if fault == Fault::MixesTimeouts => (GetError::Timeout(None), false),
            Failure::TimedOut => (GetError::CreateTimeout, false),
            Failure::Panicked(_) if fault == Fault::SwallowsPanics => return,
            Failure::Panicked(text) => (GetError::Panic(text), false),
        };
        state.note_failure(&error.to_string());
        if fault == Fault::ForgetsWaitersOfFailures {
            state.is_stuck = true;
            return;
        }
        while !state.waiters.is_empty() {
            let place = if fault == Fault::TellsTheLast { state.waiters.len() - 1 } else { 0 };
            state.answer(place, Err(error.clone()), effects);
            if !tells_all {
                break;
            }
        }
    });
}

/// Checks an object.
pub(super) async fn check(shared: Arc<Shared>, entry: Entry) -> Result<Entry, ()> {
    let checks = shared.settings.checks && shared.fault != Fault::SkipsChecks;
    if !checks {
        return Ok(entry);
    }
    shared.state().checking += 1;
    let job = UnderWay { shared: shared.clone(), count: CHECKING, entry: Some(entry), is_over: false };
    let checked = limited(check_limit(&shared), job.object().check()).await;
    job.end(|_, entry, effects| match (checked, entry) {
        (Ok(()), Some(entry)) => Ok(entry),
        (_, entry) => {
            effects.dropped.extend(entry);
            Err(())
        }
    })
}

fn check_limit(shared: &Shared) -> Option<Duration> {
    shared.settings.check_timeout.filter(|_| shared.fault != Fault::NeverEndsChecks)
}

async fn check_for_waiter(job: UnderWay) {
    let shared = job.shared.clone();
    let checked = limited(check_limit(&shared), job.object().check()).await;
    let fault = shared.fault;
    job.end(|state, entry, effects| {
        let Some(entry) = entry else { return };
        match checked {
            Ok(()) => return state.deliver(entry, effects),
            Err(Failure::Panicked(_)) if fault == Fault::LosesTheRoomOfCheckPanics => {
                drop(entry);
                return;
            }
            Err(Failure::Panicked(text)) if !state.waiters.is_empty() => {
                state.answer(0, Err(GetError::Panic(text)), effects);
            }
            Err(Failure::Failed(error))
                if fault == Fault::TellsOfADeadObject && !state.waiters.is_empty() =>
            {
                state.answer(0, Err(GetError::Create(error.to_string())), effects);
            }
            Err(_) if fault == Fault::MovesAWaiterBack => {
                state.waiters.rotate_left(1.min(state.waiters.len()))
            }
            Err(_) => {}
        }
        effects.dropped.push(entry);
    });
}

async fn reset(job: UnderWay) {
    let shared = job.shared.clone();
    if shared.fault == Fault::ServesLate {
        sleep(Duration::from_millis(1)).await;
    }
    let limit = shared.settings.check_timeout.filter(|_| shared.fault != Fault::NeverEndsResets);
    let reset = if shared.settings.resets { limited(limit, job.object().reset()).await } else { Ok(()) };
    job.end(|state, entry, effects| {
        let Some(entry) = entry else { return };
        if reset.is_ok() || shared.fault == Fault::LendsWhatCannotBeReset {
            state.deliver(entry, effects);
        } else {
            effects.dropped.push(entry);
        }
    });
}
