//! Retry, done right in the fewest lines, and wrong in every way that a rule looks for.

mod delay;
mod tokens;

use std::{
    future::pending,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use evenkeel_tck::{
    Unfit,
    retry::{
        Adapter, Attempt, Capability, GaveUp, Growth, Hint, Jitter, Operation, Outcome, Policy, Reason,
        Refused, Settings,
    },
};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use self::{delay::Delays, tokens::Tokens};
use super::Planted;

faults! {
    WaitsFirst "RETRY-01",
    CallsUnpolled "RETRY-02",
    RepeatsSuccess "RETRY-03",
    MakesOneMore "RETRY-04",
    ZeroIsEndless "RETRY-05",
    WaitsAtTheEnd "RETRY-06",
    KeepsTheFirstError "RETRY-07",
    RepeatsPermanent "RETRY-08",
    SpinsOnPermanent "RETRY-08" isolated,
    CountsForAllCalls "RETRY-09",
    GrowsLinearly "RETRY-10",
    RoundsToFloats "RETRY-11",
    CallsEarly "RETRY-12",
    HasNoCap "RETRY-13",
    FirstHasNoCap "RETRY-14",
    Overflows "RETRY-15",
    SticksBelowTheCap "RETRY-16",
    TakesZeroForTheCap "RETRY-17",
    TakesNanForZero "RETRY-18",
    PanicsOnLongDelays "RETRY-19",
    HogsTheThread "RETRY-20",
    ArmsTimersForZero "RETRY-21",
    ArmsTimersAlways "RETRY-22",
    PollsBusily "RETRY-23",
    Recurses "RETRY-24" isolated,
    JitterExceedsTheCap "RETRY-25",
    JitterIsClamped "RETRY-26",
    JitterCompounds "RETRY-27",
    JitterIsShared "RETRY-28",
    ForgetsTheSeed "RETRY-29",
    JitterReachesZero "RETRY-30",
    JitterIsInSeconds "RETRY-31",
    ReadsTheWallClock "RETRY-32",
    SumsUpDelays "RETRY-33",
    WaitsForTheDeadline "RETRY-34",
    OverrunsTheDeadline "RETRY-35",
    GivesUpOnSlowAttempts "RETRY-36",
    ComesBackEarly "RETRY-37",
    ObeysForever "RETRY-38",
    ObeysBeyondTheDeadline "RETRY-39",
    ObeysAnyWait "RETRY-40",
    KeepsObeying "RETRY-41",
    ObservesTheEnd "RETRY-42",
    ObservesTheSum "RETRY-43",
    Detaches "RETRY-44",
    HoldsTheAttempt "RETRY-45",
    StopsLate "RETRY-46",
    IgnoresTheBudget "RETRY-47",
    QuantisesTheBudget "RETRY-48",
    KeepsTheToken "RETRY-49",
    HasABudgetPerCall "RETRY-50",
    NeverRefills "RETRY-51",
    ChecksThenTakes "RETRY-52",
    GivesTheWrongReason "RETRY-53",
    RepeatsWhatWasSent "RETRY-54",
}

struct Faulty(Fault);

impl Adapter for Faulty {
    fn supports(&self, _: Capability) -> Result<(), &'static str> {
        Ok(())
    }

    fn policy(&self, settings: &Settings) -> Result<Policy, Unfit> {
        let Self(fault) = *self;
        let senseless = match settings {
            Settings { max_attempts: 0, .. } => fault != Fault::ZeroIsEndless,
            Settings { growth: Growth::Exponential(factor), .. } if factor.is_nan() || *factor < 1.0 => {
                fault != Fault::TakesNanForZero
            }
            Settings { jitter: Some(Jitter::Percent(101..)), .. } => fault != Fault::JitterReachesZero,
            Settings { initial, cap, growth: Growth::Exponential(_), .. } if initial > cap => {
                fault != Fault::FirstHasNoCap
            }
            _ => false,
        };
        if senseless {
            return Err(Unfit::Refused("it makes no sense".to_owned()));
        }
        let (tokens, attempts) = (Tokens::new(fault, settings), Arc::new(AtomicU32::new(0)));
        let policy = settings.clone();
        Ok(Policy::new(move |operation| {
            let call = Call {
                fault,
                settings: policy.clone(),
                tokens: if fault == Fault::HasABudgetPerCall {
                    Tokens::new(fault, &policy)
                } else {
                    tokens.clone()
                },
                attempts: if fault == Fault::CountsForAllCalls { attempts.clone() } else { Arc::default() },
            };
            let first = (fault == Fault::CallsUnpolled).then(|| operation.call());
            async move {
                match fault {
                    Fault::Recurses => recurse(operation, call.settings.max_attempts).await,
                    Fault::Detaches => tokio::task::spawn_local(call.make(operation, first))
                        .await
                        .expect("it does not panic"),
                    _ => call.make(operation, first).await,
                }
            }
        }))
    }
}

