//! `cargo xtask soak`: the long tests, optimised.
//!
//! A program of them takes minutes to build. With a filter, only those are built whose sources have its words.

use std::{fs, path::Path};

use command_line::Refused;

use crate::{
    Result,
    outcome::Outcome,
    packages::{Package, members, selection},
    project::{Project, run_with},
    simulate::mutants,
    test::{SOAK, Servers},
};

/// The filter that names the last step.
const MUTANTS: &str = "mutants";

pub(crate) fn run(project: &Project, filter: Option<&str>) -> Result<Outcome> {
    let packages = members(project)?;
    let mut soaked = Vec::new();
    for package in packages.iter().filter(|package| package.tests.iter().any(|test| test == SOAK)) {
        if filter.map_or(Ok(true), |filter| may_match(package, filter))? {
            soaked.push(package);
        }
    }
    let has_mutants = filter.is_none_or(|filter| MUTANTS.contains(filter));
    if soaked.is_empty() && !has_mutants {
        let filter = filter.unwrap_or_default();
        return Err(Refused::wrong(format!("no long test has `{filter}` in its name")).into());
    }
    let missing = if soaked.is_empty() { Vec::new() } else { soak(project, &soaked, filter)? };
    if has_mutants && let Outcome::Failed(why) = mutants::run(project, None)? {
        return Ok(Outcome::Failed(why));
    }
    Ok(if missing.is_empty() { Outcome::Done } else { Outcome::Partly(missing.join("; ")) })
}

/// Runs the long tests of these packages, and returns the servers that they had to do without, with the reasons.
fn soak(project: &Project, packages: &[&Package], filter: Option<&str>) -> Result<Vec<String>> {
    let command = project.cargo("test").args(["--profile", "soak", "--all-features", "--test", SOAK]);
    let command = command.args(selection(packages.iter().copied())).args(["--no-fail-fast", "--"]);
    let command = command.args(["--include-ignored", "--nocapture", "--test-threads=1"]).args(filter);
    let servers = Servers::start(project, false);
    let variables: Vec<_> = servers.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    run_with(&variables, command)?;
    Ok(servers.missing.iter().map(|(server, reason)| format!("{}: {reason}", server.name())).collect())
}

/// Whether a long test of the package can have these words in its name, which is made of modules and a function: each of them
/// is written in a source of its tests, or is the name of one.
fn may_match(package: &Package, filter: &str) -> Result<bool> {
    let mut text = String::new();
    let tests = package.folder.join("tests");
    collect(if tests.is_dir() { &tests } else { &package.folder }, &mut text)?;
    Ok(filter.split("::").all(|word| text.contains(word)))
}

/// Appends the names and texts of all sources below a folder.
fn collect(folder: &Path, text: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        text.extend(path.file_stem().and_then(|name| name.to_str()));
        text.push('\n');
        if path.is_dir() {
            collect(&path, text)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_selects_the_packages_that_have_its_words() {
        let packages = members(&Project::open().unwrap()).unwrap();
        let package = crate::packages::find(&packages, "testkit").unwrap();
        let may = |filter| may_match(package, filter).unwrap();
        assert!(may("timeline") && may("timeline::") && may(""));
        // The word is put together here, since sources of tests are read.
        let unknown = ["time", "lime"].concat();
        assert!(!may(&unknown) && !may(&format!("timeline::{unknown}")));
    }
}
