//! Child processes, in the messages of worlds that fail.

use evenkeel_testkit::World;

#[test]
#[ignore = "real tier"]
fn a_world_that_fails_beside_a_child_process_says_so() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a child");
    let waits_for_ever = || World::run(async |_| std::future::pending::<()>().await);
    let failed = std::panic::catch_unwind(waits_for_ever).expect_err("a deadlock");
    let message = failed.downcast_ref::<String>().expect("a message").clone();
    child.kill().expect("it lives");
    child.wait().expect("it ends");
    assert!(
        message.starts_with("deadlock: ") && message.contains("; 1 child process(es) of the test live"),
        "{message}"
    );

    let failed = std::panic::catch_unwind(waits_for_ever).expect_err("a deadlock");
    assert!(!failed.downcast_ref::<String>().expect("a message").contains("child"), "it has ended");
}
