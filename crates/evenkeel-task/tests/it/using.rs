//! Resources that are always released.

use std::{
    future::{pending, ready},
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel_task::{BoxError, Cause, Resource, UsingError, UsingStage, catch_panic, group, using};
use evenkeel_testkit::{World, assert_took, cancel};
use tokio::time::{sleep, timeout};

use crate::{failures, ms, throw};

type Log = Arc<Mutex<Vec<&'static str>>>;

fn log(log: &Log, word: &'static str) {
    log.lock().unwrap().push(word);
}

fn logged(log: &Log) -> Vec<&'static str> {
    log.lock().unwrap().clone()
}

async fn open(file: Log) -> Result<Log, BoxError> {
    sleep(ms(5)).await;
    log(&file, "open");
    Ok(file)
}

async fn close(file: Log) {
    sleep(ms(5)).await;
    log(&file, "close");
}

async fn work(file: Resource<Log>) -> Result<u8, BoxError> {
    sleep(ms(5)).await;
    log(&file, "work");
    Ok(7)
}

#[test]
fn after_a_value_it_is_released() {
    World::run(async |_| {
        let file = Log::default();
        assert_eq!(assert_took!(using(open(file.clone()), close, work), ms(15)).unwrap(), 7);
        assert_eq!(logged(&file), ["open", "work", "close"]);
        assert_eq!(Arc::strong_count(&file), 1);
    });
}

#[test]
fn after_an_error_and_a_panic_it_is_released() {
    World::run(async |_| {
        let file = Log::default();
        let wrong = using(open(file.clone()), close, async |_file| Err::<(), BoxError>("wrong".into()));
        let error = assert_took!(wrong, ms(10)).unwrap_err();
        assert_eq!((error.stage, error.to_string().as_str()), (UsingStage::Body, "the body failed"));
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "wrong");
        let bug = using(open(file.clone()), close, async |_file| -> Result<(), BoxError> { throw("bug") });
        assert_eq!(assert_took!(catch_panic(bug), ms(10)).unwrap_err().message(), Some("bug"));
        assert_eq!(logged(&file), ["open", "close", "open", "close"]);
    });
}

#[test]
fn what_fails_is_said() {
    World::run(async |_| {
        let no = using(ready(Err::<(), _>("no")), async |()| (), async |_| Ok(())).await.unwrap_err();
        assert_eq!((no.stage, no.to_string().as_str()), (UsingStage::Acquire, "could not acquire"));
        let sore = |()| async { throw("sore") };
        let error = using(ready(Ok::<_, BoxError>(())), sore, async |_| Ok(())).await.unwrap_err();
        assert_eq!((error.stage, error.to_string().as_str()), (UsingStage::Release, "the release failed"));
        assert!(matches!(error.cause, Cause::Panic(_)));
        let both = using(ready(Ok::<_, BoxError>(())), sore, async |_| Err::<(), BoxError>("first".into()));
        let UsingError {
            stage: UsingStage::Body,
            cause: Cause::Error(first),
            release: Some(Cause::Panic(_)),
            ..
        } = both.await.unwrap_err()
        else {
            panic!("both are there")
        };
        assert_eq!(first.to_string(), "first");
    });
}

#[test]
fn a_release_has_30_seconds() {
    World::run(async |_| {
        let stuck = |()| pending::<()>();
        let run = using(ready(Ok::<_, BoxError>(())), stuck, async |_| Ok(()));
        let error = assert_took!(run, Duration::from_secs(30)).unwrap_err();
        assert_eq!(error.to_string(), "the release took too long");
        assert!(matches!(error.cause, Cause::Deadline));
        // The time does not start again when the caller is dropped.
        let cut = group(async |_g| {
            let run = using(ready(Ok::<_, BoxError>(())), stuck, async |_| Ok(()));
            assert!(timeout(Duration::from_secs(10), run).await.is_err());
            Ok(())
        });
        assert_eq!(failures(&assert_took!(cut, Duration::from_secs(30)).unwrap_err()), ["release: deadline"]);
    });
}

#[test]
fn a_group_waits_for_the_release_of_a_task_that_it_aborts() {
    World::run(async |_| {
        let file = Log::default();
        let run = group(async |g| {
            g.spawn(using(open(file.clone()), close, async |_file: Resource<Log>| {
                pending::<Result<(), BoxError>>().await
            }));
            sleep(ms(7)).await;
            Err::<(), BoxError>("enough".into())
        });
        assert_took!(run, ms(12)).unwrap_err();
        assert_eq!(logged(&file), ["open", "close"]);
    });
}

#[test]
fn a_thing_that_the_body_passed_on_is_awaited() {
    World::run(async |_| {
        let file = Log::default();
        let run = using(open(file.clone()), close, async |file: Resource<Log>| {
            tokio::spawn(work(file));
            Ok(())
        });
        assert_took!(run, ms(15)).unwrap();
        assert_eq!(logged(&file), ["open", "work", "close"]);
    });
}

#[test]
fn what_was_opened_is_closed_wherever_it_is_cut() {
    let cuts = cancel::every_point(
        async || Log::default(),
        async |file| assert_eq!(using(open(file), close, work).await.unwrap(), 7),
        async |file: Log| {
            let words = logged(&file);
            let count = |word| words.iter().filter(|found| **found == word).count();
            assert_eq!(count("open"), count("close"), "{words:?}");
        },
    );
    assert_eq!(cuts.points(), 3);
}
