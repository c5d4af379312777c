//! How do I take the fastest of several sources? With `first_ok`, which cancels the losers; with a hedge if the
//! second should start only when the first is slow.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{
    cell::Cell,
    io::{Error, Result},
    time::Duration,
};

use evenkeel_retry::{Budget, Hedge};
use evenkeel_task::first_ok;
use tokio::time::sleep;

/// At most one call in twenty is made twice.
static HEDGE: Hedge = Hedge::after(Duration::from_millis(40)).budget(Budget::percent(5));

async fn ask(source: &'static str, millis: u64) -> Result<&'static str> {
    sleep(Duration::from_millis(millis)).await;
    if source == "cache" { Err(Error::other("not in the cache")) } else { Ok(source) }
}

pub(crate) async fn scenario() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let sources = [("cache", 5), ("database", 30), ("api", 60_000)];
    let answer = first_ok(sources.map(|(source, millis)| ask(source, millis))).await;
    println!("first_ok: the {}", answer.map_err(|none| format!("{none:?}"))?);

    let calls = Cell::new(0);
    let slow_at_first = || {
        calls.set(calls.get() + 1);
        ask("api", if calls.get() == 1 { 60_000 } else { 10 })
    };
    println!("hedge: the {}, by call {}", HEDGE.run(slow_at_first).await?, calls.get());
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    scenario().await
}
