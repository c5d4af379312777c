//! Runs that are ended at a random moment, and the runs after them.

use std::time::Duration;

use tokio::{
    process::{Child, Command},
    time::sleep,
};

use crate::{
    random::Random,
    server::Server,
    site::{PAGES, site},
    workdir::{Workdir, text},
};

/// The maximum number of requests in flight.
const IN_FLIGHT: u32 = 4;
const FLAGS: &str = "--rate unlimited --per-host 4";

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
/// the interruption. Returns whether the work was partly done in between.
pub(crate) async fn at_random(workdir: &Workdir, how: Signal, seed: u64) -> bool {
    let server = site().await;
    let whole = complete(&server).await;
    let requests = Random(seed).below(u64::from(PAGES)) as u32;
    let code = interrupt(workdir, &server, how, 1 + requests, seed).await;
    if code == Some(1) {
        // It was quicker than the signal: the next run would visit everything again.
        assert_eq!(workdir.dump().await, whole, "seed {seed}");
        return false;
    }
    let report = workdir.run(&server.url("/p0"), FLAGS, 1).await;
    let repeated = repeated(&server);
    println!("{how:?}, seed {seed}: after {requests} requests, {repeated} pages fetched twice");
    assert_eq!(workdir.dump().await, whole, "seed {seed}");
    assert_eq!(report["ended"], "complete", "{report}");
    assert!(repeated <= if how == Signal::Kill { IN_FLIGHT } else { 0 }, "seed {seed}: {repeated} repeated");
    true
}

/// Kills one run after the other, each after a few more requests, and lets a last one finish.
pub(crate) async fn again_and_again(workdir: &Workdir, seed: u64) {
    let server = site().await;
    let whole = complete(&server).await;
    let (mut random, mut kills) = (Random(seed), 0);
    while interrupt(workdir, &server, Signal::Kill, 10 + random.below(30) as u32, seed).await.is_none() {
        kills += 1;
    }
    println!("seed {seed}: {kills} runs killed, {} pages fetched twice", repeated(&server));
    assert!(kills > 2);
    assert_eq!(workdir.dump().await, whole, "seed {seed}");
    assert!(repeated(&server) <= kills * IN_FLIGHT, "seed {seed}");
}

/// Returns all rows of a crawl that nothing interrupts.
async fn complete(server: &Server) -> Vec<String> {
    let workdir = Workdir::new();
    let report = workdir.run(&server.url("/p0"), FLAGS, 1).await;
    assert_eq!((&report["pages"], &report["ended"]), (&PAGES.into(), &"complete".into()), "{report}");
    assert_eq!(repeated(server), 0);
    server.reset_counts();
    workdir.dump().await
}

/// Runs the program until this many more requests have come and a random time is over, and returns its exit code.
async fn interrupt(workdir: &Workdir, server: &Server, how: Signal, requests: u32, seed: u64) -> Option<i32> {
    let mut child = workdir.crawl(&server.url("/p0"), FLAGS).spawn().unwrap();
    tokio::select! {
        () = server.wait_for(server.total() + requests) => {}
        _ = child.wait() => {}
    }
    sleep(Duration::from_micros(Random(seed ^ u64::from(requests)).below(8_000))).await;
    match how {
        Signal::Term => signal(&child, "-TERM").await,
        Signal::Kill => drop(child.start_kill()),
    }
    let output = child.wait_with_output().await.unwrap();
    let code = output.status.code();
    let allowed = if how == Signal::Term { [Some(1), Some(3)] } else { [Some(1), None] };
    assert!(allowed.contains(&code), "seed {seed}: {code:?} {}", text(&output));
    code
}

/// Returns the number of requests for pages that had been fetched before.
fn repeated(server: &Server) -> u32 {
    let requests = server.requests();
    requests.iter().filter(|(path, _)| *path != "/robots.txt").map(|(_, count)| count - 1).sum()
}
