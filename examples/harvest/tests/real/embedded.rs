//! Runs against the embedded server.

use tokio::process::Command;

use crate::workdir::{PROGRAM, Workdir, quiet, text};

const SMALL: &str = "--users 60 --page-size 7 --latency 5 --concurrency 20 --seed 3";

#[tokio::test]
#[ignore = "real tier"]
async fn faults_cost_time_and_nothing_else() {
    let (calm, troubled) = (Workdir::new(), Workdir::new());
    let without = calm.run(&format!("{SMALL} --faults none"), 0).await;
    let with = troubled.run(SMALL, 0).await;

    assert_eq!(without["calls"], 9 + 2 * 60);
    assert_eq!(without["retries"], 0);
    assert!(with["retries"].as_u64().unwrap() > 0, "{with}");
    assert_eq!(with["calls"].as_u64().unwrap(), 9 + 2 * 60 + with["retries"].as_u64().unwrap());
    for (workdir, report) in [(&calm, &without), (&troubled, &with)] {
        assert_eq!(report["ended"], "complete");
        assert_eq!(report["failures"].as_array().unwrap().len(), 0, "{report}");
        assert_eq!(report["users"], 60);
        assert_eq!(report["orders"], workdir.number("SELECT count(*) FROM orders").await);
        assert_eq!(workdir.number("SELECT count(*) FROM users WHERE theme IS NOT NULL").await, 60);
    }
    assert_eq!(calm.dump().await, troubled.dump().await);
}

async fn a_second_run_changes_nothing(workdir: Workdir) {
    let first = workdir.run(&format!("{SMALL} --faults none"), 0).await;
    let dump = workdir.dump().await;
    let second = workdir.run(&format!("{SMALL} --faults none"), 0).await;
    for name in ["users", "orders", "calls"] {
        assert_eq!(first[name], second[name], "{name}");
    }
    assert_eq!(workdir.dump().await, dump);
    assert_eq!(second["users_before"], 0);
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_second_run_reads_all_again_and_changes_nothing_on_sqlite() {
    a_second_run_changes_nothing(Workdir::new()).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_second_run_reads_all_again_and_changes_nothing_on_postgres() {
    let Some(workdir) = Workdir::postgres().await else { return };
    a_second_run_changes_nothing(workdir).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn both_stores_have_the_same_rows() {
    let Some(postgres) = Workdir::postgres().await else { return };
    let sqlite = Workdir::new();
    for workdir in [&sqlite, &postgres] {
        workdir.run(SMALL, 0).await;
    }
    assert_eq!(sqlite.dump().await, postgres.dump().await);
}

/// Returns the output on stdout without `--store`.
async fn unasked(cache: &str, flags: &[&str], variable: &str) -> String {
    let mut command = quiet(Command::new(PROGRAM));
    command.args(["--users", "1", "--latency", "1", "--faults", "none"]).args(flags);
    let output = command.env("XDG_CACHE_HOME", cache).env("DATABASE_URL", variable).output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
#[ignore = "real tier"]
async fn it_stores_in_a_file_that_stays_and_says_what_to_do_with_it() {
    let (workdir, postgres) = (Workdir::new(), Workdir::postgres().await);
    let cache = workdir.path("cache");
    let file = format!("{cache}/evenkeel/harvest.sqlite");
    let address = postgres.as_ref().map(|postgres| postgres.store().replace("postgres:postgres", "postgres"));
    for variable in ["", "mysql://h/d"].into_iter().chain(address.as_deref()) {
        let said = unasked(&cache, &[], variable).await;
        assert_eq!(said.lines().next(), Some(&*format!("storing in sqlite:{file}")));
        assert!(
            said.contains(&format!("\nto look at it: sqlite3 {file} 'SELECT * FROM users LIMIT 5'\n")),
            "{said}"
        );
        assert!(said.ends_with("\nto update it: the same command again reads all once more\n"), "{said}");
    }
    let database = rusqlite::Connection::open(&file).unwrap();
    assert_eq!(database.query_row("SELECT count(*) FROM users", [], |row| row.get(0)), Ok(1));
    if let Some(postgres) = postgres {
        let admin = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()";
        assert_eq!(postgres.number(admin).await, 0, "nothing was made where nobody asked for it");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_variable_is_used_where_it_is_asked_for() {
    let Some(postgres) = Workdir::postgres().await else { return };
    let url = postgres.store().replace("postgres:postgres", "postgres");
    let said = unasked("/nowhere", &["--store", "env"], &url).await;
    assert!(said.starts_with("storing in postgres"), "{said}");
    assert!(said.contains("\nto look at it: psql 'postgres"), "{said}");
    assert_eq!(postgres.number("SELECT count(*) FROM users").await, 1);
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_temporary_store_is_said_to_be_one() {
    let said = unasked(&Workdir::new().path("cache"), &["--temporary-store"], "").await;
    assert!(
        said.lines().next().unwrap().ends_with(", which is temporary: it goes away after this run"),
        "{said}"
    );
    assert!(!said.contains("to look at it"), "{said}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_report_is_a_table_and_the_same_in_json() {
    let workdir = Workdir::new();
    let output = workdir.harvest(&format!("{SMALL} --faults none")).output().await.unwrap();
    let table = text(&output);
    let report = workdir.report();
    let rows =
        ["users", "orders", "failures", "calls", "retries", "latency", "time", "at best", "one by one"];
    for row in rows.into_iter().chain(["refused by budget", "rate limit waited for", "pool at the worst"]) {
        assert!(table.contains(&format!("│ {row}")), "{row}: {table}");
    }
    assert!(
        table.contains(&format!("│ {}", report["calls"]))
            || table.contains(&format!(" {} ", report["calls"]))
    );
    assert!(!table.contains('\u{1b}'), "no escape sequences where there is no terminal: {table}");

    // 129 documents of 5 ms, the first page alone, 20 at a time; the bound is the 9 pages, one after another.
    assert_eq!(report["floor_seconds"], 0.05);
    assert_eq!(report["one_by_one_seconds"], 0.645);
    assert!(report["seconds"].as_f64().unwrap() >= 0.05);
    assert_eq!(report["store"], format!("sqlite:{}", workdir.path("store.db")));
    assert_eq!(report["peak_rss_bytes"].is_u64(), cfg!(target_os = "linux"));
}

#[tokio::test]
#[ignore = "real tier"]
async fn no_users_are_a_complete_run() {
    let workdir = Workdir::new();
    let report = workdir.run("--users 0 --latency 1 --faults none", 0).await;
    assert_eq!(
        (&report["users"], &report["pages"], &report["ended"]),
        (&0.into(), &1.into(), &"complete".into())
    );
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_rate_bounds_the_calls() {
    let workdir = Workdir::new();
    let report = workdir.run("--users 20 --latency 1 --faults none --rate 100", 0).await;
    assert_eq!(report["calls"], 41);
    assert!(report["seconds"].as_f64().unwrap() >= 0.4, "41 calls at 100 per second: {report}");
    assert!(report["limiter_waits"].as_u64().unwrap() > 30, "{report}");
    assert!(report["limiter_wait_seconds"].as_f64().unwrap() > 0.4, "{report}");
}
