//! Runs that are ended at a random moment, and the runs after them.

use std::time::Duration;

use tokio::{
    process::{Child, Command},
    time::sleep,
};

use crate::{
    flawed_api::{DOCUMENTS, FLAWS, FlawedApi, USERS},
    random::Random,
    workdir::{Workdir, text},
};

/// The maximum of calls in flight.
const CONCURRENCY: u32 = 8;

/// How a run is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Term,
    Kill,
}

/// Sends a signal, unless the process has ended.
pub(crate) async fn signal(child: &Child, name: &str) {
    if let Some(pid) = child.id() {
        Command::new("kill").args([name, &pid.to_string()]).output().await.unwrap();
    }
}

/// Ends a run at a random moment of this seed, and lets another one finish the work: the rows are the same as without
/// the interruption. Returns whether the store was partly filled in between.
pub(crate) async fn at_random(workdir: &Workdir, how: Signal, seed: u64) -> bool {
    let (whole, api) = (Workdir::new(), FlawedApi::start().await);
    let flags = format!("--url {} --concurrency {CONCURRENCY}", api.base());
    whole.run(&flags, 0).await;
    api.reset_counts();

    let stored = interrupt(workdir, &api, how, seed).await;
    let report = workdir.run(&flags, 0).await;
    let repeated = api.repeated_calls();
    println!("{how:?}, seed {seed}: {stored} users stored before, {repeated} calls repeated");

    assert_eq!(workdir.dump().await, whole.dump().await, "seed {seed}");
    assert_eq!((&report["users"], &report["ended"]), (&USERS.into(), &"complete".into()), "{report}");
    assert_eq!(report["failures"].as_array().unwrap().len(), FLAWS, "{report}");
    // After a complete run the next one reads everything again.
    if stored < USERS {
        assert_eq!(report["users_before"], stored);
        let most = if how == Signal::Kill { CONCURRENCY } else { 1 };
        assert!(repeated <= most, "seed {seed}: {repeated} calls repeated");
    }
    (1..USERS).contains(&stored)
}

/// Runs the program until a random moment of this seed, and returns the number of users that are stored then.
async fn interrupt(workdir: &Workdir, api: &FlawedApi, how: Signal, seed: u64) -> u64 {
    let mut random = Random(seed);
    let calls = 1 + random.below(DOCUMENTS);
    let flags = format!("--url {} --concurrency {CONCURRENCY}", api.base());
    let mut child = workdir.harvest(&flags).spawn().unwrap();
    api.wait_for_calls(calls).await;
    sleep(Duration::from_micros(random.below(10_000))).await;
    match how {
        Signal::Term => signal(&child, "-TERM").await,
        Signal::Kill => child.start_kill().unwrap(),
    }
    let output = child.wait_with_output().await.unwrap();
    let stored = workdir.number("SELECT count(*) FROM users").await as u64;
    if how == Signal::Term {
        assert_eq!(output.status.code(), Some(0), "seed {seed}: {}", text(&output));
        assert_eq!(workdir.report()["users"], stored, "seed {seed}");
    }
    stored
}

/// Kills one run after the other, each after a few more calls, and lets a last one finish.
pub(crate) async fn again_and_again(workdir: &Workdir, seed: u64) {
    let (whole, api) = (Workdir::new(), FlawedApi::start().await);
    let flags = format!("--url {} --concurrency {CONCURRENCY}", api.base());
    whole.run(&flags, 0).await;
    api.reset_counts();
    let mut random = Random(seed);
    let (mut calls, mut kills) = (0, 0);
    loop {
        calls += 20 + random.below(60);
        let mut child = workdir.harvest(&flags).spawn().unwrap();
        tokio::select! {
            () = api.wait_for_calls(calls) => child.start_kill().unwrap(),
            _ = child.wait() => break,
        }
        child.wait().await.unwrap();
        kills += 1;
    }
    println!("seed {seed}: {kills} runs killed, {} calls repeated", api.repeated_calls());
    assert!(kills > 3);
    assert_eq!(workdir.dump().await, whole.dump().await, "seed {seed}");
    let report = workdir.report();
    assert_eq!((&report["users"], &report["ended"]), (&USERS.into(), &"complete".into()), "{report}");
    assert!(api.repeated_calls() <= kills * CONCURRENCY, "seed {seed}");
}
