//! Programs that call what blocks a thread: virtual time would not wait for it. They wait for no time either.

use tokio::runtime::Builder;

use crate::{
    examples,
    output::{Ended, assert_is_the_books},
};

#[test]
fn a13_blocking_call() {
    run("a13_blocking_call", examples::a13_blocking_call::scenario());
}

#[test]
fn a14_cpu_work() {
    run("a14_cpu_work", examples::a14_cpu_work::scenario());
}

fn run<T: Ended>(name: &str, program: impl Future<Output = T>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(program).assert_succeeded();
    assert_is_the_books(name);
}
