use std::{panic::resume_unwind, sync::Arc, time::Duration};

use evenkeel_testkit::probe::{Counts, meter};
use tokio::{
    task::{JoinHandle, yield_now},
    time::{sleep, timeout},
};

use super::{
    Adapter, Capability, Change, Denied, Limiter, Permit, Request, Reservation, Settings, Turn,
    record::{Event, Record},
};
use crate::{Verdict, duration::WEEK, rule::Checked, unfit};

/// A limiter, and what was asked of it.
#[derive(Clone)]
pub(crate) struct Trial {
    limiter: Arc<dyn Limiter>,
    pub(crate) record: Record,
}

/// Somebody who waits, as a task; dropping it is giving up.
pub(crate) struct Waiter(JoinHandle<Counts>);

/// Permits that were reserved; dropping it gives them back.
pub(crate) struct Reserved<'a> {
    reservation: Box<dyn Reservation + 'a>,
    permits: u32,
    record: Record,
}

impl Reserved<'_> {
    pub(crate) fn settle(self, used: u32) {
        self.record.note(Event::Settled(self.permits, used));
        self.reservation.settle(used);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Trial {
    /// A new limiter.
    pub(crate) fn start(subject: &dyn Adapter, settings: &Settings) -> Checked<Self> {
        settings.needs().try_for_each(|capability| needs(subject, capability))?;
        Ok(Self::with(subject.limiter(settings)?))
    }

    /// For settings that make no sense: nothing if the implementation refuses them, which is all that can be asked.
    pub(crate) fn unless_refused(subject: &dyn Adapter, settings: &Settings) -> Checked<Option<Self>> {
        settings.needs().try_for_each(|capability| needs(subject, capability))?;
        Ok(unfit::unless_refused(|| subject.limiter(settings))?.map(Self::with))
    }

    fn with(limiter: Box<dyn Limiter>) -> Self {
        Self { limiter: limiter.into(), record: Record::start() }
    }

    /// Asks without waiting, and notes nothing: threads would meet at the record.
    pub(crate) fn ask_unnoted(&self, request: Request) -> Result<Permit, Denied> {
        self.limiter.try_acquire(request)
    }

    /// Asks without waiting.
    pub(crate) fn ask(&self, request: Request) -> Result<Permit, Denied> {
        let answer = self.ask_unnoted(request);
        self.record.note(match &answer {
            Ok(_) => Event::Granted(0, request.permits),
            Err(denied) => Event::Refused(0, *denied),
        });
        answer
    }

    /// How many of so many requests for one permit are granted now.
    pub(crate) fn take(&self, requests: u32) -> u32 {
        self.take_of(requests, Request::of(1))
    }

    /// How many of so many such requests are granted now.
    pub(crate) fn take_of(&self, requests: u32, request: Request) -> u32 {
        (0..requests).map(|_| u32::from(self.ask(request).is_ok())).sum()
    }

    /// The rule asks that so many of so many requests for one permit are granted now.
    pub(crate) fn grants(&self, when: &str, requests: u32, granted: u32) -> Checked {
        let what = format!("{when}, granted of {requests} requests:");
        self.record.equal(&what, self.take(requests), granted)
    }

    /// The rule asks that this is granted now.
    pub(crate) fn gives(&self, when: &str, request: Request) -> Checked {
        let Err(denied) = self.ask(request) else { return Ok(()) };
        Err(self.record.failure(format!("{when}, {} granted", request.permits), denied.to_string()))
    }

    /// The rule asks that this is not granted now.
    pub(crate) fn refuses(&self, when: &str, request: Request) -> Checked<Denied> {
        let answer = self.ask(request);
        let granted =
            |_| self.record.failure(format!("{when}, {} not granted", request.permits), "they are granted");
        answer.map_or_else(Ok, |permit| Err(granted(permit)))
    }

    /// Waits for the end of a request, as the caller.
    pub(crate) async fn turn(&self, request: Request) -> Checked<Result<Permit, Denied>> {
        let turn = timeout(WEEK, self.limiter.acquire(request)).await;
        turn.map_err(|_| self.record.failure(format!("the end of a request within {WEEK:?}"), "none"))
    }

    /// Waits until this is granted.
    pub(crate) async fn spend(&self, permits: u32) -> Checked<Permit> {
        let turn = self.turn(Request::of(permits)).await?;
        self.record.note(match &turn {
            Ok(_) => Event::Granted(0, permits),
            Err(denied) => Event::Refused(0, *denied),
        });
        turn.map_err(|denied| self.record.failure(format!("{permits} granted"), denied.to_string()))
    }

    /// Waits for permits that are settled later.
    pub(crate) async fn reserve(&self, permits: u32) -> Checked<Reserved<'_>> {
        let turn = timeout(WEEK, self.limiter.reserve(permits)).await;
        let turn = turn.map_err(|_| self.record.failure(format!("a reservation within {WEEK:?}"), "none"))?;
        let reservation =
            turn.map_err(|denied| self.record.failure(format!("{permits} reserved"), denied.to_string()))?;
        self.record.note(Event::Granted(0, permits));
        Ok(Reserved { reservation, permits, record: self.record.clone() })
    }

    /// Somebody waits, who needs what is granted for no time.
    pub(crate) async fn enter(&self, who: u32, request: Request) -> Waiter {
        self.enter_to_hold(who, request, Duration::ZERO).await
    }

    /// Somebody waits, who holds for some time what is granted, and then gives it back.
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

    /// Waits until all these have been answered.
    pub(crate) async fn everybody(&self, waiters: Vec<Waiter>) -> Checked<Vec<Counts>> {
        let all = async {
            let mut counts = Vec::new();
            for mut waiter in waiters {
                counts.push((&mut waiter.0).await.unwrap_or_else(|error| resume_unwind(error.into_panic())));
            }
            counts
        };
        let all = timeout(WEEK, all).await;
        all.map_err(|_| self.record.failure(format!("a turn for everybody within {WEEK:?}"), "none"))
    }

    /// The implementation's own future.
    pub(crate) fn unpolled(&self, request: Request) -> Turn {
        self.limiter.acquire(request)
    }

    pub(crate) fn change(&self, change: Change) {
        self.record.note(Event::Changed(change));
        self.limiter.change(change);
    }

    pub(crate) fn keys(&self) -> usize {
        self.limiter.keys()
    }

    /// The rule asks that who waited was served at these times.
    pub(crate) fn turns_at(&self, when: &str, times: &[Duration]) -> Checked {
        self.record.equal(&format!("{when}, turns at"), self.record.turns(), times.to_vec())
    }

    /// The rule asks that who waited was served in the order of coming.
    pub(crate) fn in_order(&self) -> Checked {
        self.record.equal("turns in the order", self.record.served(), self.record.came())
    }
}

/// Goes no further where the implementation does not have what the rule is about.
pub(crate) fn needs(subject: &dyn Adapter, capability: Capability) -> Checked {
    subject.supports(capability).map_err(|why| Verdict::Unsupported(format!("{capability}: {why}")))
}
