//! The contents of the report.

use std::{
    future::pending,
    process::{ExitCode, Termination},
};

use evenkeel_shutdown::{BoxError, Reason, Report, Shutdown};
use evenkeel_testkit::World;
use tokio::time::sleep;

use crate::{ms, throw};

async fn one_of_each() -> Report {
    let (shutdown, stop) = Shutdown::manual();
    stop.drain("deploy");
    shutdown
        .grace(ms(1500))
        .task("a", async |_stop| sleep(ms(10)).await)
        .task("b", async |_stop| Err::<(), BoxError>(std::io::Error::other("disk".to_owned()).into()))
        .task("c", async |_stop| throw("index"))
        .task("d", async |_stop| pending::<()>().await)
        .run()
        .await
}

#[test]
fn a_line_for_the_reason_and_one_for_each_task() {
    World::run(async |_| {
        let report = one_of_each().await;
        let place = |index: usize| report.tasks[index].place;
        let expected = format!(
            "stopped: deploy\
             \n  task 'a' ({}) finished after 10ms\
             \n  task 'b' ({}) failed after 0ns: disk\
             \n  task 'c' ({}) panicked after 0ns: panicked: index\
             \n  task 'd' ({}) was aborted after 1.5s",
            place(0),
            place(1),
            place(2),
            place(3),
        );
        assert_eq!(report.to_string(), expected);
    });
}

#[test]
fn what_it_says_of_a_task_is_one_line_whatever_that_has_to_say() {
    World::run(async |_| {
        let report = Shutdown::manual()
            .0
            .phase("the \"last\"\tphase")
            .task("a\n  task 'b' (b.rs:1:1) finished after 0ns", async |_stop| throw("left: 1\n right: 2"))
            .task("Ünï \u{1b}[31m'", async |_stop| Err::<(), _>("no\r\ndisk"))
            .run()
            .await;
        let text = report.to_string();
        assert_eq!(text.lines().count(), 3, "{text}");
        let ends = [
            "stopped because task 'a\\n  task 'b' (b.rs:1:1) finished after 0ns' failed",
            "panicked after 0ns: panicked: left: 1\\n right: 2",
            "failed after 0ns: no\\r\\ndisk",
        ];
        text.lines().zip(ends).for_each(|(line, end)| assert!(line.ends_with(end), "{line}"));
        assert!(text.contains("task 'Ünï \\u{1b}[31m'' of phase 'the \"last\"\\tphase' ("), "{text}");
    });
}

#[test]
fn reasons_in_words() {
    for (reason, words) in [
        (Reason::Ended, "all tasks ended"),
        (Reason::Signal(2), "stopped by SIGINT"),
        (Reason::Signal(15), "stopped by SIGTERM"),
        (Reason::Signal(21), "stopped by signal 21"),
        (Reason::Failed("db".into()), "stopped because task 'db' failed"),
        (Reason::Stopped("deploy".into()), "stopped: deploy"),
    ] {
        assert_eq!(reason.to_string(), words);
    }
}

#[test]
fn the_exit_code_of_main() {
    World::run(async |_| {
        assert_eq!(one_of_each().await.report(), ExitCode::from(1));
        let clean = Shutdown::manual().0.task("a", async |_stop| {}).run().await;
        assert_eq!(clean.report(), ExitCode::SUCCESS);
    });
}
