//! Who may depend on what, and how the manifests say so.

use super::tree::{Package, Tree};
use std::process::Command;

/// The crates of ours and those they may stand on. One that is missing here has not been thought about.
const GRAPH: [(&str, &[&str]); 11] = [
    ("evenkeel-task", &[]),
    ("evenkeel-retry", &[]),
    ("evenkeel-limit", &[]),
    ("evenkeel-shutdown", &["evenkeel-task"]),
    ("evenkeel-stream", &["evenkeel-task"]),
    ("evenkeel-pool", &["evenkeel-task"]),
    ("evenkeel-postgres", &["evenkeel-pool", "evenkeel-retry"]),
    ("evenkeel-pipeline", &["evenkeel-stream", "evenkeel-task"]),
    ("evenkeel-testkit", &[]),
    ("evenkeel-tck", &["evenkeel-testkit"]),
    (
        "evenkeel",
        &[
            "evenkeel-limit",
            "evenkeel-pipeline",
            "evenkeel-pool",
            "evenkeel-postgres",
            "evenkeel-retry",
            "evenkeel-shutdown",
            "evenkeel-stream",
            "evenkeel-task",
        ],
    ),
];

/// Crates whose types may appear in the public API of any crate of ours.
const VOCABULARY: [&str; 4] = ["futures-core", "pin-project-lite", "tokio", "tokio-util"];

/// What a crate may bring in behind a feature, beyond the vocabulary.
const OPTIONAL: [(&str, &[&str]); 2] = [("evenkeel-pool", &["deadpool"]), ("evenkeel-retry", &["httpdate"])];

/// External crates without default features that would matter.
const WITHOUT_FEATURES: [&str; 5] = ["async-trait", "httpdate", "pin-project-lite", "xflags", "xshell"];

const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn our_dev_dependencies_are_paths(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for package in &tree.packages {
        let ours = package.manifest.dependencies("dev-dependencies").into_iter().filter(|d| d.is_ours());
        let wrong = ours.filter(|d| !d.has("path") || d.has("version") || d.has("workspace"));
        found.extend(wrong.map(|d| {
            let message = format!("write `{} = {{ path = \"...\" }}`: with a version, publishing waits for it", d.name);
            package.finding(d.line, &message)
        }));
    }
    found
}

pub(super) fn external_dependencies_are_declared_once(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for package in &tree.packages {
        // The test kit states a newer tokio than the libraries need.
        let own_floor = |name: &str| package.name == "evenkeel-testkit" && name == "tokio";
        let all = TABLES.iter().flat_map(|table| package.manifest.dependencies(table));
        let wrong = all.filter(|d| !d.is_ours() && !d.is("workspace", "true") && !own_floor(&d.name));
        found.extend(wrong.map(|d| {
            let message = format!("write `{0}.workspace = true`, and declare {0} at the root", d.name);
            package.finding(d.line, &message)
        }));
    }
    found
}

pub(super) fn default_features_are_off(tree: &Tree) -> Vec<String> {
    let Some(root) = tree.file("Cargo.toml") else { return Vec::new() };
    let manifest = super::manifest::Manifest::parse(&root.text);
    let external = manifest.dependencies("workspace.dependencies").into_iter().filter(|d| !d.is_ours());
    let wrong = external
        .filter(|d| !d.is("default-features", "false") && !WITHOUT_FEATURES.contains(&d.name.as_str()));
    wrong
        .map(|d| root.finding(d.line, &format!("add `default-features = false` to {}; members name what they use", d.name)))
        .collect()
}

pub(super) fn the_crate_graph_is_the_designed_one(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for package in &tree.packages {
        let on_test_kit = |name: &str| matches!(name, "evenkeel-testkit" | "evenkeel-tck");
        let (tables, allowed): (&[&str], &dyn Fn(&str) -> bool) = match package.dir.split('/').next() {
            Some("crates") => (&TABLES[..1], &|name| may_stand_on(&package.name, name)),
            Some("xtask") => (&TABLES, &|_| false),
            // They would switch tokio's test clock on.
            Some("benches" | "examples") => (&TABLES, &|name| !on_test_kit(name)),
            _ => continue,
        };
        let ours = tables.iter().flat_map(|table| package.manifest.dependencies(table)).filter(|d| d.is_ours());
        found.extend(ours.filter(|d| !allowed(&d.name)).map(|d| {
            let message = format!("{} must not depend on {}: see the crate graph in ARCHITECTURE.md", package.name, d.name);
            package.finding(d.line, &message)
        }));
        if package.published && !GRAPH.iter().any(|(name, _)| *name == package.name) {
            found.push(package.finding(1, "not in the crate graph: add it to tidy's GRAPH and to ARCHITECTURE.md"));
        }
    }
    found
}

fn may_stand_on(name: &str, other: &str) -> bool {
    GRAPH.iter().any(|(known, below)| *known == name && below.contains(&other))
}

pub(super) fn foreign_types_are_allowed_ones(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let kits = ["evenkeel-testkit", "evenkeel-tck"];
    for package in tree.published().filter(|package| !kits.contains(&package.name.as_str())) {
        let extra = OPTIONAL.iter().find(|(name, _)| *name == package.name).map_or(&[][..], |(_, extra)| extra);
        for dependency in package.manifest.dependencies("dependencies") {
            let name = dependency.name.as_str();
            let optional = dependency.is("optional", "true") && extra.contains(&name);
            if !dependency.is_ours() && !VOCABULARY.contains(&name) && !optional {
                let message = format!("{name} is not allowed here: leave it out, or make it optional and add it to tidy's OPTIONAL");
                found.push(package.finding(dependency.line, &message));
            }
        }
    }
    found
}

/// `backoff` is unmaintained (RUSTSEC-2025-0012): a peer in tests and benches, never below a published crate.
pub(super) fn backoff_is_no_normal_dependency(tree: &Tree) -> Vec<String> {
    let locked = tree.file("Cargo.lock").is_some_and(|lock| lock.text.contains("name = \"backoff\"\n"));
    let crates: Vec<&str> = tree.published().map(|package| package.name.as_str()).collect();
    if !locked || crates.is_empty() {
        return Vec::new();
    }
    let mut tree_of = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    tree_of.current_dir(&tree.root).args(["tree", "--locked", "--all-features", "--edges", "normal"]);
    tree_of.args(["--invert", "backoff", "--prefix", "none", "--format", "{p}"]);
    tree_of.args(crates.iter().flat_map(|name| ["--package", name]));
    match tree_of.output() {
        Ok(output) if output.status.success() => {
            let users = String::from_utf8_lossy(&output.stdout).into_owned();
            let caught = crates.iter().filter(|name| users.lines().any(|line| line.split(' ').next() == Some(name)));
            caught.map(|name| format!("{name}: depends on `backoff`, which is unmaintained: only as a dev-dependency")).collect()
        }
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            // That is cargo's way to say that nothing selected depends on it.
            let absent = errors.contains("did not match any packages");
            if absent { Vec::new() } else { vec![format!("Cargo.lock: cargo tree failed: {}", errors.trim())] }
        }
        Err(error) => vec![format!("Cargo.lock: cargo tree did not start: {error}")],
    }
}
