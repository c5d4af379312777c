//! Runs against the embedded server.

use crate::harness::{Place, text};

const SMALL: &str = "--users 60 --page-size 7 --latency 5 --concurrency 20 --seed 3";

#[tokio::test]
#[ignore = "real tier"]
async fn faults_cost_time_and_nothing_else() {
    let (calm, troubled) = (Place::new(), Place::new());
    let without = calm.run(&format!("{SMALL} --faults none"), 0).await;
    let with = troubled.run(SMALL, 0).await;

    assert_eq!(without["calls"], 9 + 2 * 60);
    assert_eq!(without["retries"], 0);
    assert!(with["retries"].as_u64().unwrap() > 0, "{with}");
    assert_eq!(with["calls"].as_u64().unwrap(), 9 + 2 * 60 + with["retries"].as_u64().unwrap());
    for (place, report) in [(&calm, &without), (&troubled, &with)] {
        assert_eq!(report["ended"], "complete");
        assert_eq!(report["failures"].as_array().unwrap().len(), 0, "{report}");
        assert_eq!(report["users"], 60);
        assert_eq!(report["orders"], place.number("SELECT count(*) FROM orders"));
        assert_eq!(place.number("SELECT count(*) FROM users WHERE theme IS NOT NULL"), 60);
    }
    assert_eq!(calm.dump(), troubled.dump());
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_second_run_reads_all_again_and_changes_nothing() {
    let place = Place::new();
    let first = place.run(&format!("{SMALL} --faults none"), 0).await;
    let dump = place.dump();
    let second = place.run(&format!("{SMALL} --faults none"), 0).await;
    for name in ["users", "orders", "calls"] {
        assert_eq!(first[name], second[name], "{name}");
    }
    assert_eq!(place.dump(), dump);
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_report_is_a_table_and_the_same_in_json() {
    let place = Place::new();
    let output = place.harvest(&format!("{SMALL} --faults none")).output().await.unwrap();
    let table = text(&output);
    let report = place.report();
    for row in ["users", "orders", "failures", "calls", "retries", "latency", "time", "at best", "one by one"]
    {
        assert!(table.contains(&format!("│ {row}")), "{row}: {table}");
    }
    assert!(
        table.contains(&format!("│ {}", report["calls"]))
            || table.contains(&format!(" {} ", report["calls"]))
    );
    assert!(!table.contains('\u{1b}'), "no escape sequences where there is no terminal: {table}");

    // 129 documents of 5 ms, the first page alone, 20 at a time; but 9 pages one after another take longer.
    assert_eq!(report["floor_seconds"], 0.05);
    assert_eq!(report["one_by_one_seconds"], 0.645);
    assert!(report["seconds"].as_f64().unwrap() >= 0.05);
    assert_eq!(report["store"], format!("sqlite:{}", place.path("store.db")));
    assert_eq!(report["peak_rss_bytes"].is_u64(), cfg!(target_os = "linux"));
}

#[tokio::test]
#[ignore = "real tier"]
async fn no_users_are_a_complete_run() {
    let place = Place::new();
    let report = place.run("--users 0 --latency 1 --faults none", 0).await;
    assert_eq!(
        (&report["users"], &report["pages"], &report["ended"]),
        (&0.into(), &1.into(), &"complete".into())
    );
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_rate_bounds_the_calls() {
    let place = Place::new();
    let report = place.run("--users 20 --latency 1 --faults none --rate 100", 0).await;
    assert_eq!(report["calls"], 41);
    assert!(report["seconds"].as_f64().unwrap() >= 0.4, "41 calls at 100 per second: {report}");
}
