//! One limiter under test, and the requests that a rule makes of it.

use std::{ops::Deref, panic::resume_unwind, sync::Arc, time::Duration};

use evenkeel_testkit::probe::{Counts, meter};
use tokio::task::{JoinHandle, yield_now};

use super::{
    Change, Denied, Limiter, Permit, Request, Settings, Settle,
    record::{Event, Record},
};
use crate::{
    Adapter, BoxFuture,
    adapter::{self, configure},
    agenda::{sleep, timeout},
    duration::WEEK,
    verdict::Checked,
};

/// A limiter, and the record of the requests made of it.
#[derive(Clone)]
pub(crate) struct Harness {
    limiter: Arc<dyn Limiter>,
    pub(crate) record: Record,
}

/// A waiter that runs as a task; dropping it cancels the request.
pub(crate) struct Waiter(JoinHandle<Counts>);

/// Permits that were reserved; dropping it gives them back.
pub(crate) struct Reserved<'a> {
    settle: Settle<'a>,
    permits: u32,
    record: Record,
}

impl Reserved<'_> {
    pub(crate) fn settle(self, used: u32) {
        self.record.note(Event::Settled(self.permits, used));
        (self.settle)(used);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Harness {
    /// A new limiter.
    pub(crate) fn start(subject: &dyn Adapter<Settings>, settings: &Settings) -> Checked<Self> {
        Ok(Self::with(configure(subject, settings)?))
    }

    /// A new limiter with senseless settings, or `None` if the implementation refuses them, which the rules accept.
    pub(crate) fn unless_refused(
        subject: &dyn Adapter<Settings>,
        settings: &Settings,
    ) -> Checked<Option<Self>> {
        Ok(adapter::unless_refused(subject, settings)?.map(Self::with))
    }

    fn with(limiter: Box<dyn Limiter>) -> Self {
        Self { limiter: limiter.into(), record: Record::start() }
    }

    /// Asks without waiting, and records nothing: threads would contend for the lock of the record.
    pub(crate) fn ask_unnoted(&self, request: Request) -> Result<Permit, Denied> {
        self.limiter.try_acquire(request)
    }

    /// Asks without waiting.
    pub(crate) fn ask(&self, request: Request) -> Result<Permit, Denied> {
        let answer = self.ask_unnoted(request);
        self.note(match &answer {
            Ok(_) => Event::Granted(0, request.permits),
            Err(denied) => Event::Refused(0, *denied),
        });
        answer
    }

    /// Makes this number of requests for one permit, and returns how many are granted now.
    pub(crate) fn take(&self, requests: u32) -> u32 {
        self.take_of(requests, Request::of(1))
    }

    /// Makes this number of equal requests, and returns how many are granted now.
    pub(crate) fn take_of(&self, requests: u32, request: Request) -> u32 {
        (0..requests).map(|_| u32::from(self.ask(request).is_ok())).sum()
    }

    /// The rule asks that exactly `granted` of `requests` requests for one permit are granted now.
    pub(crate) fn grants(&self, when: &str, requests: u32, granted: u32) -> Checked {
        let what = format!("{when}, granted of {requests} requests:");
        self.equal(&what, self.take(requests), granted)
    }

    /// The rule asks that this request is granted now.
    pub(crate) fn gives(&self, when: &str, request: Request) -> Checked {
        let Err(denied) = self.ask(request) else { return Ok(()) };
        Err(self.failure(format_args!("{when}, {} granted", request.permits), denied.to_string()))
    }

    /// The rule asks that this request is refused now.
    pub(crate) fn refuses(&self, when: &str, request: Request) -> Checked<Denied> {
        let answer = self.ask(request);
        let granted =
            |_| self.failure(format_args!("{when}, {} not granted", request.permits), "they are granted");
        answer.map_or_else(Ok, |permit| Err(granted(permit)))
    }

    /// Waits for the end of a request, as the caller.
    pub(crate) async fn turn(&self, request: Request) -> Checked<Result<Permit, Denied>> {
        let turn = timeout(WEEK, self.limiter.acquire(request)).await;
        turn.map_err(|_| self.failure(format_args!("the end of a request within {WEEK:?}"), "none"))
    }

    /// Waits until these permits are granted.
    pub(crate) async fn spend(&self, permits: u32) -> Checked<Permit> {
        let turn = self.turn(Request::of(permits)).await?;
        self.note(match &turn {
            Ok(_) => Event::Granted(0, permits),
            Err(denied) => Event::Refused(0, *denied),
        });
        turn.map_err(|denied| self.failure(format_args!("{permits} granted"), denied.to_string()))
    }

    /// Waits for permits that are settled later.
    pub(crate) async fn reserve(&self, permits: u32) -> Checked<Reserved<'_>> {
        let turn = timeout(WEEK, self.limiter.reserve(permits)).await;
        let turn = turn.map_err(|_| self.failure(format_args!("a reservation within {WEEK:?}"), "none"))?;
        let settle =
            turn.map_err(|denied| self.failure(format_args!("{permits} reserved"), denied.to_string()))?;
        self.note(Event::Granted(0, permits));
        Ok(Reserved { settle, permits, record: self.record.clone() })
    }

    /// Spawns a waiter that returns its permits at once.
    pub(crate) async fn enter(&self, who: u32, request: Request) -> Waiter {
        self.enter_to_hold(who, request, Duration::ZERO).await
    }

    /// Spawns a waiter that holds its permits for this time, and then returns them.
    pub(crate) async fn enter_to_hold(&self, who: u32, request: Request, time: Duration) -> Waiter {
        let (turn, record) = (meter(self.limiter.acquire(request)), self.record.clone());
        let task = tokio::spawn(async move {
            record.note(Event::Asked(who, request.permits));
            let (answer, counts) = turn.await;
            match answer {
                Ok(permit) => {
                    record.note(Event::Granted(who, request.permits));
                    if !time.is_zero() {
                        sleep(time).await;
                        record.note(Event::Freed(who));
                    }
                    drop(permit);
                }
                Err(denied) => record.note(Event::Refused(who, denied)),
            }
            counts
        });
        yield_now().await;
        Waiter(task)
    }

    /// Waits until all these waiters are granted or refused.
    pub(crate) async fn everybody(&self, waiters: Vec<Waiter>) -> Checked<Vec<Counts>> {
        let all = async {
            let mut counts = Vec::new();
            for mut waiter in waiters {
                counts.push((&mut waiter.0).await.unwrap_or_else(|error| resume_unwind(error.into_panic())));
            }
            counts
        };
        let all = timeout(WEEK, all).await;
        all.map_err(|_| self.failure(format_args!("a turn for everybody within {WEEK:?}"), "none"))
    }

    /// The implementation's own future.
    pub(crate) fn unpolled(&self, request: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        self.limiter.acquire(request)
    }

    pub(crate) fn change(&self, change: Change) {
        self.note(Event::Changed(change));
        self.limiter.change(change);
    }

    pub(crate) fn keys(&self) -> usize {
        self.limiter.keys()
    }

    /// The rule asks that the waiters were served at these times.
    pub(crate) fn turns_at(&self, when: &str, times: &[Duration]) -> Checked {
        self.equal(&format!("{when}, turns at"), self.turns(), times.to_vec())
    }

    /// The rule asks that the waiters were served in the order of their arrival.
    pub(crate) fn in_order(&self) -> Checked {
        self.equal("turns in the order", self.served(), self.came())
    }
}

impl Deref for Harness {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}