fn recurse(operation: Operation, left: u32) -> Pin<Box<dyn Future<Output = Outcome>>> {
    Box::pin(async move {
        match operation.call().await {
            Ok(value) => Ok(value),
            Err(error) if left == 1 => Err(error.into()),
            Err(_) => recurse(operation, left - 1).await,
        }
    })
}

struct Call {
    fault: Fault,
    settings: Settings,
    tokens: Tokens,
    attempts: Arc<AtomicU32>,
}

impl Call {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    async fn make(self, operation: Operation, mut next: Option<Attempt>) -> Outcome {
        let settings = &self.settings;
        let clock = Clock::start(settings);
        let mut delays = Delays::new(self.fault, settings);
        let mut first = None;
        if self.is(Fault::WaitsFirst) {
            sleep(settings.initial).await;
        }
        if self.is(Fault::ArmsTimersAlways) {
            drop(sleep(settings.initial));
        }
        self.tokens.deposit();
        loop {
            let number = self.attempts.fetch_add(1, SeqCst) + 1;
            let mut attempt = Box::pin(next.take().unwrap_or_else(|| operation.call()));
            let error = match self.within(&clock, attempt.as_mut()).await {
                Some(Ok(_)) if self.is(Fault::RepeatsSuccess) && number < settings.max_attempts => continue,
                Some(Ok(value)) => return Ok(value),
                Some(Err(error)) => Some(error),
                None if self.is(Fault::GivesUpOnSlowAttempts) => return Err(GaveUp::new(None)),
                None => None,
            };
            let _held = self.is(Fault::HoldsTheAttempt).then_some(attempt);
            let first = *first.get_or_insert(error);
            let last = if self.is(Fault::KeepsTheFirstError) { first } else { error };

            let decided = self.decide(number, error, &mut delays, &clock);
            let (delay, token) =
                match decided.and_then(|delay| Ok((delay, self.tokens.take().ok_or(Reason::Budget)?))) {
                    Ok(decided) => decided,
                    Err(reason) => {
                        self.end(reason, &operation, &clock).await;
                        let wrong = self.is(Fault::GivesTheWrongReason);
                        return Err(GaveUp::new(last).because(if wrong { Reason::Stopped } else { reason }));
                    }
                };
            let sum = if self.is(Fault::ObservesTheSum) { delays.slept } else { Duration::ZERO };
            operation.observed(sum + delay);
            if self.is(Fault::CallsEarly) {
                next = Some(operation.call());
            }
            let stopped = tokio::select! {
                biased;
                () = self.wait(number, delay) => self.is(Fault::StopsLate) && clock.is_stopped(),
                () = clock.stopped(), if !self.is(Fault::StopsLate) => true,
            };
            if stopped {
                return Err(GaveUp::new(last).because(Reason::Stopped));
            }
            token.spend();
            delays.slept = delays.slept.saturating_add(delay);
        }
    }

    /// None if the time of the attempt is over.
    async fn within(&self, clock: &Clock, attempt: Pin<&mut Attempt>) -> Option<Result<u32, Refused>> {
        let limit = self.settings.attempt_timeout.map(|limit| Instant::now() + limit);
        let deadline = clock.deadline.filter(|_| !self.is(Fault::OverrunsTheDeadline));
        match limit.into_iter().chain(deadline).min() {
            Some(limit) => timeout_at(limit, attempt).await.ok(),
            None => Some(attempt.await),
        }
    }

