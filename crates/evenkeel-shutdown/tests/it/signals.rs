//! The signals that count, in exact virtual time.

use std::{future::pending, time::Duration};

use evenkeel_shutdown::{Outcome, Reason, Report, Shutdown};
use evenkeel_testkit::{World, assert_took};
use proptest::prelude::*;
use tokio::time::sleep;

use crate::ms;

/// Sends each signal at its time after the start, and returns the report.
async fn train(shutdown: Shutdown, signals: &[(i32, u64)]) -> Report {
    let handle = shutdown.handle();
    let sends = async {
        let mut before = 0;
        for (number, at) in signals {
            sleep(ms(at - before)).await;
            before = *at;
            handle.signal(*number);
        }
        pending::<()>().await;
    };
    tokio::select! {
        biased;
        report = shutdown.run() => report,
        () = sends => unreachable!(),
    }
}

/// A task that needs a second to drain.
fn slow() -> Shutdown {
    Shutdown::manual().0.task("slow", async |stop| {
        stop.draining().await;
        sleep(ms(1_000)).await;
    })
}

fn counted(report: &Report) -> Vec<(i32, Duration, bool)> {
    report.signals.iter().map(|signal| (signal.number, signal.after, signal.counted)).collect()
}

#[test]
fn one_request_in_several_signals_is_one() {
    // The signals of runners, supervisors and closing terminals for one key, one command, one window.
    let trains: [&[(i32, u64)]; 12] = [
        &[(2, 0)],
        &[(2, 0), (2, 0)],
        &[(2, 0), (2, 1)],
        &[(2, 0), (15, 1)],
        &[(15, 0), (2, 16), (2, 42)],
        &[(2, 0), (2, 18), (2, 35)],
        &[(15, 0), (2, 19), (2, 66)],
        &[(1, 0), (1, 0)],
        &[(1, 0), (1, 1), (1, 1)],
        &[(1, 0), (15, 8)],
        &[(2, 0), (2, 64), (2, 199)],
        &[(2, 0), (12, 50), (10, 100), (3, 150), (15, 199)],
    ];
    for signals in trains {
        World::run(async |_| {
            let report = assert_took!(train(slow(), signals), ms(1_000));
            assert_eq!((report.exit_code(), report.reason.clone()), (0, Reason::Signal(signals[0].0)));
            let got = counted(&report);
            let sent: Vec<_> = signals
                .iter()
                .enumerate()
                .map(|(index, (number, at))| (*number, ms(*at), index == 0))
                .collect();
            assert_eq!(got, sent, "{report}");
        });
    }
}

#[test]
fn the_next_request_counts_and_copies_do_not_put_it_off() {
    // The second one that counts, which cuts the drain short.
    let trains: [(&[(i32, u64)], u64); 6] = [
        (&[(2, 0), (2, 200)], 200),
        (&[(15, 0), (15, 222), (15, 336)], 222),
        (&[(2, 0), (2, 150), (2, 199), (2, 201)], 201),
        (&[(2, 0), (2, 0), (2, 300), (2, 301)], 300),
        (&[(15, 0), (2, 16), (2, 42), (2, 301), (2, 317)], 301),
        (&[(1, 0), (15, 250)], 250),
    ];
    for (signals, cut) in trains {
        World::run(async |_| {
            let report = assert_took!(train(slow(), signals), ms(cut));
            assert_eq!((report.exit_code(), report.hung().count()), (1, 1), "{report}");
            assert_eq!(report.signals.iter().filter(|signal| signal.counted).count(), 2, "{report}");
        });
    }
}

#[test]
fn after_the_second_request_there_are_copies_too() {
    World::run(async |_| {
        let (shutdown, _) = Shutdown::manual();
        let handle = shutdown.handle();
        let shutdown = shutdown.task("slow", async |stop| {
            stop.draining().await;
            pending::<()>().await;
        });
        let sends = async {
            for wait in [0, 0, 300, 0, 1] {
                sleep(ms(wait)).await;
                handle.signal(2);
            }
        };
        let ((), report) = tokio::join!(biased; sends, shutdown.run());
        // The abort is at 300 ms. The run is over then, and records nothing more.
        let flags: Vec<_> = report.signals.iter().map(|signal| signal.counted).collect();
        assert_eq!(flags, [true, false, true, false], "{report}");
    });
}

#[test]
fn the_window_is_the_programs() {
    World::run(async |_| {
        let none = slow().signal_window(ms(0));
        let report = assert_took!(train(none, &[(2, 0), (2, 0)]), ms(0));
        assert!(counted(&report).iter().all(|(_, _, counted)| *counted));
        let long = slow().signal_window(Duration::MAX);
        let report = assert_took!(train(long, &[(2, 0), (2, 900)]), ms(1_000));
        assert_eq!(report.exit_code(), 0);
        let short = slow().signal_window(ms(50));
        let report = assert_took!(train(short, &[(2, 0), (2, 49), (2, 50)]), ms(50));
        assert_eq!(report.exit_code(), 1);
    });
}

#[test]
fn the_report_tells_every_further_signal() {
    World::run(async |_| {
        let report = train(slow(), &[(15, 0), (2, 18), (1, 222)]).await;
        let text = report.to_string();
        let lines: Vec<_> = text.lines().take(3).collect();
        assert_eq!(
            lines,
            [
                "stopped by SIGTERM",
                "  SIGINT came 18ms after the first signal: the same request",
                "  signal 1 came 222ms after the first signal: another request",
            ]
        );
        let one = train(slow(), &[(15, 0)]).await;
        assert_eq!(
            one.to_string().lines().count(),
            2,
            "one signal is the first line, and the task the second"
        );
    });
}

