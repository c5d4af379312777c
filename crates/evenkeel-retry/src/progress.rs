use std::{
    hash::{BuildHasher, RandomState},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::{
    Attempt, BudgetPermit, GaveUp, IdempotencyKey, Jitter, Policy, Verdict, timer::poll_timer, tries::Repeat,
};

/// A zero delay needs no timer, but a loop of them must let other tasks run.
const ROUNDS_BEFORE_YIELD: u32 = 128;
/// What tokio's timers count in.
const TICK: Duration = Duration::from_millis(1);

pin_project! {
    /// What a call needs that does not succeed at once: it is allocated when an attempt is first pending or failed.
    pub(crate) struct Progress {
        // What the call draws its seed and its key from, once it needs one of them.
        random: Option<RandomState>,
        // When the total time is over, if ever; known once it was asked for.
        total: Option<Option<Instant>>,
        // When the caller's own deadline is, if there is one.
        deadline: Option<Instant>,
        // When the attempt's time is over, if ever; known if it was asked for before the attempt.
        limit: Option<Option<Instant>>,
        // When the attempt was first pending.
        pending: Option<Instant>,
        first_failure: Option<Instant>,
        // When the clock was first read.
        began: Option<Instant>,
        // The next attempt's token, given back if it never begins.
        permit: Option<BudgetPermit>,
        wait: Wait,
        // One timer serves the time limits of attempts and the delays between them.
        #[pin]
        timer: Option<Sleep>,
    }
}

/// What the next poll waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Nothing,
    Others,
    Timer,
}

impl Progress {
    pub(crate) const fn new() -> Self {
        Self {
            random: None,
            total: None,
            deadline: None,
            limit: None,
            pending: None,
            first_failure: None,
            began: None,
            permit: None,
            wait: Wait::Nothing,
            timer: None,
        }
    }

    /// Sets the caller's own deadline: of several the earliest counts.
    pub(crate) fn end_by(self: Pin<&mut Self>, at: Instant) {
        let deadline = self.project().deadline;
        *deadline = earlier(*deadline, Some(at));
    }

    /// An attempt is to begin; false if the time for all is over.
    #[cold]
    #[inline(never)]
    pub(crate) fn begin(self: Pin<&mut Self>) -> bool {
        let me = self.project();
        let permit = me.permit.take();
        if earlier(me.total.flatten(), *me.deadline).is_some_and(|end| Instant::now() >= end) {
            return false;
        }
        if let Some(permit) = permit {
            permit.spend();
        }
        // An attempt before may have been dropped.
        *me.pending = None;
        *me.wait = Wait::Nothing;
        true
    }

    /// Waits for the attempt's limit; an attempt lives from its first call on.
    pub(crate) fn poll_limit(mut self: Pin<&mut Self>, policy: &Policy, cx: &mut Context<'_>) -> Poll<()> {
        if self.pending.is_none() {
            let now = Instant::now();
            let me = self.as_mut().project();
            *me.pending = Some(now);
            me.began.get_or_insert(now);
            let limit = match me.limit.take() {
                Some(limit) => limit,
                None => self.as_mut().limit(policy, now),
            };
            if let Some(limit) = limit {
                self.as_mut().wait_until(limit);
            }
        }
        match self.wait {
            Wait::Timer => self.poll_wait(cx),
            _ => Poll::Pending,
        }
    }

    /// An attempt has failed; true if it lived so long before that the series begins anew.
    pub(crate) fn failed(self: Pin<&mut Self>, policy: &Policy, now: Instant) -> bool {
        let me = self.project();
        *me.limit = None;
        me.began.get_or_insert(now);
        let since = me.pending.take();
        let anew = since.is_some_and(|since| now.duration_since(since) >= policy.reset_after);
        if anew || me.first_failure.is_none() {
            *me.first_failure = Some(now);
        }
        anew
    }

