//! `cargo xtask soak`: the long tests, optimised.

use crate::{
    Result,
    outcome::Outcome,
    packages::{members, selection},
    project::{Project, run_with},
    simulate::mutants,
    test::{SOAK, Servers},
};

pub(crate) fn run(project: &Project, filter: Option<&str>) -> Result<Outcome> {
    let packages = members(project)?;
    let soaked = selection(packages.iter().filter(|package| package.tests.iter().any(|test| test == SOAK)));
    if soaked.is_empty() {
        return Ok(Outcome::Skipped(format!("no package has a test named `{SOAK}`")));
    }
    let command =
        project.cargo("test").args(["--profile", "soak", "--all-features", "--test", SOAK]).args(soaked);
    let command =
        command.args(["--no-fail-fast", "--", "--include-ignored", "--nocapture", "--test-threads=1"]);
    let servers = Servers::start(project, false);
    let variables: Vec<_> = servers.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    run_with(&variables, command.args(filter))?;
    if filter.is_none_or(|filter| "mutants".contains(filter))
        && let Outcome::Failed(why) = mutants::run(project, None)?
    {
        return Ok(Outcome::Failed(why));
    }
    let missing: Vec<_> =
        servers.missing.iter().map(|(server, reason)| format!("{}: {reason}", server.name())).collect();
    Ok(if missing.is_empty() { Outcome::Done } else { Outcome::Partly(missing.join("; ")) })
}
