//! `cargo xtask package`: what a user gets from a registry compiles and passes its doc tests, with whatever features are taken.
//!
//! Cargo makes the archives that would be published. They are unpacked into a workspace of their own below the target folder,
//! whose members use each other in place of the registry: no file that is missing in an archive, and no feature that only
//! another package of this workspace switches on, is seen there. Libraries are checked with each set of features; with `--all`
//! their doc tests run, too.

mod archives;
mod features;

use self::features::Sets;
use crate::{
    Result, flags,
    outcome::Outcome,
    packages::{Package, find, public, selection},
    project::{Project, run as execute},
    test::failing_doctests,
};

/// It has re-exports alone: no code of its own that needs another feature, and one example, which says what it needs.
const FACADE: &str = "evenkeel";

/// The log of doc tests.
const LOG: &str = "packaged doctests";

pub(crate) fn run(project: &Project, flags: &flags::Package) -> Result<Outcome> {
    let which = if flags.all { Sets::AllButEach } else { Sets::Each };
    check(project, flags, which)
}

/// Does the same, with no feature and with all: each takes minutes.
pub(crate) fn run_in_ci(project: &Project) -> Result<Outcome> {
    check(project, &flags::Package { package: None, all: false }, Sets::NoneAndAll)
}

fn check(project: &Project, flags: &flags::Package, which: Sets) -> Result<Outcome> {
    let published = public(project)?;
    let selected = match &flags.package {
        Some(name) => vec![find(&published, name)?],
        None => published.iter().collect(),
    };
    // A library needs the archives of those below it.
    let manifest = archives::unpacked(project, &published)?;
    let cargo = |subcommand: &str| {
        let command = project.cargo(subcommand).arg("--manifest-path").arg(&manifest);
        // The dependencies are those of the whole workspace, and many of them are compiled there already.
        command.arg("--target-dir").arg(project.target())
    };
    let mut findings = Vec::new();
    for &package in &selected {
        let which = if package.name == FACADE { which.min(Sets::Each) } else { which };
        let sets = features::sets(&package.features, which);
        for set in sets.iter().map(|set| set.join(",")) {
            // Warnings are errors in the crate itself only, so that its dependencies are built once.
            let command =
                cargo("rustc").args(["--quiet", "--profile", "check", "--lib", "-p", &package.name]);
            let command = command.args(["--no-default-features", "--features", &set]);
            if execute(command.args(["--", "-D", "warnings"])).is_err() {
                findings.push(format!("{} does not build with the features [{set}]", package.name));
            }
        }
    }
    // `cargo xtask test` has run the doc tests of the same sources.
    if flags.all {
        let documented: Vec<&Package> = selected.into_iter().filter(|package| package.doctests).collect();
        let all = cargo("test").args(["--doc", "--all-features"]).args(selection(documented.iter().copied()));
        findings.extend(failing_doctests(project, all, LOG)?);
        for package in documented.into_iter().filter(|package| package.name != FACADE) {
            for set in features::sets(&package.features, Sets::Each).iter().map(|set| set.join(",")) {
                let command = cargo("test").args(["--doc", "-p", &package.name, "--no-default-features"]);
                let failing = failing_doctests(project, command.args(["--features", &set]), LOG)?;
                findings.extend(failing.iter().map(|failing| format!("{failing} with the features [{set}]")));
            }
        }
    }
    Ok(Outcome::of_findings(&findings))
}
