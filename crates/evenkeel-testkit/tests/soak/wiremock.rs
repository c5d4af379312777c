//! wiremock under the quiet clock, on a busy machine.

use std::{
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use evenkeel_testkit::wiremock::QUIET;
use tokio::{task::JoinSet, time::timeout};
use wiremock::{Mock, ResponseTemplate, matchers::any};

use crate::{tell, wall};

const RUNS: usize = 60;
const CALLS: usize = 20;

/// The calls that timed out, and the virtual time.
fn run() -> (usize, Duration) {
    evenkeel_testkit::wiremock::run(async |world, server| {
        Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
        let client = reqwest::Client::new();
        let mut calls = JoinSet::new();
        for _ in 0..CALLS {
            let call = client.get(server.uri()).send();
            calls.spawn(async { !matches!(timeout(Duration::from_secs(5), call).await, Ok(Ok(_))) });
        }
        let late = calls.join_all().await.into_iter().filter(|late| *late).count();
        (late, world.elapsed())
    })
}

#[test]
#[ignore = "soak"]
fn twelve_hundred_calls_beside_six_busy_threads() {
    let done = Arc::new(AtomicBool::new(false));
    let busy = [(); 6].map(|()| {
        let done = done.clone();
        thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                spin_loop();
            }
        })
    });
    let (runs, time) = wall(|| (0..RUNS).map(|_| run()).collect::<Vec<_>>());
    done.store(true, Ordering::Relaxed);
    busy.into_iter().for_each(|thread| thread.join().expect("it only spins"));
    let late: usize = runs.iter().map(|(late, _)| late).sum();
    let moved = runs.iter().filter(|(_, elapsed)| !elapsed.is_zero()).count();
    tell(format_args!(
        "wiremock, {QUIET:?} quiet, 6 busy threads: {late} of {} timed out, {moved} of {RUNS} clocks moved, \
         {time:?} wall",
        RUNS * CALLS,
    ));
    assert_eq!(late, 0);
}
