//! The deadline of one call.

use std::{
    future::{pending, ready},
    time::Duration,
};

use evenkeel_retry::{Budget, GaveUp};
use evenkeel_testkit::{World, assert_took};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Flaky, Refused, doubling, ms};

#[test]
fn the_earlier_of_the_deadline_and_the_total_time_counts() {
    World::run(async |_| {
        for (total, own, took) in [(250, 900, 250), (900, 250, 250), (250, 250, 250)] {
            let policy = doubling().total_timeout(ms(total)).max_attempts(9);
            let flaky = Flaky::failing(0);
            let call = policy.run(async || match flaky.note() {
                1 => Err::<(), _>(Refused(1)),
                _ => pending().await,
            });
            let call = call.deadline(Instant::now() + ms(own));
            let error = assert_took!(call, ms(took)).unwrap_err();
            assert_eq!(flaky.times(), [0, 100]);
            assert_eq!((error.reason, error.last, error.attempts), (GaveUp::Deadline, None, 2));
        }
    });
}

#[test]
fn of_several_deadlines_the_earliest_counts() {
    World::run(async |_| {
        let policy = doubling();
        for order in [[100, 200, 300], [300, 100, 200], [200, 300, 100]] {
            let call = order.into_iter().fold(policy.run(pending::<Result<(), Refused>>), |call, at| {
                call.deadline(Instant::now() + ms(at))
            });
            assert_eq!(assert_took!(call, ms(100)).unwrap_err().reason, GaveUp::Deadline);
        }
    });
}

#[test]
fn a_wait_that_would_reach_the_deadline_is_not_begun() {
    World::run(async |_| {
        for (at, took, reason) in [(300, 100, GaveUp::Deadline), (301, 300, GaveUp::Attempts)] {
            let flaky = Flaky::failing(u32::MAX);
            let policy = doubling().max_attempts(3);
            let call = policy.run(|| flaky.call()).deadline(Instant::now() + ms(at));
            let error = assert_took!(call, ms(took)).unwrap_err();
            assert_eq!((error.reason, error.last.is_some()), (reason, true));
        }
    });
}

#[test]
fn at_a_deadline_that_has_passed_no_attempt_is_made() {
    World::run(async |_| {
        let budget = Budget::percent(100).per_second(0).reserve(2);
        budget.try_withdraw().unwrap().spend();
        let policy = doubling().budget(budget.clone());
        let at = Instant::now();
        let flaky = Flaky::failing(0);
        let error = policy.run(|| flaky.call()).deadline(at).await.unwrap_err();
        assert_eq!(flaky.times(), [0_u128; 0]);
        assert_eq!(
            (error.reason, error.last, error.attempts, error.elapsed),
            (GaveUp::Deadline, None, 0, ms(0))
        );
        assert_eq!(budget.snapshot().available, 1, "it was no call");

        let mut attempts = policy.start().deadline(at);
        let failed = attempts.attempt(flaky.call()).await.unwrap_err();
        assert!(failed.is_timeout());
        let error = attempts.backoff(failed.at_most_once()).await.unwrap_err();
        assert_eq!((error.reason, error.attempts), (GaveUp::Deadline, 0), "nothing was sent");
        assert_eq!(flaky.times(), [0_u128; 0]);
    });
}

#[test]
fn the_last_moment_that_there_is_is_a_deadline_like_any_other() {
    World::run(async |_| {
        let (mut last, mut step) = (Instant::now(), Duration::MAX);
        while !step.is_zero() {
            match last.checked_add(step) {
                Some(later) => last = later,
                None => step /= 2,
            }
        }
        let policy = doubling().attempt_timeout(Duration::MAX);
        let call = policy.run(pending::<Result<(), Refused>>).deadline(last);
        assert!(tokio::time::timeout(ms(1000), call).await.is_err());
        let call = policy.run(|| ready(Err::<(), _>(Refused(1)))).deadline(last);
        assert_eq!(assert_took!(call, ms(300)).unwrap_err().reason, GaveUp::Attempts);
    });
}

