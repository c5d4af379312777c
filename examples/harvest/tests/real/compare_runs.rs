//! Compares a run with faults and one without: faults of the server, the network and the store cost only time.

use crate::workdir::Workdir;

/// Runs the same job without faults and with `--chaos`, and compares the stored rows.
pub(crate) async fn compare_with_chaos(workdir: &Workdir, seed: u64, size: &str) {
    let faultless = Workdir::new();
    let flags = format!("{size} --seed {seed}");
    faultless.run(&format!("{flags} --faults none"), 0).await;
    let report = workdir.run(&format!("{flags} --chaos"), 0).await;

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
    assert_eq!(number("users") as i64, workdir.number("SELECT count(*) FROM users").await, "seed {seed}");
    assert_eq!(number("orders") as i64, workdir.number("SELECT count(*) FROM orders").await, "seed {seed}");
    assert_eq!(workdir.dump().await, faultless.dump().await, "seed {seed}");
}
