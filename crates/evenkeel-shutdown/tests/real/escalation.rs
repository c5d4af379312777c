//! The effects of signals on a process, and its end.

use std::time::Duration;

use tokio::time::sleep;

use crate::process::Program;

/// Longer than the window in which a signal is a copy.
async fn again() {
    sleep(Duration::from_millis(300)).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn either_signal_drains_and_the_exit_code_is_0() {
    for (signal, words) in [("INT", "stopped by SIGINT"), ("TERM", "stopped by SIGTERM")] {
        let mut program = Program::start("programs::drains");
        program.prints("ready").await.signal(signal).prints("drained").await.prints(words).await;
        assert_eq!(program.ends().await.0, Some(0));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_end_of_the_grace_period_aborts_and_the_report_names_what_hung() {
    let mut program = Program::start("programs::hangs");
    program.prints("ready").await.signal("TERM").prints("aborted").await;
    let (code, errors) = program.ends().await;
    assert_eq!(code, Some(1));
    assert!(errors.contains("task 'deaf' (") && errors.contains(") was aborted after "), "{errors}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_second_signal_aborts_at_once() {
    let mut program = Program::start("programs::patient");
    program.prints("ready").await.signal("TERM").prints("draining").await;
    again().await;
    program.signal("TERM").prints("aborted").await;
    assert_eq!(program.ends().await.0, Some(1));
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_third_signal_ends_the_process_with_its_number() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut program = Program::start("programs::blocks");
        program.prints("ready").await.signal(signal).prints("draining").await;
        again().await;
        program.signal(signal).prints("aborted").await;
        again().await;
        program.signal(signal);
        assert_eq!(program.ends().await, (Some(code), String::new()));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_watchdog_ends_a_process_whose_runtime_waits_for_a_blocking_call() {
    let mut program = Program::start("programs::cannot_drop_its_runtime");
    program.prints("ready").await.signal("TERM").prints("returned").await;
    let (code, errors) = program.ends().await;
    assert_eq!(code, Some(143));
    assert!(errors.contains("a blocking call"), "{errors}");
    assert!(errors.contains("\n  task 'lookup' (") && errors.contains(") was aborted after "), "{errors}");
    assert!(!errors.contains("'server'"), "{errors}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_watchdog_ends_a_process_whose_task_blocks_and_names_it() {
    let mut program = Program::start("programs::blocks_soon");
    program.prints("ready").await.signal("INT");
    let (code, errors) = program.ends().await;
    assert_eq!(code, Some(130));
    assert!(!errors.contains("'good'"), "{errors}");
    // On one thread no other task can end.
    let lines = ["server", "stuck"].map(|name| {
        let name = format!("  task '{name}' (");
        errors.lines().find(|line| line.starts_with(&name)).expect("it is still running")
    });
    assert!(lines.iter().all(|line| line.contains(") is still running after ")), "{errors}");
    let keeps = lines.map(|line| line.ends_with(", and keeps its thread"));
    assert_eq!(keeps, [false, true], "{errors}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_watchdog_ends_a_process_that_no_signal_has_stopped() {
    let program = Program::start("programs::stops_itself");
    assert_eq!(program.ends().await.0, Some(1));
}

#[tokio::test]
#[ignore = "real tier"]
async fn after_a_run_a_signal_ends_the_process() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut program = Program::start("programs::goes_on");
        program.prints("after").await.signal(signal);
        assert_eq!(program.ends().await.0, Some(code));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_second_run_hears_signals_and_calls_the_first_watchdog_off() {
    let mut program = Program::start("programs::runs_twice");
    program.prints("ready").await.signal("INT").prints("second").await.signal("TERM");
    program.prints("stopped by SIGTERM").await;
    assert_eq!(program.ends().await.0, Some(0));
}

#[tokio::test]
#[ignore = "real tier"]
async fn runs_at_the_same_time_all_hear_a_signal() {
    let mut program = Program::start("programs::runs_two_at_once");
    program.prints("ready").await.signal("INT");
    program.prints("stopped by SIGINT").await.prints("stopped by SIGINT").await;
    assert_eq!(program.ends().await.0, Some(0));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_program_may_choose_its_signals() {
    let mut program = Program::start("programs::hears_its_own_signals");
    program.prints("ready").await.signal("HUP").prints("stopped by signal 1").await;
    assert_eq!(program.ends().await.0, Some(0));
    // Other signals have their default action.
    for signal in ["TERM", "INT"] {
        let mut program = Program::start("programs::hears_its_own_signals");
        program.prints("ready").await.signal(signal);
        assert_eq!(program.ends().await, (None, String::new()));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_phase_that_blocks_its_thread_does_not_take_the_turn_of_the_next() {
    let mut program = Program::start("programs::blocks_in_its_first_phase");
    program.prints("ready").await.signal("TERM").prints("the pool is closed").await;
    let (code, errors) = program.ends().await;
    assert_eq!(code, Some(143));
    assert!(errors.contains("\n  task 'stuck' of phase 'accept' ("), "{errors}");
    assert!(errors.contains("\n  guard 'upload' of phase 'close' ("), "{errors}");
    assert!(!errors.contains("'good'") && !errors.contains("'pool'"), "{errors}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_signal_during_the_start_up_closes_what_was_opened() {
    let mut program = Program::start("programs::is_interrupted_when_it_starts");
    program.prints("connecting").await.signal("INT");
    program.prints("the database is closed").await.prints("2 in the report").await;
    assert_eq!(program.ends().await.0, Some(0));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_signal_that_cannot_be_heard_is_refused_when_it_runs() {
    let run = tokio::spawn(evenkeel_shutdown::Shutdown::new().signals([9]).run());
    let panic = run.await.expect_err("SIGKILL cannot be handled").into_panic();
    let text = panic.downcast_ref::<String>().expect("it has a text");
    assert!(text.starts_with("signal 9 cannot be listened to: "), "{text}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_end_of_one_run_does_not_end_another() {
    let mut program = Program::start("programs::ends_one_of_two_runs");
    program.prints("still here").await.signal("TERM").prints("stopped by SIGTERM").await;
    assert_eq!(program.ends().await.0, Some(0));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_run_that_nobody_has_stopped_leaves_no_watchdog() {
    let mut program = Program::start("programs::cleans_up_and_goes_on");
    program.prints("all tasks ended").await;
    assert_eq!(program.ends().await.0, Some(0));
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_stderr_that_nobody_reads_changes_no_exit_code() {
    let mut program = Program::start("programs::hangs");
    program.nobody_reads_its_errors().prints("ready").await.signal("TERM");
    assert_eq!(program.ends().await.0, Some(1));
    let mut program = Program::start("programs::blocks_soon");
    program.nobody_reads_its_errors().prints("ready").await.signal("TERM");
    assert_eq!(program.ends().await.0, Some(143));
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_watchdog_does_not_wait_for_a_stderr_that_is_locked() {
    let mut program = Program::start("programs::locks_stderr");
    program.prints("ready").await.signal("TERM");
    assert_eq!(program.ends().await.0, Some(143));
}

#[tokio::test]
#[ignore = "real tier"]
async fn who_panics_when_a_signal_comes_does_not_keep_the_third_from_the_process() {
    let mut program = Program::start("programs::panics_when_it_is_woken");
    program.prints("ready").await;
    for _ in 0..3 {
        program.signal("TERM");
        again().await;
    }
    assert_eq!(program.ends().await.0, Some(143));
}
