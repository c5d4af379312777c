//! Which crate may stand on which.

use std::process::Command;

use super::{deps::TABLES, manifest::Dependency, tree::Tree};

/// Each published crate, and the workspace's crates that it may depend on.
const GRAPH: [(&str, &[&str]); 15] = [
    ("evenkeel-base", &[]),
    ("evenkeel-inspect", &["evenkeel-base"]),
    ("evenkeel-task", &["evenkeel-base", "evenkeel-inspect"]),
    ("evenkeel-retry-after", &[]),
    ("evenkeel-retry", &["evenkeel-base", "evenkeel-inspect", "evenkeel-retry-after"]),
    ("evenkeel-limit", &["evenkeel-base", "evenkeel-inspect", "evenkeel-retry-after"]),
    ("evenkeel-shutdown", &["evenkeel-base", "evenkeel-inspect", "evenkeel-task"]),
    ("evenkeel-stream", &["evenkeel-base", "evenkeel-inspect", "evenkeel-task"]),
    ("evenkeel-pool", &["evenkeel-base", "evenkeel-inspect", "evenkeel-task"]),
    ("evenkeel-postgres", &["evenkeel-base", "evenkeel-inspect", "evenkeel-pool", "evenkeel-retry"]),
    (
        "evenkeel-pipeline",
        &[
            "evenkeel-base",
            "evenkeel-inspect",
            "evenkeel-limit",
            "evenkeel-postgres",
            "evenkeel-stream",
            "evenkeel-task",
        ],
    ),
    ("evenkeel", &FACADE),
    ("evenkeel-testkit", &["evenkeel-base", "evenkeel-inspect"]),
    ("evenkeel-testkit-pg", &["evenkeel-base", "evenkeel-testkit"]),
    ("evenkeel-tck", &["evenkeel-base", "evenkeel-testkit"]),
];

const FACADE: [&str; 9] = [
    "evenkeel-inspect",
    "evenkeel-limit",
    "evenkeel-pipeline",
    "evenkeel-pool",
    "evenkeel-postgres",
    "evenkeel-retry",
    "evenkeel-shutdown",
    "evenkeel-stream",
    "evenkeel-task",
];

/// External crates that any published crate may need, and show in its public API.
const VOCABULARY: [&str; 4] = ["futures-core", "pin-project-lite", "tokio", "tokio-util"];

/// External crates that one crate alone may need, and show in its public API.
const OWN: [(&str, &[&str]); 8] = [
    // The identity of a task in an atomic word.
    ("evenkeel-inspect", &["crossbeam-utils"]),
    // The hash of a key.
    ("evenkeel-limit", &["siphasher"]),
    // The client, the decoder of its URLs, and the buffers and the sink of its `COPY`.
    (
        "evenkeel-postgres",
        &["bytes", "deadpool-postgres", "futures-sink", "percent-encoding", "tokio-postgres"],
    ),
    // Dates and spans.
    ("evenkeel-retry-after", &["httpdate", "jiff"]),
    // The default action of a signal, and an end of the process that no atexit handler holds up.
    ("evenkeel-shutdown", &["signal-hook"]),
    // Adapters in other processes: their lines, their end, and the name that was meant.
    ("evenkeel-tck", &["rustix", "serde_json", "strsim"]),
    // The processor time of a thread.
    ("evenkeel-testkit", &["rustix"]),
    // The messages of the protocol, and the client for it.
    ("evenkeel-testkit-pg", &["bytes", "pgwire", "tokio-postgres"]),
];

/// External crates that a crate may need beyond that, behind a feature.
const OPTIONAL: [(&str, &[&str]); 10] = [
    ("evenkeel-inspect", &["http", "hyper", "hyper-util", "tower-service"]),
    (
        "evenkeel-limit",
        &["humantime", "metrics", "quanta", "redis", "serde", "tower-layer", "tower-service", "tracing"],
    ),
    ("evenkeel-pipeline", &["async-nats", "bytes", "serde_json"]),
    ("evenkeel-pool", &["bb8", "deadpool", "tracing"]),
    (
        "evenkeel-postgres",
        &["rust_decimal", "rustls", "rustls-native-certs", "tokio-postgres-rustls-improved", "x509-cert"],
    ),
    ("evenkeel-retry", &["humantime", "metrics", "serde", "tower-layer", "tower-service", "tracing"]),
    ("evenkeel-stream", &["tracing", "url"]),
    ("evenkeel-task", &["metrics", "tracing"]),
    (
        "evenkeel-testkit",
        &[
            "cooked-waker",
            "http-body-util",
            "hyper",
            "hyper-util",
            "matchit",
            "proptest",
            "stats_alloc",
            "tokio-test",
            "tower-service",
            "wiremock",
        ],
    ),
    ("evenkeel-testkit-pg", &["deadpool-postgres"]),
];

