//! How do I start an asynchronous program? With `#[tokio::main]`; an `async fn` runs nothing until it is awaited.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::Duration;

use tokio::time::sleep;

async fn greet(name: &str) -> usize {
    sleep(Duration::from_millis(10)).await;
    println!("hello, {name}");
    name.len()
}

pub(crate) async fn scenario() {
    let greeting = greet("world");
    println!("nothing has run yet");
    println!("{} letters", greeting.await);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    scenario().await;
}
