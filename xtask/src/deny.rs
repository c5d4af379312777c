//! `cargo xtask deny`: cargo-deny checks the dependency tree by the rules of deny.toml.

use crate::{
    Result,
    outcome::Outcome,
    project::{Project, run as execute},
};

const VERSION: &str = "0.20.2";

pub(crate) fn run(project: &Project) -> Result<Outcome> {
    let program = match project.install("cargo-deny", "cargo-deny", VERSION) {
        Ok(program) => program,
        Err(error) => return Ok(Outcome::Skipped(format!("cargo-deny cannot be installed: {error}"))),
    };
    let deny = || project.program(&program);
    execute(deny().args(["check", "bans", "licenses", "sources"]))?;
    // The advisories lie in a repository, which a machine without a way to GitHub cannot fetch.
    if let Err(error) = execute(deny().args(["fetch", "db"])) {
        return Ok(Outcome::Partly(format!("the advisories: {error}")));
    }
    execute(deny().args(["check", "--disable-fetch", "advisories"]))?;
    Ok(Outcome::Done)
}
