//! The attempts of one call.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use evenkeel_tck::retry::{Attempt, Hint, Operation, Outcome, Reason, Refused, Settings};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{
    Fault,
    backoff::{Delays, random_number},
    budget::{FaultyBudget, Token},
    clock::{Clock, after},
};

/// The granularity of tokio's timers.
const TICK: Duration = Duration::from_millis(1);

pub(super) struct Attempts {
    pub(super) fault: Fault,
    pub(super) settings: Settings,
    pub(super) tokens: FaultyBudget,
    pub(super) attempts: Arc<AtomicU32>,
    /// Which call of its policy it is, from 0.
    pub(super) nth: u32,
    pub(super) made: Instant,
}

/// The result of an attempt; `None` if its time was over.
type Ended = Option<Result<u32, Refused>>;

/// A failure after which the call retries or gives up.
struct Failure {
    /// The number of its attempt.
    number: u32,
    /// The same for the delays.
    step: u32,
    hint: Hint,
    is_response: bool,
    is_slow: bool,
}

impl Attempts {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    pub(super) async fn make(self, operation: Operation, mut next: Option<Attempt>) -> Outcome {
        let settings = &self.settings;
        let mut clock = Clock::start(self.fault, settings, self.made);
        let mut delays = Delays::new(self.fault, settings, self.nth);
        let (mut first, mut last, mut step) = (None, None, 0);
        let mut all = Vec::new();
        if self.is(Fault::WaitsFirst) {
            sleep(settings.initial).await;
        }
        if self.is(Fault::ArmsTimersAlways) {
            drop(sleep(settings.initial));
        }
        self.tokens.deposit();
        if clock.is_over(Duration::ZERO) && !self.is(Fault::AttemptsTooLate) {
            return self.give_up(last, Reason::TotalTimeout);
        }
        let key = random_number();
        loop {
            let begun = Instant::now();
            let mut number = self.attempts.fetch_add(1, SeqCst) + 1;
            step += 1;
            if settings.idempotency_keys {
                operation.keyed(match self.fault {
                    Fault::HasAKeyForEachAttempt => random_number(),
                    Fault::DrawsKeysFromTheSeed => settings.seed.unwrap_or(key),
                    Fault::CountsKeys => self.nth.into(),
                    _ => key,
                });
            }
            let mut attempt = Box::pin(next.take().unwrap_or_else(|| operation.call()));
            let ended = self.within(&clock, attempt.as_mut()).await;
            let hint = match ended {
                Some(Ok(_)) if self.is(Fault::RepeatsSuccess) && number < settings.max_attempts => continue,
                Some(Ok(response)) => {
                    match operation.judge(response).filter(|_| !self.is(Fault::KeepsEveryResponse)) {
                        Some(hint) => hint,
                        None => return response.into(),
                    }
                }
                Some(Err(error)) => error.hint,
                None if self.is(Fault::GivesUpOnSlowAttempts) => return Outcome::gave_up(None),
                None => Hint::Transient,
            };
            let _held = self.is(Fault::HoldsTheAttempt).then_some(attempt);
            let first = *first.get_or_insert(ended);
            let is_response = matches!(ended, Some(Ok(_)));
            if self.is(Fault::TellsTheMostFrequentError) {
                all.push(ended);
            }
            last = Some(match self.fault {
                Fault::KeepsTheFirstError if !is_response => first,
                Fault::KeepsTheFirstResponse if is_response => first,
                Fault::TellsTheMostFrequentError => most_frequent(&all),
                _ => ended,
            });
            if clock.is_healthy(begun, settings.reset_after) {
                if !self.is(Fault::KeepsTheCount) {
                    self.attempts.store(1, SeqCst);
                    number = 1;
                }
                if !self.is(Fault::KeepsTheDelays) {
                    step = 1;
                }
            }

            let failure = Failure { number, step, hint, is_response, is_slow: ended.is_none() };
            let decided = self.decide(failure, &mut delays, &clock);
            let (delay, token) = match decided.and_then(|delay| Ok((delay, self.token(hint, is_response)?))) {
                Ok(decided) => decided,
                Err(reason) => {
                    self.end(reason, &operation, &clock).await;
                    return self.give_up(last, reason);
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
                if self.is(Fault::KeepsTheTokenWhenStopped) {
                    token.spend();
                }
                return self.give_up(last, Reason::Stopped);
            }
            delays.slept = delays.slept.saturating_add(delay);
            let is_late = clock.is_over(delays.slept) && !self.is(Fault::TriesOnceMoreWhenLate);
            if !is_late || self.is(Fault::KeepsTheTokenWhenLate) {
                token.spend();
            }
            if is_late {
                last = last.filter(|_| !self.is(Fault::LosesTheErrorWhenLate));
                return self.give_up(last, Reason::TotalTimeout);
            }
        }
    }