#[test]
fn the_report_of_a_failure_tells_the_signal_that_came_after_it() {
    World::run(async |_| {
        let (shutdown, _) = Shutdown::manual();
        let shutdown = shutdown.task("import", async |_stop| Err::<(), _>("no such file"));
        let shutdown = shutdown.task("slow", async |_stop| sleep(ms(500)).await);
        let report = train(shutdown, &[(2, 100), (2, 150)]).await;
        let text = report.to_string();
        let lines: Vec<_> = text.lines().take(3).collect();
        let came = ["  SIGINT came", "  SIGINT came 50ms after the first signal: the same request"];
        assert_eq!(lines, ["stopped because task 'import' failed", came[0], came[1]]);
    });
}

#[test]
fn a_flood_of_signals_is_not_kept() {
    World::run(async |_| {
        let flood: Vec<_> = (0..10_000).map(|n| (2, n / 100)).chain([(15, 500)]).collect();
        let report = train(slow(), &flood).await;
        assert_eq!(report.signals.len(), 17);
        assert!(report.signals.last().is_some_and(|last| last.counted && last.number == 15));
    });
}

#[test]
fn a_manual_run_is_not_the_end_of_the_process() {
    World::run(async |_| {
        let (shutdown, _) = Shutdown::manual();
        let handle = shutdown.handle();
        let report = train(shutdown.task("short", async |_stop| {}), &[]).await;
        assert_eq!(report.reason, Reason::Ended);
        for _ in 0..5 {
            handle.signal(2);
            sleep(ms(300)).await;
        }
        assert!(!handle.stop().is_draining());
        // A manual run has no process to end: a third signal during the run has no effect either.
        let (shutdown, _) = Shutdown::manual();
        let handle = shutdown.handle();
        for _ in 0..5 {
            handle.signal(2);
            sleep(ms(300)).await;
        }
        assert_eq!(shutdown.run().await.signals.len(), 5);
    });
}

#[test]
fn a_signal_before_the_run_drains_it_at_once() {
    World::run(async |_| {
        let (shutdown, stop) = Shutdown::manual();
        let handle = shutdown.handle();
        // The start-up waits for its database, or for the stop.
        let start_up = async {
            tokio::select! {
                () = sleep(ms(60_000)) => {}
                () = stop.draining() => {}
            }
        };
        let signal = async {
            sleep(ms(700)).await;
            handle.signal(15);
            handle.signal(15);
        };
        assert_took!(async { tokio::join!(start_up, signal) }, ms(700));
        let ready = handle.readiness();
        let shutdown = shutdown
            .pre_stop(ms(5_000))
            .task("server", async |stop| stop.draining().await)
            .on_stop("pool", async || sleep(ms(10)).await);
        let report = assert_took!(shutdown.run(), ms(10));
        assert_eq!((report.reason.clone(), report.exit_code()), (Reason::Signal(15), 0));
        assert!(!*ready.borrow());
    });
}

#[test]
fn a_signal_before_the_run_begins_the_grace_period() {
    World::run(async |_| {
        let (shutdown, _) = Shutdown::manual();
        let handle = shutdown.handle();
        handle.signal(2);
        sleep(ms(7_000)).await;
        let shutdown = shutdown.task("deaf", async |_stop| pending::<()>().await);
        let report = assert_took!(shutdown.run(), ms(3_000));
        assert!(matches!(report.tasks[0].outcome, Outcome::Aborted));
    });
}

#[test]
fn two_requests_before_the_run_abort_it() {
    World::run(async |_| {
        let (shutdown, _) = Shutdown::manual();
        let handle = shutdown.handle();
        handle.signal(2);
        sleep(ms(250)).await;
        handle.signal(2);
        let shutdown = shutdown.task("deaf", async |_stop| pending::<()>().await);
        assert_eq!(assert_took!(shutdown.run(), ms(0)).exit_code(), 1);
    });
}

/// The signals that count, by the words of the documentation.
fn model(signals: &[u64], window: u64) -> Vec<bool> {
    let mut last = None;
    let counts = signals.iter().map(|at| {
        let counted = last.is_none_or(|last| at - last >= window);
        if counted {
            last = Some(*at);
        }
        counted
    });
    counts.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_train_counts_as_the_model_says(gaps in prop::collection::vec((0..400_u64, 1..16_i32), 1..12), window in 0..300_u64) {
        let mut at = 0;
        let signals: Vec<_> = gaps.iter().map(|(gap, number)| { at += gap; (*number, at) }).collect();
        let times: Vec<_> = signals.iter().map(|(_, at)| *at).collect();
        let expected = model(&times, window);
        let second = expected.iter().enumerate().filter(|(_, counted)| **counted).nth(1).map(|(index, _)| index);
        let report = World::run(async |_| {
            let deaf = Shutdown::manual().0.grace(ms(1_000_000)).signal_window(ms(window));
            let deaf = deaf.task("deaf", async |stop| {
                stop.draining().await;
                sleep(ms(100_000)).await;
            });
            train(deaf, &signals).await
        });
        // The run is over at the second one that counts.
        let heard = second.map_or(expected.len(), |index| index + 1);
        let got: Vec<_> = report.signals.iter().map(|signal| signal.counted).collect();
        prop_assert_eq!(&got[..heard], &expected[..heard]);
        prop_assert_eq!(report.exit_code(), u8::from(second.is_some()));
    }
}
