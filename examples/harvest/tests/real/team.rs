//! Processes that work together, and what may happen to them.

use std::{env, fs};

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{
    flawed_api::{FLAWS, FlawedApi, USERS},
    interrupted::signal,
    workdir::{PROGRAM, Workdir, quiet, text},
};

/// The calls in flight of each worker; it has twice as many documents in hand.
pub(crate) const CONCURRENCY: u32 = 4;

pub(crate) const FLAGS: &str = "--concurrency 4 --lease 1s";

/// A queue that processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Postgres,
    Nats,
    Nats214,
}

/// A store and a queue for one test.
pub(crate) struct Team {
    pub(crate) workdir: Workdir,
    pub(crate) queue: Option<String>,
}

impl Team {
    /// Returns a store and a queue, if there are servers for them.
    pub(crate) async fn new(engine: Engine) -> Option<Self> {
        let server = |name| match env::var(name) {
            Ok(url) => Some(url),
            Err(_) => {
                println!("SKIPPED: no NATS server (cargo xtask servers up)");
                None
            }
        };
        let workdir = Workdir::postgres().await?;
        let queue = match engine {
            Engine::Postgres => None,
            Engine::Nats => Some(server("EVENKEEL_TEST_NATS")?),
            Engine::Nats214 => Some(server("EVENKEEL_TEST_NATS214")?),
        };
        Some(Self { workdir, queue })
    }

    /// Returns a worker with these flags, whose JSON is named after its number.
    pub(crate) fn worker(&self, number: usize, flags: &str) -> Command {
        let mut command = quiet(Command::new(PROGRAM));
        command.args(flags.split_whitespace());
        command.args(["--json", &self.workdir.path(&format!("{number}.json"))]);
        match &self.queue {
            None => command.args(["--queue", &self.workdir.store()]),
            Some(queue) => command.args(["--queue", queue, "--store", &self.workdir.store()]),
        };
        command
    }

    /// Starts workers on an API.
    pub(crate) fn start(&self, workers: usize, base: &str) -> Vec<Child> {
        let flags = format!("--url {base} {FLAGS}");
        (0..workers).map(|number| self.worker(number, &flags).spawn().unwrap()).collect()
    }

