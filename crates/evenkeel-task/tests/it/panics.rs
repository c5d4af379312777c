//! Every panic is a value at the owner.

use std::{
    future::{pending, ready},
    pin::Pin,
    task::{Context, Poll},
};

use evenkeel_task::{BoxError, Cause, Group, Panic, catch_panic, first_ok, group, shield, using};
use evenkeel_testkit::World;
use tokio::time::sleep;

use crate::{Alive, alive, err, failures, ms, throw};

/// Panics when it is dropped, unless that would end the process.
struct Sore(&'static str);

impl Drop for Sore {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            throw(self.0);
        }
    }
}

/// A future whose drop panics after it has ended.
struct SoreAfterwards(Sore);

impl Future for SoreAfterwards {
    type Output = u8;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u8> {
        Poll::Ready(self.0.0.len() as u8)
    }
}

#[test]
fn a_real_panic_of_a_task_is_the_error_of_its_group() {
    World::builder().allow_panics(1).run(async |_| {
        let left = Alive::default();
        let error = group(async |g| {
            let mine = left.clone();
            g.task("index").spawn(async { drop([1, 2, 3][usize::from(b'x')..].to_vec()) });
            g.spawn(async move {
                pending::<()>().await;
                drop(mine);
            });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(alive(&left), 0);
        assert_eq!(error.cancelled(), 1);
        let panic = error.downcast_ref::<Panic>().expect("a panic is the first cause");
        assert_eq!(panic.message(), Some("range start index 120 out of range for slice of length 3"));
    });
}

#[test]
fn every_panic_is_reported_whenever_it_comes() {
    World::run(async |_| {
        let error = group(async |g| {
            g.task("at work").spawn(async {
                sleep(ms(1)).await;
                throw("1")
            });
            g.task("cancelled").spawn(async {
                let _sore = Sore("2");
                pending::<()>().await;
            });
            g.task("never polled").spawn(SoreAfterwards(Sore("3")).never());
            g.task("fine").spawn(async {});
            let _sore = Sore("4");
            pending::<Result<(), BoxError>>().await
        })
        .await
        .unwrap_err();
        assert_eq!(
            failures(&error),
            [
                "at work: panicked: 1",
                "body: panicked: 4",
                "cancelled: panicked: 2",
                "never polled: panicked: 3"
            ]
        );
        assert_eq!((error.finished(), error.cancelled()), (1, 0));
    });
}

impl SoreAfterwards {
    async fn never(self) {
        pending::<()>().await;
        drop(self);
    }
}

#[test]
fn a_panic_after_the_end_of_the_future_is_reported() {
    struct Value(#[expect(dead_code, reason = "its destructor counts")] Sore);
    struct Odd;
    impl From<Odd> for BoxError {
        fn from(_: Odd) -> Self {
            throw("conversion")
        }
    }
    World::run(async |_| {
        let one = async |g: evenkeel_task::Group| {
            g.spawn(async { Ok::<_, BoxError>(Value(Sore("value"))) });
            Ok(())
        };
        assert_eq!(failures(&group(one).await.unwrap_err()), ["-: panicked: value"]);
        let two = async |g: evenkeel_task::Group| {
            g.spawn(async { Err::<(), _>(Odd) });
            Ok(())
        };
        assert_eq!(failures(&group(two).await.unwrap_err()), ["-: panicked: conversion"]);
        let after = catch_panic(SoreAfterwards(Sore("destructor"))).await.unwrap_err();
        assert_eq!(after.message(), Some("destructor"));
    });
}

#[test]
fn a_payload_that_panics_when_dropped_hurts_nobody() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new(Payload))
        }
    }
    World::run(async |_| {
        let error = group(async |g| {
            g.spawn(async { std::panic::resume_unwind(Box::new(Payload)) });
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(failures(&error), ["-: panicked"]);
        drop(error);
    });
}

#[test]
fn a_panic_of_the_body_wins_over_failures_of_tasks() {
    World::run(async |_| {
        let run = group(async |g| -> Result<(), BoxError> {
            g.spawn(async {
                let _sore = Sore("task");
                pending::<()>().await;
            });
            tokio::task::yield_now().await;
            throw("body")
        });
        assert_eq!(catch_panic(run).await.unwrap_err().message(), Some("body"));
    });
}

#[test]
fn resuming_keeps_the_payload() {
    let caught = Panic::catch(|| std::panic::resume_unwind(Box::new(7_u64))).unwrap_err();
    let again = std::panic::catch_unwind(move || caught.resume()).unwrap_err();
    assert_eq!(*again.downcast::<u64>().unwrap(), 7);
}

#[test]
fn messages_of_all_kinds() {
    let message = |caught: Result<(), Panic>| {
        let panic = caught.unwrap_err();
        (panic.message().map(str::to_owned), panic.to_string(), format!("{panic:?}"))
    };
    let owned = |text: &str| Some(text.to_owned());
    let s = message(Panic::catch(|| std::panic::resume_unwind(Box::new("text"))));
    assert_eq!(s, (owned("text"), "panicked: text".into(), "Panic { message: Some(\"text\"), .. }".into()));
    let s = message(Panic::catch(|| std::panic::resume_unwind(Box::new("String".to_owned()))));
    assert_eq!((s.0, s.1.as_str()), (owned("String"), "panicked: String"));
    let s = message(Panic::catch(|| std::panic::resume_unwind(Box::new(1))));
    assert_eq!((s.0, s.1.as_str()), (None, "panicked"));
}

#[test]
fn the_panic_of_a_bare_task_converts_and_its_abortion_does_not() {
    World::run(async |_| {
        let error = tokio::spawn(async { throw("bare") }).await.unwrap_err();
        assert_eq!(Panic::try_from(error).unwrap().message(), Some("bare"));
        let task = tokio::spawn(pending::<()>());
        task.abort();
        assert!(Panic::try_from(task.await.unwrap_err()).unwrap_err().is_cancelled());
    });
}

#[test]
fn catching_drops_the_future_before_it_gives_the_result() {
    World::run(async |_| {
        let left = Alive::default();
        let mine = left.clone();
        let mut caught = Box::pin(catch_panic(async move {
            let _mine = &mine;
            ready(3).await
        }));
        assert_eq!(caught.as_mut().await.unwrap(), 3);
        assert_eq!(alive(&left), 0);
    });
}

#[test]
fn panics_and_errors_are_different_causes() {
    World::run(async |_| {
        let run = async |bad: fn() -> Result<(), BoxError>| {
            let run = group(async move |g| {
                g.spawn(async move { bad() });
                Ok(())
            });
            run.await.unwrap_err().into_failures().next().unwrap().cause
        };
        assert!(matches!(run(|| err("e")).await, Cause::Error(_)));
        assert!(matches!(run(|| throw("p")).await, Cause::Panic(_)));
    });
}

/// Panics at each drop: during unwinding that would end the process.
#[derive(Debug)]
struct Brutal;

impl Drop for Brutal {
    fn drop(&mut self) {
        throw("brutal")
    }
}

impl std::fmt::Display for Brutal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("brutal")
    }
}

