//! A server, a network and a store that misbehave cost time and nothing else.

use crate::place::Place;

/// Runs the same job without and with faults, and compares the stored rows.
pub(crate) async fn by_plan(place: &Place, seed: u64, size: &str) {
    let peace = Place::new();
    let flags = format!("{size} --seed {seed}");
    peace.run(&format!("{flags} --faults none"), 0).await;
    let report = place.run(&format!("{flags} --chaos"), 0).await;

    let number = |name: &str| report[name].as_u64().unwrap();
    println!(
        "seed {seed}: {} retries, {} to store, {} s",
        report["retries"], report["store_retries"], report["seconds"]
    );
    assert!(number("retries") > 0 && number("store_retries") > 0, "seed {seed}: {report}");
    assert_eq!((&report["ended"], &report["unfinished"]), (&"complete".into(), &0.into()), "seed {seed}");
    assert_eq!(report["failures"].as_array().unwrap().len(), 0, "seed {seed}: {report}");
    assert_eq!(number("documents"), number("pages") + 2 * number("users"), "seed {seed}: {report}");
    assert_eq!(number("calls"), number("documents") + number("retries"), "seed {seed}: {report}");
    let by_reason: u64 =
        report["retries_by_reason"].as_object().unwrap().values().filter_map(|n| n.as_u64()).sum();
    assert_eq!(number("retries"), by_reason, "seed {seed}: {report}");
    assert_eq!(number("users") as i64, place.number("SELECT count(*) FROM users").await, "seed {seed}");
    assert_eq!(number("orders") as i64, place.number("SELECT count(*) FROM orders").await, "seed {seed}");
    assert_eq!(place.dump().await, peace.dump().await, "seed {seed}");
}
