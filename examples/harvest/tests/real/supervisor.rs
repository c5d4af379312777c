//! Several workers as processes of a supervisor.

use std::{env, path::PathBuf, process::Output, time::Duration};

use evenkeel::postgres::Database;
use reqwest::Client;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::{sleep, timeout},
};

use crate::{
    blocking_api::BlockingApi,
    browser::Browser,
    workdir::{PROGRAM, Workdir, quiet, text},
};

const LIMIT: Duration = Duration::from_secs(60);

/// Returns a supervisor with its store and its queue in one database, if there is a server.
async fn workdir() -> Option<Workdir> {
    Workdir::postgres().await
}

/// Returns the command of a supervisor.
fn command(workdir: &Workdir, flags: &str) -> Command {
    let mut command = workdir.harvest(flags);
    command.args(["--queue", &workdir.store(), "--lease", "1s"]);
    command
}

/// A supervisor over an API whose documents wait for the test.
struct Waiting {
    workdir: Workdir,
    api: BlockingApi,
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    said: Lines<BufReader<ChildStdout>>,
}

impl Waiting {
    /// Starts two workers, and waits until they have requested documents.
    async fn start(workdir: Workdir, flags: &str) -> Self {
        let api = BlockingApi::start().await;
        let mut command = command(&workdir, flags);
        command.args(["--workers", "2", "--concurrency", "2", "--url", api.base()]);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { workdir, api, child, lines, said }
    }

    /// Returns the next line on stderr that has this text.
    async fn line(&mut self, part: &str) -> String {
        let find = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line.contains(part) {
                    return line;
                }
            }
            panic!("it ended without {part:?}")
        };
        timeout(LIMIT, find).await.unwrap()
    }

    /// Returns the processes of both workers.
    async fn pids(&mut self) -> [u32; 2] {
        let mut pid = async |name: &str| -> u32 {
            let line = self.line(&format!("{name}: starting, process ")).await;
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        [pid("worker 1").await, pid("worker 2").await]
    }

    /// Waits until both workers have a line with numbers.
    async fn both_work(&mut self) {
        self.line("worker 2: working").await;
    }

    /// Waits for the end, and returns the exit code and the report.
    async fn end(mut self) -> (Option<i32>, Value) {
        let rest = async {
            while let Ok(Some(_)) = self.lines.next_line().await {}
            while let Ok(Some(_)) = self.said.next_line().await {}
            self.child.wait().await.unwrap()
        };
        let status = timeout(LIMIT, rest).await.unwrap();
        (status.code(), self.workdir.report())
    }
}

fn runs(pid: u32) -> bool {
    PathBuf::from(format!("/proc/{pid}")).exists()
}

/// Waits until none of the processes runs.
async fn are_gone(pids: &[u32]) {
    let gone = async {
        while pids.iter().any(|&pid| runs(pid)) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, gone).await.unwrap();
}