    fn give_up(&self, last: Option<Ended>, reason: Reason) -> Outcome {
        let reason = match (self.fault, reason) {
            (Fault::GivesTheWrongReason, _) => Reason::Stopped,
            (Fault::BlamesTheAttempts, Reason::Budget) => Reason::Attempts,
            _ => reason,
        };
        match last.flatten() {
            Some(Ok(response)) if !self.is(Fault::DropsTheResponse) => response.into(),
            Some(Err(error)) => Outcome::gave_up(Some(error)).because(reason),
            _ => Outcome::gave_up(None).because(reason),
        }
    }

    async fn within(&self, clock: &Clock, attempt: Pin<&mut Attempt>) -> Ended {
        let limit = self.settings.attempt_timeout;
        let limit = limit.and_then(|limit| after(self.fault, Instant::now(), limit));
        let end = clock.end.filter(|_| !self.is(Fault::OverrunsTheTotalTime));
        let deadline = clock.deadline.filter(|_| !self.is(Fault::OverrunsTheDeadline));
        let starved = match self.fault {
            Fault::StarvesTheLimit => limit,
            Fault::StarvesTheTotalTime => end,
            Fault::StarvesTheDeadline => deadline,
            _ => None,
        };
        let is_last = |at: &Instant| at.checked_add(TICK).is_none() && !self.is(Fault::PanicsAtTheLastMoment);
        match limit.into_iter().chain(end).chain(deadline).min().filter(|at| !is_last(at)) {
            // Not polled when the cooperative budget of the task is used up.
            Some(limit) if starved == Some(limit) => tokio::select! {
                biased;
                ended = attempt => Some(ended),
                () = sleep_until(limit) => None,
            },
            Some(limit) => timeout_at(limit, attempt).await.ok(),
            None => Some(attempt.await),
        }
    }

    fn decide(&self, failure: Failure, delays: &mut Delays, clock: &Clock) -> Result<Duration, Reason> {
        let Failure { number, step, hint, is_response, is_slow } = failure;
        let settings = &self.settings;
        let may_repeat =
            !settings.at_most_once || hint == Hint::NotSent || self.is(Fault::RepeatsWhatWasSent);
        match hint {
            Hint::Permanent if self.is(Fault::SpinsOnPermanent) => loop {
                std::hint::spin_loop();
            },
            Hint::Permanent if !self.is(Fault::RepeatsPermanent) => return Err(Reason::Permanent),
            _ if !may_repeat => return Err(Reason::AtMostOnce),
            Hint::RetryAfter(_) if is_response && self.is(Fault::IgnoresWhatResponsesAsk) => {}
            Hint::RetryAfter(wait) => delays.asked = Some(wait),
            _ if !self.is(Fault::KeepsObeying) => delays.asked = None,
            _ => {}
        }
        let asked = delays.asked;
        let most = settings.max_attempts + u32::from(self.is(Fault::MakesOneMore));
        let endless = most == 0
            || asked.is_some() && self.is(Fault::ObeysForever)
            || is_response && self.is(Fault::RepeatsResponsesForEver)
            || is_slow && self.is(Fault::RepeatsSlowAttemptsForEver);
        if number >= most && !endless {
            return Err(Reason::Attempts);
        }
        if asked > settings.max_retry_after.or(asked) && !self.is(Fault::ObeysAnyWait) {
            return Err(Reason::RetryAfter);
        }
        let delay = match delays.next(step) {
            _ if is_response && self.is(Fault::HurriesAfterResponses) => Duration::ZERO,
            delay if self.is(Fault::ComesBackEarly) => delay,
            delay => delay.max(asked.map_or(Duration::ZERO, |wait| delays.obeyed(wait))),
        };
        let is_late = clock.is_too_long(delay, asked.is_some(), delays.slept);
        if is_late { Err(Reason::TotalTimeout) } else { Ok(delay) }
    }

    fn token(&self, hint: Hint, is_response: bool) -> Result<Token, Reason> {
        let is_free = match self.fault {
            Fault::RepeatsResponsesForFree => is_response,
            Fault::ObeysForFree => matches!(hint, Hint::RetryAfter(_)),
            _ => false,
        };
        if is_free { Ok(Token::FREE) } else { self.tokens.take().ok_or(Reason::Budget) }
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
        match (self.fault, clock.end) {
            (Fault::WaitsAtTheEnd, _) => sleep(self.settings.initial).await,
            (Fault::ObservesTheEnd, _) => operation.observed(self.settings.initial),
            (Fault::WaitsForTheEnd, Some(end)) if reason == Reason::TotalTimeout => sleep_until(end).await,
            _ => {}
        }
    }
}

/// The last one of those that have the most frequent hint.
fn most_frequent(all: &[Ended]) -> Ended {
    let hint = |ended: &Ended| ended.and_then(Result::err).map(|error| error.hint);
    let count = |one: &Ended| all.iter().filter(|other| hint(other) == hint(one)).count();
    all.iter().copied().max_by_key(count).flatten()
}
