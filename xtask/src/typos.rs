//! `cargo xtask typos`: the spelling, by the words of typos.toml.

use crate::{
    Result,
    outcome::Outcome,
    project::{Project, run as execute},
};

const VERSION: &str = "1.52.0";

pub(crate) fn run(project: &Project) -> Result<Outcome> {
    let program = match project.install("typos-cli", "typos", VERSION) {
        Ok(program) => program,
        Err(error) => return Ok(Outcome::Skipped(format!("typos cannot be installed: {error}"))),
    };
    execute(project.program(&program))?;
    Ok(Outcome::Done)
}

/// Checks it where the program is installed: to build it takes longer than a spelling is worth in CI.
pub(crate) fn if_installed(project: &Project) -> Result<Outcome> {
    let Some(tool) = project.tool("typos") else {
        return Ok(Outcome::Skipped(
            "typos is not installed: `cargo xtask typos` does it, below target/".to_owned(),
        ));
    };
    execute(tool)?;
    Ok(Outcome::Done)
}