pub(super) fn our_crates_stand_where_they_should(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for package in &tree.packages {
        let below = GRAPH.iter().find(|(name, _)| *name == package.name).map(|(_, below)| *below);
        let not_for_tests = |name: &str| !name.contains("-testkit") && !name.ends_with("-tck");
        let in_graph = |name: &str| below.unwrap_or_default().contains(&name);
        // Tests of libraries and of the cookbook may use more; examples and benches must not switch tokio's test clock on.
        let (tables, allowed): (_, &dyn Fn(&str) -> bool) = match package.dir.split('/').next() {
            Some("crates") => (&TABLES[..1], &in_graph),
            Some("xtask") => (&TABLES[..], &|_| false),
            Some("examples") if package.name == "cookbook" => (&TABLES[..1], &not_for_tests),
            Some("benches" | "examples") => (&TABLES[..], &not_for_tests),
            _ => continue,
        };
        if package.published && below.is_none() {
            found.push(
                package.finding(1, "not in the crate graph: add it to ARCHITECTURE.md and to tidy's GRAPH"),
            );
        }
        let ours =
            tables.iter().flat_map(|table| package.manifest.dependencies(table)).filter(|d| d.is_ours());
        // A row of the benches that needs the test kit has it behind a feature of its own.
        let is_optional = package.dir == "benches";
        let may = |d: &Dependency| allowed(&d.name) || is_optional && d.is("optional", "true");
        let refused = ours.filter(|d| !may(d));
        found.extend(refused.map(|d| {
            let message = format!(
                "{} must not stand on {}: see the crate graph in ARCHITECTURE.md",
                package.name, d.name
            );
            package.finding(d.line, &message)
        }));
    }
    found
}

pub(super) fn foreign_crates_are_allowed_ones(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for package in tree.published() {
        let lists = |list: &[(&str, &[&str])], name: &str| {
            list.iter().any(|(owner, names)| *owner == package.name && names.contains(&name))
        };
        for d in package.manifest.dependencies("dependencies") {
            let name = d.name.as_str();
            let vocabulary = VOCABULARY.contains(&name) || lists(&OWN, name);
            let behind_feature = d.is("optional", "true") && lists(&OPTIONAL, name);
            if !d.is_ours() && !vocabulary && !behind_feature {
                let how = "do without, or make it `optional = true` and add it to tidy's OPTIONAL; \
                    what a crate is about goes to OWN";
                found.push(package.finding(d.line, &format!("{name} is no crate to need here: {how}")));
            }
        }
    }
    found
}