    fn decide(
        &self,
        number: u32,
        error: Option<Refused>,
        delays: &mut Delays,
        clock: &Clock,
    ) -> Result<Duration, Reason> {
        let (settings, hint) = (&self.settings, error.map_or(Hint::Transient, |error| error.hint));
        let may_repeat =
            !settings.at_most_once || hint == Hint::NotSent || self.is(Fault::RepeatsWhatWasSent);
        match hint {
            Hint::Permanent if self.is(Fault::SpinsOnPermanent) => loop {
                std::hint::spin_loop();
            },
            Hint::Permanent if !self.is(Fault::RepeatsPermanent) => return Err(Reason::Permanent),
            _ if !may_repeat => return Err(Reason::AtMostOnce),
            Hint::RetryAfter(wait) => delays.asked = Some(wait),
            _ if !self.is(Fault::KeepsObeying) => delays.asked = None,
            _ => {}
        }
        let asked = delays.asked;
        let most = settings.max_attempts + u32::from(self.is(Fault::MakesOneMore));
        let endless = most == 0 || asked.is_some() && self.is(Fault::ObeysForever);
        if number >= most && !endless {
            return Err(Reason::Attempts);
        }
        if asked > settings.max_retry_after.or(asked) && !self.is(Fault::ObeysAnyWait) {
            return Err(Reason::RetryAfter);
        }
        let mut delay = delays.next(number);
        if !self.is(Fault::ComesBackEarly) {
            delay = delay.max(asked.unwrap_or_default());
        }
        let used = match self.fault {
            Fault::ReadsTheWallClock => clock.wall_elapsed(),
            Fault::SumsUpDelays => delays.slept,
            _ => clock.began.elapsed(),
        };
        let late = settings.total_timeout.is_some_and(|total| used.saturating_add(delay) > total);
        if late && !(asked.is_some() && self.is(Fault::ObeysBeyondTheDeadline)) {
            return Err(Reason::TotalTimeout);
        }
        Ok(delay)
    }

    async fn wait(&self, number: u32, delay: Duration) {
        match self.fault {
            Fault::PollsBusily => {
                for _ in 0..delay.as_millis() {
                    sleep(Duration::from_millis(1)).await;
                }
            }
            Fault::PanicsOnLongDelays => sleep_until(Instant::now() + delay).await,
            Fault::ArmsTimersForZero => sleep(delay).await,
            Fault::HogsTheThread if delay.is_zero() => {}
            _ if delay.is_zero() && number.is_multiple_of(128) => tokio::task::yield_now().await,
            _ if delay.is_zero() => {}
            _ => sleep(delay).await,
        }
    }

    async fn end(&self, reason: Reason, operation: &Operation, clock: &Clock) {
        match (self.fault, clock.deadline) {
            (Fault::WaitsAtTheEnd, _) => sleep(self.settings.initial).await,
            (Fault::ObservesTheEnd, _) => operation.observed(self.settings.initial),
            (Fault::WaitsForTheDeadline, Some(deadline)) if reason == Reason::TotalTimeout => {
                sleep_until(deadline).await;
            }
            _ => {}
        }
    }
}

/// The times that a call looks at.
struct Clock {
    began: Instant,
    wall: std::time::Instant,
    deadline: Option<Instant>,
    stop: Option<Instant>,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a fault reads the wall clock")]
    fn start(settings: &Settings) -> Self {
        let began = Instant::now();
        Self {
            began,
            wall: std::time::Instant::now(),
            deadline: settings.total_timeout.map(|total| began + total),
            stop: settings.stop_after.map(|after| began + after),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a fault reads the wall clock")]
    fn wall_elapsed(&self) -> Duration {
        self.wall.elapsed()
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| Instant::now() >= stop)
    }

    async fn stopped(&self) {
        match self.stop {
            Some(stop) => sleep_until(stop).await,
            None => pending().await,
        }
    }
}