async fn kill(signal: &str, pid: u32) {
    Command::new("kill").args([signal, &pid.to_string()]).output().await.unwrap();
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_worker_is_killed_half_way_and_the_rows_are_exact() {
    let Some(workdir) = workdir().await else { return };
    let mut command = command(
        &workdir,
        "--workers 3 --kill --users 200 --page-size 10 --latency 30 --concurrency 10 --faults none --strict --rate 300",
    );
    match env::var("EVENKEEL_TEST_REDIS") {
        Ok(redis) => _ = command.args(["--quota", &redis]),
        Err(_) => println!("SKIPPED in part: no Redis server, so each worker has a rate of its own"),
    }
    let output = timeout(LIMIT, command.output()).await.unwrap().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report = workdir.report();
    assert_eq!((&report["ended"], &report["users"]), (&"complete".into(), &200.into()), "{report}");
    let rows = &report["rows"];
    assert_eq!(
        (&rows["users"], &rows["wrong"], &rows["foreign"]),
        (&200.into(), &0.into(), &0.into()),
        "{rows}"
    );
    assert_eq!(rows["orders"], workdir.number("SELECT count(*) FROM orders").await);
    assert!(said.contains("exact: 200 users and "), "{said}");
    assert_eq!((&report["died"], &report["started_again"]), (&1.into(), &1.into()), "{said}");
    let workers = report["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 4, "{report}");
    assert_eq!(workers.iter().filter(|worker| worker["condition"] == "ended").count(), 3, "{report}");
    for part in
        ["is killed (--kill)", "worker 4 is started in its place", "together: ", "another worker joins by: "]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_worker_that_dies_is_shown_and_started_again_and_a_signal_stops_all() {
    let Some(workdir) = workdir().await else { return };
    let mut run = Waiting::start(workdir, "--restart --page 127.0.0.1:0").await;
    let mut url = String::new();
    while !url.starts_with("http") {
        let line = run.said.next_line().await.unwrap().unwrap();
        url = line.strip_prefix("live page: ").unwrap_or_default().to_owned();
    }
    let [first, second] = run.pids().await;
    run.both_work().await;
    kill("-KILL", first).await;
    let line = run.line("worker 1 has died").await;
    assert!(line.contains("signal: 9"), "{line}");
    run.line("worker 3 is started in its place").await;
    run.line("worker 3: working").await;
    let state = Client::new().get(format!("{url}state.json")).send().await.unwrap();
    let state: Value = serde_json::from_slice(&state.bytes().await.unwrap()).unwrap();
    assert_eq!((&state["sums"]["alive"], &state["sums"]["dead"]), (&2.into(), &1.into()), "{state}");
    assert!(state["queue"] == "a queue in the database of the store", "{state}");
    assert!(state["workers"].as_array().unwrap().iter().any(|worker| worker["id"] == "worker 3"), "{state}");
    let page = Client::new().get(&url).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("<span class=\"dead\">dead, seen "), "{page}");

    if let Some(mut browser) = Browser::start().await {
        for width in [1400, 390] {
            browser.open(&url, width).await;
            browser.until("document.querySelectorAll('.dead').length", 1).await;
            browser.screenshot(&format!("workers-{width}")).await;
            browser.assert_fits().await;
        }
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }

    kill("-TERM", run.child.id().unwrap()).await;
    run.line("stopping: the workers finish").await;
    run.api.released.send_replace(10);
    let (code, report) = run.end().await;
    assert_eq!((code, &report["ended"]), (Some(0), &"drained".into()), "{report}");
    assert_eq!((&report["died"], &report["started_again"]), (&1.into(), &1.into()), "{report}");
    assert!(!runs(second));
}

#[tokio::test]
#[ignore = "real tier"]
async fn workers_end_with_a_supervisor_that_is_killed_or_told_twice() {
    let Some(workdir) = workdir().await else { return };
    let mut run = Waiting::start(workdir, "--grace 200ms").await;
    let pids = run.pids().await;
    run.both_work().await;
    run.child.kill().await.unwrap();
    are_gone(&pids).await;
    drop(run);

    let Some(workdir) = crate::supervisor::workdir().await else { return };
    let mut run = Waiting::start(workdir, "--grace 2m").await;
    let pids = run.pids().await;
    run.both_work().await;
    let supervisor = run.child.id().unwrap();
    kill("-INT", supervisor).await;
    run.line("stopping: the workers finish").await;
    // A signal within 200 ms is a copy of the first.
    sleep(Duration::from_millis(300)).await;
    kill("-INT", supervisor).await;
    let (code, report) = run.end().await;
    assert_eq!((code, &report["ended"]), (Some(128 + 2), &"aborted".into()), "{report}");
    are_gone(&pids).await;
}

/// Returns the one line of a command that is refused.
fn refusal(output: &Output) -> String {
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
    line
}

#[tokio::test]
#[ignore = "real tier"]
async fn bad_input_is_one_line() {
    let refused = async |flags: &str| {
        let mut command = quiet(Command::new(PROGRAM));
        refusal(&command.args(flags.split_whitespace()).output().await.unwrap())
    };
    for (flags, reason) in [
        ("--workers 0 --queue postgres://h/d", "from 1 to 12"),
        ("--workers 10000 --queue postgres://h/d", "from 1 to 12"),
        ("--workers 4", "--workers needs a queue"),
        ("--workers 4 --queue memory", "--workers needs a queue"),
        ("--workers 4 --queue kafka://h", "--queue takes memory, postgres:URL or nats://host:port"),
        ("--workers 4 --queue postgres://h/d --report a.html", "--report is of one process"),
        ("--restart", "--restart does nothing without --workers"),
    ] {
        let line = refused(flags).await;
        assert!(line.contains(reason), "{flags}: {line}");
    }
    // An input that a worker refuses ends all of them.
    let Some(workdir) = workdir().await else { return };
    let mut command = command(&workdir, "--workers 3 --url http://127.0.0.1:1/");
    let output = timeout(LIMIT, command.output()).await.unwrap().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("harvest: http://127.0.0.1:1/users.json: no connection"), "{said}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn rows_that_are_not_those_of_the_api_are_told() {
    let Some(workdir) = workdir().await else { return };
    workdir.run("--users 1 --latency 1 --faults none", 0).await;
    let database = Database::connect(workdir.store().trim_start_matches("postgres:")).await.unwrap();
    let spoil = "
        CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN IF NEW.id = 7 THEN NEW.name := ''another''; END IF; RETURN NEW; END';
        CREATE TRIGGER spoil BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION spoil();
        INSERT INTO users (id, name, email, active) VALUES (99, 'a', 'b', TRUE)";
    database.batch_execute(spoil).await.unwrap();
    let output = command(&workdir, "--workers 2 --users 9 --latency 1 --faults none").output().await.unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let rows = &workdir.report()["rows"];
    assert_eq!(
        (&rows["users"], &rows["wrong"], &rows["first_wrong"]),
        (&8.into(), &1.into(), &7.into()),
        "{rows}"
    );
    assert_eq!(rows["foreign"], 1);
    assert!(
        said.contains("WRONG: 1 users are missing or not those of the API, the first of them is 7"),
        "{said}"
    );
}