impl std::error::Error for Brutal {}

#[test]
fn a_panic_of_the_body_survives_errors_that_panic_when_dropped() {
    World::run(async |_| {
        let run = Group::builder().collect_all().run(async |g| -> Result<(), BoxError> {
            g.spawn(async { Err::<(), _>(Brutal) });
            g.spawn(async { Err::<(), _>(Brutal) });
            sleep(ms(1)).await;
            throw("body")
        });
        assert_eq!(catch_panic(run).await.unwrap_err().message(), Some("body"));
        let run = using(
            ready(Ok::<_, BoxError>(7)),
            async |_| Err::<(), _>(Brutal),
            async |_| throw("body of using"),
        );
        let panic = catch_panic(async { drop::<Result<(), _>>(run.await) }).await.unwrap_err();
        assert_eq!(panic.message(), Some("body of using"));
    });
}

#[test]
fn a_panic_of_an_entrant_survives_results_that_panic_when_dropped() {
    World::run(async |_| {
        let race = (0..4).map(|n| async move {
            match n {
                0 | 1 => Err(Brutal),
                2 => Ok(Brutal),
                _ => throw("entrant"),
            }
        });
        let panic = catch_panic(async { std::mem::forget(first_ok(race).await) }).await.unwrap_err();
        assert_eq!(panic.message(), Some("entrant"));
    });
}

#[test]
fn of_the_panics_of_a_section_the_first_one_is_told() {
    struct Section(#[expect(dead_code, reason = "its destructor counts")] Sore);
    impl Future for Section {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            throw("section")
        }
    }
    World::run(async |_| {
        let panic = catch_panic(shield(ms(1), Section(Sore("destructor")))).await.unwrap_err();
        assert_eq!(panic.message(), Some("section"));
    });
}
