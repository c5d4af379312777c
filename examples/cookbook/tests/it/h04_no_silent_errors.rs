//! How do I notice an error that nobody awaits? The group returns it, and a world fails with a task that has panicked.

use evenkeel_task::{BoxError, group};
use evenkeel_testkit::World;

#[test]
fn the_error_of_a_task_is_the_error_of_its_group() {
    World::run(async |_| {
        let run = group(async |g| {
            g.task("mail").spawn(async { Err::<(), BoxError>("no such address".into()) });
            Ok(())
        });
        println!("{:#}", run.await.unwrap_err());
    });
    crate::output::assert_is_the_books("h04_no_silent_errors");
}

#[test]
#[should_panic = "a bug in a task"]
fn a_panic_that_nobody_awaits_fails_the_test() {
    World::run(async |_| drop(tokio::spawn(async { panic!("a bug in a task") })));
}
