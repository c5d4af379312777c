//! Errors that are no `Error` themselves: boxed ones and strings.

use std::{error::Error, future::ready, num::ParseIntError};

use evenkeel_retry::{GaveUp, Hedge, HedgeError, Policy, RetryError};
use evenkeel_testkit::World;

use crate::{Refused, doubling, ms};

type BoxError = Box<dyn Error + Send + Sync>;

#[derive(Debug)]
struct Outer(ParseIntError);

impl std::fmt::Display for Outer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("outer")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

async fn parse(text: &str) -> Result<u32, BoxError> {
    Ok(text.parse().map_err(Outer)?)
}

#[test]
fn a_question_mark_takes_them_and_the_chain_is_kept() {
    async fn call(policy: &Policy, text: &str) -> Result<u32, BoxError> {
        Ok(policy.run(|| parse(text)).await.map_err(RetryError::boxed)?)
    }
    World::run(async |_| {
        assert_eq!(call(&doubling(), "7").await.unwrap(), 7);
        let error = call(&doubling(), "x").await.unwrap_err();
        let (mut words, mut cause) = (Vec::new(), Some(&*error as &dyn Error));
        while let Some(error) = cause {
            words.push(error.to_string());
            cause = error.source();
        }
        let expected = [
            "gave up after 3 attempts and 300ms: no attempts left",
            "outer",
            "invalid digit found in string",
        ];
        assert_eq!(words, expected);
        let again: RetryError<_> = doubling().run(|| parse("x")).await.unwrap_err().boxed();
        assert_eq!((again.reason, again.attempts, again.elapsed), (GaveUp::Attempts, 3, ms(300)));
        let last = again.last.unwrap();
        assert!(last.is::<Outer>() && !last.is::<ParseIntError>());
        assert_eq!(format!("{last:?}"), format!("{:?}", parse("x").await.unwrap_err()));
    });
}

#[test]
fn strings_become_errors_and_a_time_out_has_none() {
    World::run(async |_| {
        let error = doubling().max_attempts(1).run(|| ready(Err::<(), _>("busy"))).await.unwrap_err().boxed();
        assert_eq!(error.source().unwrap().to_string(), "busy");
        let hang = std::future::pending::<Result<(), String>>;
        let error = doubling().max_attempts(1).run(hang).await.unwrap_err().boxed();
        assert!(error.source().is_none() && error.last.is_none());
    });
}

#[test]
fn the_last_error_is_returned_alone_or_else_the_reason() {
    World::run(async |_| {
        let last = doubling().run(|| parse("x")).await.map_err(RetryError::into_last).unwrap_err();
        assert!(last.is::<Outer>());
        let hang = std::future::pending::<Result<(), BoxError>>;
        let policy = doubling().max_attempts(1);
        let timed_out = policy.run(hang).await.map_err(RetryError::into_last).unwrap_err();
        assert_eq!(
            timed_out.to_string(),
            "gave up after 1 attempt and 30s: no attempts left; the last attempt timed out"
        );
    });
}

#[test]
fn both_errors_of_a_hedge_are_kept() {
    World::run(async |_| {
        let mut number = 0;
        let hedge = Hedge::after(ms(10));
        let error: HedgeError<_> = hedge
            .run(|| {
                number += 1;
                let error = Refused(number);
                async {
                    tokio::time::sleep(ms(100)).await;
                    Err::<(), _>(BoxError::from(error))
                }
            })
            .await
            .unwrap_err()
            .boxed();
        assert_eq!(error.source().unwrap().to_string(), "refused 1");
        assert_eq!(error.second.unwrap().downcast_ref(), Some(&Refused(2)));
    });
}
