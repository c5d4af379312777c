//! Calls that block a thread; the tests need real threads, and the calls wait for nothing but each other.

use std::sync::mpsc::{Receiver, Sender, channel};

use evenkeel_task::{Blocking, BoxError, State, blocking, catch_panic, group};
use tokio::task::yield_now;

use crate::{failures, poll, throw};

/// A call that reports its start, and ends on command.
fn held() -> (impl FnOnce() + Send + 'static, Receiver<()>, Sender<()>) {
    let ((run, running), (end, ending)) = (channel(), channel());
    let call = move || {
        run.send(()).unwrap();
        let _: Result<(), _> = ending.recv();
    };
    (call, running, end)
}

async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

#[tokio::test]
async fn it_gives_the_value_or_the_panic() {
    assert_eq!(blocking(|_stop| 7).await, 7);
    let panic = catch_panic(blocking(|_stop| -> u8 { throw("bug") })).await.unwrap_err();
    assert_eq!(panic.message(), Some("bug"));
}

#[tokio::test]
async fn a_call_whose_caller_is_gone_is_told_and_waited_for() {
    let (told, tell) = channel();
    let (call, running, end) = held();
    let (state, states) = channel();
    let run = group(async |g| {
        g.task("call").spawn(async move {
            blocking(move |stop| {
                call();
                told.send(stop.is_aborting()).unwrap();
            })
            .await;
        });
        until(|| running.try_recv().is_ok()).await;
        let g = g.clone();
        std::thread::spawn(move || {
            let leaving = loop {
                match g.live().into_iter().find(|task| task.state == State::Detached) {
                    Some(task) => break task,
                    None => std::thread::yield_now(),
                }
            };
            state.send(leaving.name).unwrap();
            end.send(()).unwrap();
        });
        Err::<(), BoxError>("enough".into())
    });
    let error = run.await.unwrap_err();
    assert_eq!((failures(&error), error.cancelled()), (vec!["body: enough".to_owned()], 1));
    assert_eq!(states.try_recv().unwrap().as_deref(), Some("blocking"));
    assert!(tell.try_recv().unwrap());
}

#[tokio::test]
async fn a_panic_after_the_caller_is_gone_is_the_groups() {
    let (call, running, end) = held();
    let run = group(async |g| {
        g.spawn(blocking(move |_stop| {
            call();
            throw("late")
        }));
        until(|| running.try_recv().is_ok()).await;
        let g = g.clone();
        std::thread::spawn(move || {
            while g.live().iter().all(|task| task.state != State::Detached) {
                std::thread::yield_now();
            }
            drop(end);
        });
        Err::<(), BoxError>("enough".into())
    });
    assert_eq!(failures(&run.await.unwrap_err()), ["body: enough", "blocking: panicked: late"]);
}

#[test]
fn a_panic_before_the_caller_is_gone_is_the_groups() {
    let one_thread = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let run = group(async |_g| {
        let mut call = Box::pin(blocking(|_stop| throw("early")));
        assert!(poll(&mut call).is_pending());
        // It gets the slot when the other call has ended.
        blocking(|_stop| ()).await;
        drop(call);
        Ok(())
    });
    assert_eq!(failures(&one_thread.block_on(run).unwrap_err()), ["blocking: panicked: early"]);
}

#[tokio::test]
async fn a_bound_counts_calls_until_they_have_really_ended() {
    let pool = Blocking::new(1);
    let (call, running, end) = held();
    let first = tokio::spawn(pool.run(move |_stop| call()));
    until(|| running.try_recv().is_ok()).await;
    assert_eq!(pool.running(), 1);
    first.abort();
    assert!(first.await.is_err());
    assert_eq!(pool.running(), 1, "the caller is gone, the call is not");

    let never = tokio::spawn(pool.run(|_stop| throw("it runs")));
    let second = tokio::spawn(pool.run(|_stop| 2));
    yield_now().await;
    never.abort();
    end.send(()).unwrap();
    assert_eq!(second.await.unwrap(), 2);
    assert_eq!(pool.running(), 0);
}

#[tokio::test]
async fn a_call_drains_with_its_group() {
    let (call, running, end) = held();
    let run = group(async |g| {
        g.spawn(async move {
            let drained = blocking(move |stop| {
                call();
                (stop.is_draining(), stop.is_aborting())
            });
            assert_eq!(drained.await, (true, false));
        });
        until(|| running.try_recv().is_ok()).await;
        g.stop().drain("enough");
        end.send(()).unwrap();
        Ok(())
    });
    run.await.unwrap();
}

#[test]
fn a_bound_of_zero_panics() {
    assert!(evenkeel_task::Panic::catch(|| Blocking::new(0)).is_err());
}
