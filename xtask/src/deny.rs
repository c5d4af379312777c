//! `cargo xtask deny`: what may be in the dependency tree, by the rules of deny.toml.
//!
//! The essential rules are checked here, without any tool; cargo-deny, where it is installed, checks all.

mod licence;
mod policy;

use std::fs;

use self::policy::Policy;
use crate::{
    Result,
    outcome::{Outcome, not_installed},
    packages::{Graph, Package},
    project::{Project, run as execute},
};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The advisories that are known to meet our field, as of 2026-11-20; cargo-deny knows all.
const ADVISORIES: [(&str, &str); 2] =
    [("backoff", "RUSTSEC-2025-0012, unmaintained"), ("instant", "RUSTSEC-2024-0384, unmaintained")];

pub(crate) fn run(project: &Project) -> Result<Outcome> {
    let policy = Policy::parse(&fs::read_to_string(project.root.join("deny.toml"))?)?;
    let graph = Graph::read(project)?;
    let findings = findings(&graph, &policy);
    if !findings.is_empty() {
        return Ok(Outcome::of_findings(&findings));
    }
    say!("licences, sources, bans and {} advisories: ok", ADVISORIES.len());
    let Some(tool) = project.tool("cargo-deny") else {
        let install = not_installed("cargo-deny", "cargo-deny", "0.20.2");
        return Ok(Outcome::Partly(format!("the whole list of advisories: {install}")));
    };
    execute(tool.arg("check"))?;
    Ok(Outcome::Done)
}

fn findings(graph: &Graph, policy: &Policy) -> Vec<String> {
    let ours = |package: &Package| package.source.is_none();
    let built = graph.shipped(ours).into_iter().filter_map(|package| unlicensed(package, policy));
    let any = graph.packages.iter().filter_map(|package| unwanted(package, policy));
    let published = graph.shipped(|package| ours(package) && package.public);
    built.chain(any).chain(published.into_iter().filter_map(advised_against)).collect()
}

/// Only what is built into something of ours: a tool of the tests spreads no licence.
fn unlicensed(package: &Package, policy: &Policy) -> Option<String> {
    let Package { name, version, .. } = package;
    let Some(licence) = &package.licence else {
        return Some(format!("{name} {version}: declares no licence"));
    };
    match licence::is_allowed(licence, &policy.licences) {
        Ok(true) => None,
        Ok(false) => Some(format!("{name} {version}: its licence is not allowed: {licence}")),
        Err(error) => Some(format!("{name} {version}: its licence cannot be read: {licence}: {error}")),
    }
}

fn unwanted(package: &Package, policy: &Policy) -> Option<String> {
    let Package { name, version, .. } = package;
    match &package.source {
        Some(source) if source != CRATES_IO => Some(format!("{name} {version}: comes from {source}")),
        _ if policy.banned.contains(name) => Some(format!("{name} {version}: is banned")),
        _ => None,
    }
}

fn advised_against(package: &Package) -> Option<String> {
    let (_, advisory) = ADVISORIES.iter().find(|(name, _)| *name == package.name)?;
    Some(format!("{} {}: {advisory}", package.name, package.version))
}

#[cfg(test)]
mod tests {
    use super::{CRATES_IO, Policy, findings};
    use crate::packages::Graph;

    #[test]
    fn each_rule_finds_its_offender() {
        let external = |name: &str, source: &str, licence: &str| {
            format!(
                r#"{{"id": "{name}", "name": "{name}", "version": "1.0.0", "manifest_path": "/r/Cargo.toml",
                     "source": "{source}", "license": {licence}}}"#
            )
        };
        let depends =
            |name: &str, kind: &str| format!(r#"{{"pkg": "{name}", "dep_kinds": [{{"kind": {kind}}}]}}"#);
        let packages = [
            external("fine", CRATES_IO, "\"MIT\""),
            external("viral", CRATES_IO, "\"GPL-3.0\""),
            external("mute", CRATES_IO, "null"),
            external("fork", "git+https://example.org/fork", "\"MIT\""),
            external("openssl", CRATES_IO, "\"MIT\""),
            external("backoff", CRATES_IO, "\"MIT\""),
            external("viral-tool", CRATES_IO, "\"GPL-3.0\""),
            external("instant", CRATES_IO, "\"MIT\""),
        ];
        let shipped = ["fine", "viral", "mute", "fork", "backoff"].map(|name| depends(name, "null"));
        let tools = ["openssl", "viral-tool", "instant"].map(|name| depends(name, "\"dev\""));
        let metadata = format!(
            r#"{{"packages": [{{"id": "ours", "name": "ours", "version": "0.1.0", "license": "MIT",
                 "manifest_path": "/w/Cargo.toml", "source": null, "publish": null}}, {}],
                 "resolve": {{"nodes": [{{"id": "ours", "deps": [{}, {}]}}]}}}}"#,
            packages.join(","),
            shipped.join(","),
            tools.join(","),
        );
        let policy = Policy { licences: vec!["MIT".to_owned()], banned: vec!["openssl".to_owned()] };
        assert_eq!(
            findings(&Graph::parse(&metadata).unwrap(), &policy),
            [
                "viral 1.0.0: its licence is not allowed: GPL-3.0",
                "mute 1.0.0: declares no licence",
                "fork 1.0.0: comes from git+https://example.org/fork",
                "openssl 1.0.0: is banned",
                "backoff 1.0.0: RUSTSEC-2025-0012, unmaintained",
            ]
        );
    }
}
