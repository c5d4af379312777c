//! The worker of a distributed limit: the one task in a process that calls the store.
//!
//! It runs while requests wait and while there are permits to give back. In an outage with a local share it serves the
//! waiters from the share, also during a call of the store, so that a store that hangs delays nobody.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    thread,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    task::AbortHandle,
    time::{timeout, timeout_at},
};

use super::{
    OnFailure,
    client::Client,
    error::Failure,
    quota::Quota,
    state::{CallOutcome, CallRequest, State, WorkerAction},
    store::{Answer, CallError, Take},
};
use crate::telemetry;

pub(super) fn spawn(runtime: &Handle, client: Arc<Client>) -> AbortHandle {
    let guard = WorkerGuard { client, has_ended: false };
    runtime.spawn(run(guard)).abort_handle()
}

/// A panic of a waker does not end the worker: the panic hook has reported it already.
async fn run(mut guard: WorkerGuard) {
    let client = Arc::clone(&guard.client);
    while let (Some(action), _) = client.with_caught(State::next_action) {
        match action {
            WorkerAction::Call(request) => {
                let answer = client.serve_and_call(request).await;
                let (outcome, _) = client.with_caught(|state| state.apply_answer(request, answer));
                client.report(outcome);
            }
            // The state is asked again, whether the time has come or it has changed.
            WorkerAction::Sleep(until) => {
                drop(timeout_at(until, client.worker_notify.notified()).await);
            }
        }
    }
    guard.has_ended = true;
}

/// Tells the state that its worker is gone, also when the task is aborted, panics or loses its runtime.
struct WorkerGuard {
    client: Arc<Client>,
    /// Whether the worker ended by itself. Another may have started since.
    has_ended: bool,
}

impl Drop for WorkerGuard {
    fn drop(&mut self) {
        if !self.has_ended
            && let (Some(outcome), _) =
                self.client.with_caught(|state| state.worker_dropped(thread::panicking()))
        {
            self.client.report(outcome);
        }
        self.client.worker_ended.notify_waiters();
    }
}

impl Client {
    /// Calls the store, and meanwhile serves waiters from the local share, if there may be one.
    async fn serve_and_call(self: &Arc<Self>, request: CallRequest) -> Answer {
        let mut answer = pin!(self.call_store(request));
        if !matches!(self.config.on_failure, OnFailure::LocalShare(_)) {
            return answer.await;
        }
        loop {
            let mut served = pin!(self.serve_local_share());
            let answered = poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => served.as_mut().poll(cx).map(|()| None),
            });
            if let Some(answer) = answered.await {
                return answer;
            }
        }
    }

    /// Serves waiters from the local share, and waits until there may be more to serve.
    async fn serve_local_share(self: &Arc<Self>) {
        match self.with_caught(State::serve_local_share).0 {
            Some(until) => drop(timeout_at(until, self.worker_notify.notified()).await),
            None => self.worker_notify.notified().await,
        }
    }

    async fn call_store(&self, request: CallRequest) -> Answer {
        let CallRequest { is_first, returned, least, most } = request;
        let Quota { speed, cost, .. } = self.quota;
        let take = Take { key: &self.key, speed, cost, depth: self.quota.depth(), returned, least, most };
        let at_least = if is_first { self.store.first_timeout() } else { Duration::ZERO };
        let limit = self.config.timeout.max(at_least);
        let answer = timeout(limit, self.store.take(take)).await;
        answer.unwrap_or_else(|_| Err(CallError::of(Failure::TimedOut(limit))))
    }

    fn report(&self, outcome: CallOutcome) {
        match outcome {
            CallOutcome::Granted { permits, outage } => {
                if permits > 0 {
                    telemetry::leased(&self.key, permits);
                }
                if let Some(lasted) = outage {
                    telemetry::outage_ended(&self.key, lasted);
                }
            }
            CallOutcome::Failed { cause, begins_outage } => {
                telemetry::store_failed(&self.key, &*cause);
                if begins_outage {
                    telemetry::outage_began(&self.key, &*cause);
                }
            }
        }
    }
}