    /// What comes after a failure: the delay, which the next wait is for, or the reason to give up.
    pub(crate) fn decide(
        mut self: Pin<&mut Self>,
        policy: &Policy,
        attempts: u32,
        now: Instant,
        verdict: Verdict,
        repeat: Repeat,
    ) -> Result<Duration, GaveUp> {
        let deadline = self.as_mut().end_of_all(policy, now);
        match verdict {
            Verdict::Permanent => return Err(GaveUp::Permanent),
            #[cfg(feature = "tower")]
            _ if repeat == Repeat::Never => return Err(GaveUp::Unrepeatable),
            Verdict::Retry | Verdict::RetryAfter(_) if repeat == Repeat::IfNotSent => {
                return Err(GaveUp::AtMostOnce);
            }
            _ if deadline.is_some_and(|deadline| now >= deadline) => return Err(GaveUp::Deadline),
            _ if attempts >= policy.max_attempts => return Err(GaveUp::Attempts),
            Verdict::RetryAfter(asked) if asked > policy.max_retry_after => {
                return Err(GaveUp::RetryAfter(asked));
            }
            _ => {}
        }
        let seed = match policy.backoff.jitter {
            // Nothing is drawn.
            Jitter::None => 0,
            _ => policy.seed.unwrap_or_else(|| self.as_mut().random(0)),
        };
        let mut delay = policy.backoff.delay(attempts, seed);
        if let Verdict::RetryAfter(asked) = verdict {
            delay = delay.max(asked);
        }
        let next = now.checked_add(delay);
        if deadline.is_some_and(|deadline| next.is_none_or(|next| next >= deadline)) {
            return Err(GaveUp::Deadline);
        }
        let me = self.as_mut().project();
        if let Some(budget) = &policy.budget {
            *me.permit = Some(budget.try_withdraw().ok_or(GaveUp::Budget)?);
        }
        match next {
            _ if delay.is_zero() && attempts.is_multiple_of(ROUNDS_BEFORE_YIELD) => *me.wait = Wait::Others,
            _ if delay.is_zero() => *me.wait = Wait::Nothing,
            next => self.wait_until(next.unwrap_or_else(|| far_future(now))),
        }
        Ok(delay)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn poll_wait(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = self.project();
        match (*me.wait, me.timer.as_pin_mut()) {
            (Wait::Timer, Some(timer)) => ready!(poll_timer(timer, cx)),
            (Wait::Others, _) => {
                *me.wait = Wait::Nothing;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            _ => {}
        }
        *me.wait = Wait::Nothing;
        Poll::Ready(())
    }

    pub(crate) fn describe(mut self: Pin<&mut Self>, policy: &Policy, number: u32) -> Attempt {
        let key = [1, 2].map(|half| u128::from(self.as_mut().random(half)));
        let deadline = self.as_mut().limit(policy, Instant::now());
        *self.project().limit = Some(deadline);
        Attempt { number, deadline, key: IdempotencyKey(key[0] << 64 | key[1]) }
    }

    /// There is no other attempt: gives its token back, the time since the first failure, and that of all.
    #[cold]
    #[inline(never)]
    pub(crate) fn end(self: Pin<&mut Self>) -> (Duration, Duration) {
        let me = self.project();
        *me.permit = None;
        let now = Instant::now();
        let since = |then: &Option<Instant>| then.map_or(Duration::ZERO, |then| now.duration_since(then));
        (since(me.first_failure), since(me.began))
    }

    /// Random numbers of this call: always the same for the same name.
    fn random(self: Pin<&mut Self>, name: u8) -> u64 {
        self.project().random.get_or_insert_with(RandomState::new).hash_one(name)
    }

    /// When the time for all is over.
    fn end_of_all(self: Pin<&mut Self>, policy: &Policy, now: Instant) -> Option<Instant> {
        let me = self.project();
        earlier(*me.total.get_or_insert_with(|| now.checked_add(policy.total_timeout)), *me.deadline)
    }

    /// When an attempt that begins now must end.
    fn limit(self: Pin<&mut Self>, policy: &Policy, now: Instant) -> Option<Instant> {
        earlier(now.checked_add(policy.attempt_timeout), self.end_of_all(policy, now))
    }

    fn wait_until(self: Pin<&mut Self>, at: Instant) {
        // Tokio rounds up to its next tick, which has to be a time, too.
        let at = if at.checked_add(TICK).is_some() { at } else { at - TICK };
        let mut me = self.project();
        match me.timer.as_mut().as_pin_mut() {
            Some(timer) => timer.reset(at),
            None => me.timer.set(Some(tokio::time::sleep_until(at))),
        }
        *me.wait = Wait::Timer;
    }
}

/// The earlier of two moments, of which none is never.
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// A delay beyond what `Instant` can express: as far away as makes no difference.
fn far_future(now: Instant) -> Instant {
    now + Duration::from_secs(86_400 * 365 * 30)
}