    pub(crate) fn report(&self, number: usize) -> Value {
        let path = self.workdir.path(&format!("{number}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}

/// Waits for a worker, which has to end by itself.
pub(crate) async fn ends(worker: Child, code: i32) -> String {
    let output = worker.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", text(&output));
    text(&output)
}

/// The rows that one process stores without interruption.
pub(crate) async fn rows_of_one(api: &FlawedApi) -> Vec<String> {
    let whole = Workdir::new();
    whole.run(&format!("--url {} --concurrency 8", api.base()), 0).await;
    api.reset_counts();
    whole.dump().await
}

pub(crate) fn sum(report: &Value, name: &str) -> u64 {
    report["workers"].as_array().unwrap().iter().map(|worker| worker[name].as_u64().unwrap()).sum()
}

/// Two workers share the calls: each document is read once, by one of them. The last one to end tells of all.
pub(crate) async fn two_share_the_work(engine: Engine) {
    let Some(team) = Team::new(engine).await else { return };
    let api = FlawedApi::start().await;
    let rows = rows_of_one(&api).await;
    for child in team.start(2, api.base()) {
        ends(child, 0).await;
    }
    assert_eq!(api.repeated_calls(), 0);
    assert_eq!(team.workdir.dump().await, rows);
    let reports = [0, 1].map(|number| team.report(number));
    for report in &reports {
        assert_eq!((&report["ended"], &report["users"]), (&"complete".into(), &USERS.into()), "{report}");
        assert_eq!(report["failures"].as_array().unwrap().len(), FLAWS, "{report}");
    }
    let ended =
        |report: &&Value| report["workers"].as_array().unwrap().iter().all(|worker| worker["ended"] == true);
    let last = reports.iter().find(ended).expect("the last one sees the end of both");
    assert_eq!(sum(last, "users"), USERS, "{last}");
    assert_eq!(
        sum(last, "calls"),
        reports.iter().map(|report| report["calls"].as_u64().unwrap()).sum::<u64>()
    );
    assert!(last["workers"].as_array().unwrap().iter().all(|worker| worker["users"] != 0), "{last}");
}

/// The work in the hand of a worker that is killed is done again by the other one, and no other.
pub(crate) async fn a_worker_may_be_killed(engine: Engine) {
    let Some(team) = Team::new(engine).await else { return };
    let api = FlawedApi::start().await;
    let rows = rows_of_one(&api).await;
    let [mut killed, other] = team.start(2, api.base()).try_into().unwrap();
    api.wait_for_calls(200).await;
    killed.start_kill().unwrap();
    ends(other, 0).await;
    let repeated = api.repeated_calls();
    println!("{engine:?}: {repeated} calls repeated");
    assert!(repeated <= 2 * CONCURRENCY + 1, "{repeated} calls repeated");
    assert_eq!(team.workdir.dump().await, rows);
    let report = team.report(1);
    assert_eq!(report["failures"].as_array().unwrap().len(), FLAWS, "{report}");
    assert_eq!(report["users"], USERS);
}

/// A worker that is asked to stop stores what is in flight, and hands the rest back: the other one goes on at once.
pub(crate) async fn a_worker_may_leave(engine: Engine) {
    let Some(team) = Team::new(engine).await else { return };
    let api = FlawedApi::start().await;
    let rows = rows_of_one(&api).await;
    let flags = format!("--url {} --concurrency {CONCURRENCY} --lease 60s", api.base());
    let [leaving, other] = [0, 1].map(|number| team.worker(number, &flags).spawn().unwrap());
    api.wait_for_calls(150).await;
    signal(&leaving, "-TERM").await;
    ends(leaving, 0).await;
    // One joins late.
    ends(team.worker(2, &flags).spawn().unwrap(), 0).await;
    ends(other, 0).await;
    assert_eq!(team.report(0)["ended"], "drained");
    // A page that was asked for when the signal came.
    assert!(api.repeated_calls() <= 1, "{} calls repeated", api.repeated_calls());
    assert_eq!(team.workdir.dump().await, rows);
}

/// A worker that is stopped for longer than its lease: the other one does its work, and what it brings late is dropped.
pub(crate) async fn a_worker_may_sleep(engine: Engine) {
    let Some(team) = Team::new(engine).await else { return };
    let api = FlawedApi::start().await;
    let rows = rows_of_one(&api).await;
    let [asleep, other] = team.start(2, api.base()).try_into().unwrap();
    api.wait_for_calls(200).await;
    signal(&asleep, "-STOP").await;
    ends(other, 0).await;
    assert_eq!(team.workdir.dump().await, rows);
    signal(&asleep, "-CONT").await;
    ends(asleep, 0).await;
    assert_eq!(team.workdir.dump().await, rows);
    let report = team.report(0);
    assert_eq!((&report["ended"], &report["users"]), (&"complete".into(), &USERS.into()), "{report}");
    assert_eq!(report["failures"].as_array().unwrap().len(), FLAWS, "{report}");
}

/// All workers leave, and others go on later; then the harvest is complete, and the next worker begins another one.
pub(crate) async fn all_may_leave_and_others_go_on(engine: Engine) {
    let Some(team) = Team::new(engine).await else { return };
    let api = FlawedApi::start().await;
    let rows = rows_of_one(&api).await;
    let workers = team.start(2, api.base());
    api.wait_for_calls(150).await;
    for worker in workers {
        signal(&worker, "-TERM").await;
        ends(worker, 0).await;
    }
    assert!(team.report(0)["unfinished"].as_u64().unwrap() > 0, "{engine:?}: {}", team.report(0));
    for worker in team.start(1, api.base()) {
        let said = ends(worker, 0).await;
        assert!(said.contains("going on with a run that was not finished: "), "{said}");
    }
    assert!(api.repeated_calls() <= 1, "{engine:?}: {} calls repeated", api.repeated_calls());
    assert_eq!(team.workdir.dump().await, rows, "{engine:?}");
    api.reset_counts();
    for worker in team.start(1, api.base()) {
        ends(worker, 0).await;
    }
    assert_eq!(team.workdir.dump().await, rows, "{engine:?}");
    assert_eq!(sum(&team.report(0), "users"), USERS, "{engine:?}");
}