#[test]
fn a_wait_that_is_looked_at_too_late_keeps_the_error_and_gives_the_token_back() {
    World::run(async |_| {
        let budget = Budget::percent(0).per_second(0).reserve(1);
        let policy = doubling().total_timeout(ms(1000)).budget(budget.clone());
        let flaky = Flaky::failing(9);
        let mut call = std::pin::pin!(policy.run(|| flaky.call()));
        assert!(tokio::time::timeout(ms(0), call.as_mut()).await.is_err());
        sleep(ms(2000)).await;
        let error = call.as_mut().await.unwrap_err();
        assert_eq!((error.reason, error.attempts, &error.last), (GaveUp::Deadline, 1, &Some(Refused(1))));
        assert_eq!((flaky.times(), budget.snapshot().available), (vec![0], 1));
    });
}

#[test]
fn the_time_from_a_call_to_its_first_poll_counts() {
    World::run(async |_| {
        let policy = doubling();
        let call = policy.run(pending::<Result<(), Refused>>).deadline(Instant::now() + ms(100));
        sleep(ms(60)).await;
        assert_took!(call, ms(40)).unwrap_err();
    });
}

#[test]
fn an_attempt_knows_the_deadline() {
    World::run(async |_| {
        let policy = doubling();
        let at = Instant::now() + ms(100);
        assert_eq!(policy.start().deadline(at).next_attempt().deadline(), Some(at));
        let call = policy.run_with(|attempt| ready(Ok::<_, Refused>(attempt.deadline()))).deadline(at);
        assert_eq!(call.await, Ok(Some(at)));
    });
}

#[test]
fn a_success_at_once_needs_no_timer() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let policy = doubling();
        let call = policy.run(|| ready(Ok::<_, Refused>(5))).deadline(Instant::now() + ms(1000));
        assert_eq!(call.await, Ok(5));
    });
}

#[test]
fn an_attempt_after_one_that_was_dropped_has_its_time() {
    World::run(async |_| {
        let policy = doubling().attempt_timeout(ms(1000));
        let mut attempts = policy.start();
        let hang = pending::<Result<(), Refused>>;
        assert!(tokio::time::timeout(ms(300), attempts.attempt(hang())).await.is_err());
        let failed = assert_took!(attempts.attempt(hang()), ms(1000)).unwrap_err();
        assert!(failed.is_timeout());
        assert_eq!(attempts.attempts(), 2);
    });
}

#[test]
fn a_series_says_when_it_ends() {
    World::run(async |_| {
        let (start, unbounded) = (Instant::now(), doubling());
        let bounded = doubling().total_timeout(ms(500));
        assert_eq!(unbounded.start().ends_at(), None);
        assert_eq!(bounded.start().ends_at(), Some(start + ms(500)));
        assert_eq!(unbounded.start().deadline(start + ms(300)).ends_at(), Some(start + ms(300)));
        for (own, end) in [(300, 300), (500, 500), (900, 500), (0, 0)] {
            assert_eq!(
                bounded.start().deadline(start + ms(own)).ends_at(),
                Some(start + ms(end)),
                "{own} ms"
            );
        }
        assert_eq!(doubling().total_timeout(Duration::MAX).start().ends_at(), None);
    });
}

#[test]
fn the_total_time_begins_when_its_end_is_first_asked() {
    World::run(async |_| {
        let start = Instant::now();
        let policy = doubling().total_timeout(ms(500));
        let mut attempts = policy.start();
        sleep(ms(100)).await; // the series has not begun
        let end = attempts.ends_at();
        assert_eq!(end, Some(start + ms(600)));
        sleep(ms(450)).await; // a queue
        let failed = attempts.attempt(pending::<Result<(), Refused>>()).await.unwrap_err();
        assert_eq!(attempts.ends_at(), end, "it moves no more");
        let error = attempts.backoff(failed).await.unwrap_err();
        assert_eq!((error.reason, error.attempts), (GaveUp::Deadline, 1));
        assert_eq!((start.elapsed(), error.total()), (ms(600), ms(500)));
    });
}

#[test]
fn after_a_queue_that_took_all_of_the_time_no_attempt_is_made() {
    World::run(async |_| {
        let policy = doubling().total_timeout(ms(500));
        let flaky = Flaky::failing(0);
        let mut attempts = policy.start();
        sleep_until(attempts.ends_at().unwrap()).await;
        let failed = attempts.attempt(flaky.call()).await.unwrap_err();
        let error = attempts.backoff(failed).await.unwrap_err();
        assert_eq!((error.reason, error.attempts, error.total()), (GaveUp::Deadline, 0, ms(500)));
    });
}
