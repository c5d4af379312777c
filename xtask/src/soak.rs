//! `cargo xtask soak`: the long tests, in release.

use crate::Result;
use crate::outcome::Outcome;
use crate::packages::{members, selection};
use crate::project::{Project, run as execute};
use crate::test::SOAK;

pub(crate) fn run(project: &Project, filter: Option<&str>) -> Result<Outcome> {
    let packages = members(project)?;
    let soaked = selection(packages.iter().filter(|package| package.tests.iter().any(|test| test == SOAK)));
    if soaked.is_empty() {
        return Ok(Outcome::Skipped(format!("no package has a test named `{SOAK}`")));
    }
    let command = project.cargo("test").args(["--release", "--all-features", "--test", SOAK]).args(soaked);
    let command =
        command.args(["--no-fail-fast", "--", "--include-ignored", "--nocapture", "--test-threads=1"]);
    execute(command.args(filter))?;
    Ok(Outcome::Done)
}
