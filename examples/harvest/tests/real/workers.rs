//! Several processes at one harvest, over each of the queues.

use std::time::Duration;

use evenkeel::postgres::{Database, Error, Tx, TxOptions};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    sync::watch,
    time::sleep,
};

use crate::{
    flawed_api::{FLAWS, FlawedApi, USERS},
    interrupted::signal,
    server::{Server, answer, document, page},
    shared_quota::calls_of,
    team::{
        Engine, Team, a_worker_may_be_killed, a_worker_may_leave, a_worker_may_sleep,
        all_may_leave_and_others_go_on, ends, rows_of_one, two_share_the_work,
    },
    workdir::{PROGRAM, Workdir, quiet, text},
};

#[tokio::test]
#[ignore = "real tier"]
async fn two_share_the_work_over_postgres() {
    two_share_the_work(Engine::Postgres).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn two_share_the_work_over_nats() {
    for engine in [Engine::Nats, Engine::Nats214] {
        two_share_the_work(engine).await;
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_worker_may_be_killed_over_postgres() {
    a_worker_may_be_killed(Engine::Postgres).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_worker_may_be_killed_over_nats() {
    a_worker_may_be_killed(Engine::Nats214).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_worker_may_leave_over_postgres() {
    a_worker_may_leave(Engine::Postgres).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_worker_may_sleep_over_nats() {
    a_worker_may_sleep(Engine::Nats214).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn all_may_leave_and_others_go_on_over_nats() {
    all_may_leave_and_others_go_on(Engine::Nats214).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn two_processes_share_a_quota() {
    let Some(calls) = calls_of(2, 200, 150).await else { return };
    println!("{calls}");
    calls.assert_never_above();
}

/// A store belongs to one harvest and one way to do it at a time.
#[tokio::test]
#[ignore = "real tier"]
async fn others_are_refused_while_workers_work() {
    let (Some(team), api) = (Team::new(Engine::Postgres).await, FlawedApi::start().await) else { return };
    let stuck = Server::start(async |path: String| match path.as_str() {
        "/users.json" => page(1..=2, None),
        _ => {
            sleep(Duration::from_secs(60)).await;
            document(&path)
        }
    })
    .await;
    let refused = async |mut command: Command, reason: &str| {
        let output = command.output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(reason), "{}", text(&output));
        assert_eq!(text(&output).lines().count(), 1, "{}", text(&output));
    };
    let worker = team.start(1, &stuck.base).remove(0);
    // It has read the page.
    let has_tables =
        "SELECT count(*) FROM (SELECT to_regclass('harvest_shared') AS t) AS t WHERE t IS NOT NULL";
    while team.workdir.number(has_tables).await == 0
        || team.workdir.number("SELECT sum(pages)::bigint FROM harvest_pass").await == 0
    {
        sleep(Duration::from_millis(20)).await;
    }
    let url = format!("--url {}", stuck.base);
    let pid = worker.id().unwrap();
    let told =
        format!("workers with a queue in the database of the store, the first of which is process {pid}");
    refused(team.workdir.harvest(&url), &told).await;
    let other = format!("--url {}", api.base());
    refused(team.worker(7, &other), "its workers harvest another source, http://127.0.0.1:").await;
    if let Some(nats) = Team::new(Engine::Nats214).await {
        let nats = Team { workdir: team.workdir, ..nats };
        refused(nats.worker(7, &url), "its workers have their jobs in another queue, in the database").await;
        drop(worker);
        // The queue is another one when they have gone; so is the way to do it.
        assert_eq!(nats.workdir.run(&other, 0).await["users"], USERS);
    }
}

/// A single run excludes workers, and they go on with what it has left.
#[tokio::test]
#[ignore = "real tier"]
async fn workers_are_refused_while_a_run_works_and_go_on_with_it() {
    let (Some(team), api) = (Team::new(Engine::Postgres).await, FlawedApi::start().await) else { return };
    let rows = rows_of_one(&api).await;
    let flags = format!("--url {} --concurrency 4", api.base());
    let single = team.workdir.harvest(&flags).spawn().unwrap();
    api.wait_for_calls(150).await;
    signal(&single, "-STOP").await;
    let said = ends(team.start(1, api.base()).remove(0), 2).await;
    assert!(said.contains("it is in use by another run, process "), "{said}");
    signal(&single, "-CONT").await;
    signal(&single, "-TERM").await;
    ends(single, 0).await;
    for worker in team.start(2, api.base()) {
        ends(worker, 0).await;
    }
    assert!(api.repeated_calls() <= 1, "{} calls repeated", api.repeated_calls());
    assert_eq!(team.workdir.dump().await, rows);
}

/// With the queue in memory the rows are the same, and a run of either kind goes on with the other.
#[tokio::test]
#[ignore = "real tier"]
async fn a_queue_in_memory_does_the_same() {
    let (workdir, api) = (Workdir::new(), FlawedApi::start().await);
    let rows = rows_of_one(&api).await;
    let flags = format!("--url {} --concurrency 8", api.base());
    for (calls, queue) in [(100, "--queue memory"), (200, ""), (300, "--queue memory")] {
        let child = workdir.harvest(&format!("{flags} {queue}")).spawn().unwrap();
        api.wait_for_calls(calls).await;
        signal(&child, "-TERM").await;
        ends(child, 0).await;
    }
    let report = workdir.run(&format!("{flags} --queue memory"), 0).await;
    assert_eq!((&report["ended"], &report["users"]), (&"complete".into(), &USERS.into()), "{report}");
    assert_eq!(report["failures"].as_array().unwrap().len(), FLAWS, "{report}");
    assert!(api.repeated_calls() <= 3, "{} calls repeated", api.repeated_calls());
    assert_eq!(workdir.dump().await, rows);
}

/// A worker that looks how far the harvest is while its last page is being stored sees no end of it.
#[tokio::test]
#[ignore = "real tier"]
async fn a_page_that_is_being_stored_is_not_the_end() {
    let Some(team) = Team::new(Engine::Postgres).await else { return };
    let (asked, released) = (watch::Sender::new(0), watch::Sender::new(false));
    let (count, gate) = (asked.clone(), released.clone());
    let api = Server::start(move |path: String| {
        let (count, mut gate) = (count.clone(), gate.subscribe());
        async move {
            count.send_modify(|asked| *asked += 1);
            gate.wait_for(|released| *released).await.unwrap();
            if path == "/users.json" { page(1..=2, None) } else { document(&path) }
        }
    })
    .await;
    let worker = team.start(1, &api.base).remove(0);
    asked.subscribe().wait_for(|asked| *asked == 1).await.unwrap();
    // Another session holds up the page, and everything that waits for it.
    let db = Database::connect(team.workdir.store().trim_start_matches("postgres:")).await.unwrap();
    let hold = async |tx: Tx| {
        tx.fetch_one::<(String,)>("SELECT source FROM harvest_pass FOR UPDATE", ()).await?;
        released.send_replace(true);
        sleep(Duration::from_millis(1300)).await;
        Ok::<_, Error>(())
    };
    db.transaction(TxOptions::new(), hold).await.unwrap();
    ends(worker, 0).await;
    assert_eq!((&team.report(0)["users"], &team.report(0)["ended"]), (&2.into(), &"complete".into()));
}

/// Pages that run in a circle end, and a first page that cannot be read ends the workers.
#[tokio::test]
#[ignore = "real tier"]
async fn pages_end() {
    let circle = Server::start(async |path: String| match path.as_str() {
        "/users.json" => page(1..=3, Some("users-2.json")),
        "/users-2.json" => page(3..=5, Some("users-3.json")),
        "/users-3.json" => page(5..=6, Some("users-2.json")),
        path => document(path),
    })
    .await;
    let workdir = Workdir::new();
    let report = workdir.run(&format!("--url {} --queue memory", circle.base), 0).await;
    assert_eq!((&report["users"], &report["pages"]), (&6.into(), &3.into()), "{report}");
    let failures = report["failures"].as_array().unwrap();
    assert!(
        failures.len() == 1 && failures[0]["reason"].as_str().unwrap().contains("in a circle"),
        "{report}"
    );

    let none = Server::start(async |_| answer(404, "text/plain", "")).await;
    let output = workdir.harvest(&format!("--url {} --queue memory", none.base)).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("users.json: 404 Not Found"), "{}", text(&output));
}

/// The embedded API alone, for other processes: it says where it is, and at its end what was called.
#[tokio::test]
#[ignore = "real tier"]
async fn the_embedded_api_is_served_to_others() {
    let workdir = Workdir::new();
    let mut command = quiet(Command::new(PROGRAM));
    let serve = "--serve 127.0.0.1:0 --users 30 --page-size 10 --latency 1 --faults none";
    let mut server = command.args(serve.split_whitespace()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    let base = first.strip_prefix("serving at ").expect(&first);
    let report = workdir.run(&format!("--url {base} --queue memory"), 0).await;
    assert_eq!((&report["users"], &report["calls"]), (&30.into(), &63.into()), "{report}");
    signal(&server, "-TERM").await;
    let traffic = lines.next_line().await.unwrap().unwrap();
    assert!(traffic.starts_with("63 calls in ") && traffic.ends_with(" in any second"), "{traffic}");
    assert_eq!(server.wait().await.unwrap().code(), Some(0));
}

/// A queue or a quota that does not answer is one line, and no work is begun.
#[tokio::test]
#[ignore = "real tier"]
async fn servers_that_are_not_there_are_named() {
    let Some(team) = Team::new(Engine::Postgres).await else { return };
    let store = team.workdir.store();
    for (flags, reason) in [
        (format!("--queue nats://127.0.0.1:1 --store {store}"), "cannot use the queue nats://127.0.0.1:1"),
        (
            "--rate 5 --quota redis://127.0.0.1:1 --store sqlite::memory:".to_owned(),
            "cannot use the quota redis://127.0.0.1:1",
        ),
    ] {
        let mut command = quiet(Command::new(PROGRAM));
        let output = command.args(flags.split_whitespace()).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(reason), "{flags}: {}", text(&output));
        assert_eq!(text(&output).lines().count(), 1, "{}", text(&output));
    }
}