/// `backoff` is unmaintained (RUSTSEC-2025-0012): a peer for tests and benches, never below a published crate.
pub(super) fn backoff_is_below_no_crate(tree: &Tree) -> Vec<String> {
    let locked = tree.file("Cargo.lock").is_some_and(|lock| lock.text.contains("name = \"backoff\"\n"));
    let crates: Vec<&str> = tree.published().map(|package| package.name.as_str()).collect();
    if !locked || crates.is_empty() {
        return Vec::new();
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(&tree.root).args(["tree", "--locked", "--all-features", "--edges", "normal"]);
    cargo.args(["--invert", "backoff", "--prefix", "none", "--format", "{p}"]);
    cargo.args(crates.iter().flat_map(|name| ["--package", name]));
    let output = match cargo.output() {
        Ok(output) => output,
        Err(error) => return vec![format!("Cargo.lock: `cargo tree` did not start: {error}")],
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    // So cargo says that none of the crates needs it.
    if !output.status.success() && !errors.contains("did not match any packages") {
        return vec![format!("Cargo.lock: `cargo tree` failed: {}", errors.trim())];
    }
    let users = String::from_utf8_lossy(&output.stdout);
    let stands_on_it = |name: &&&str| users.lines().any(|line| line.split(' ').next() == Some(**name));
    let caught = crates.iter().filter(stands_on_it);
    caught.map(|name| format!("{name}: stands on `backoff`, which is unmaintained: do without it")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::findings;

    fn manifest(name: &str, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{rest}")
    }

    #[test]
    fn wrong_edges_are_found() {
        let good = manifest("evenkeel-pool", "[dependencies]\nevenkeel-task.workspace = true\n");
        let bad = manifest(
            "evenkeel-retry",
            "[dependencies]\nevenkeel-task.workspace = true\n[dev-dependencies]\nevenkeel-testkit.path = \"k\"\n",
        );
        let new = manifest("evenkeel-new", "");
        let example =
            manifest("e", "[dev-dependencies]\nevenkeel.workspace = true\nevenkeel-testkit.path = \"k\"\n");
        let tool = manifest("xtask", "[dependencies]\nevenkeel-retry.workspace = true\n");
        let tests = manifest("tests", "[dependencies]\nevenkeel-tck.path = \"k\"\n");
        let files = [
            ("crates/pool/Cargo.toml", &*good),
            ("crates/new/Cargo.toml", &*new),
            ("crates/retry/Cargo.toml", &*bad),
            ("examples/e/Cargo.toml", &*example),
            ("tests/Cargo.toml", &*tests),
            ("xtask/Cargo.toml", &*tool),
        ];
        let see = "see the crate graph in ARCHITECTURE.md";
        let expected = [
            "crates/new/Cargo.toml:1: not in the crate graph: add it to ARCHITECTURE.md and to tidy's GRAPH",
            &format!("crates/retry/Cargo.toml:6: evenkeel-retry must not stand on evenkeel-task: {see}"),
            &format!("examples/e/Cargo.toml:7: e must not stand on evenkeel-testkit: {see}"),
            &format!("xtask/Cargo.toml:6: xtask must not stand on evenkeel-retry: {see}"),
        ];
        assert_eq!(findings(our_crates_stand_where_they_should, &files), expected);
    }

    #[test]
    fn foreign_crates_that_nobody_allowed_are_found() {
        let optional = "{ workspace = true, optional = true }";
        let good =
            manifest("evenkeel-pool", &format!("[dependencies]\ntokio = \"1\"\ndeadpool = {optional}\n"));
        let bad = manifest(
            "evenkeel-retry",
            &format!(
                "[dependencies]\nhttpdate = \"1\"\ndeadpool = {optional}\n[dev-dependencies]\nx = \"1\"\n"
            ),
        );
        let own = manifest("evenkeel-postgres", "[dependencies]\ntokio-postgres = \"1\"\ndeadpool = \"1\"\n");
        let others = manifest("evenkeel-limit", "[dependencies]\ntokio-postgres = \"1\"\n");
        let files = [
            ("crates/limit/Cargo.toml", &*others),
            ("crates/pool/Cargo.toml", &*good),
            ("crates/postgres/Cargo.toml", &*own),
            ("crates/retry/Cargo.toml", &*bad),
        ];
        let found = findings(foreign_crates_are_allowed_ones, &files);
        let starts = [
            "crates/limit/Cargo.toml:6: tokio-postgres is no crate to need here",
            "crates/postgres/Cargo.toml:7: deadpool is no crate to need here",
            "crates/retry/Cargo.toml:7: deadpool is no crate to need here",
            "crates/retry/Cargo.toml:6: httpdate is no crate to need here",
        ];
        assert_eq!(found.len(), starts.len(), "{found:?}");
        assert!(found.iter().zip(starts).all(|(found, start)| found.starts_with(start)), "{found:?}");
    }

    #[test]
    fn backoff_below_a_crate_is_found() {
        let lock = "version = 4\n\n[[package]]\nname = \"backoff\"\nversion = \"0.1.0\"\n\n\
            [[package]]\nname = \"evenkeel-a\"\nversion = \"0.1.0\"\ndependencies = [\n \"backoff\",\n]\n";
        let found = |table: &str| {
            let needs = format!("[{table}]\nbackoff = {{ path = \"../../backoff\" }}\n");
            let files = [
                ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"crates/a\", \"backoff\"]\n"),
                ("Cargo.lock", lock),
                ("backoff/Cargo.toml", &manifest("backoff", "")),
                ("backoff/src/lib.rs", ""),
                ("crates/a/Cargo.toml", &manifest("evenkeel-a", &needs)),
                ("crates/a/src/lib.rs", ""),
            ];
            findings(backoff_is_below_no_crate, &files)
        };
        let expected = ["evenkeel-a: stands on `backoff`, which is unmaintained: do without it"];
        assert_eq!(found("dependencies"), expected);
        assert_eq!(found("dev-dependencies"), [""; 0]);
    }
}
