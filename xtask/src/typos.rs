//! `cargo xtask typos`: the spelling, by the words of typos.toml.

use crate::{
    Result,
    outcome::{Outcome, not_installed},
    project::{Project, run as execute},
};

pub(crate) fn run(project: &Project) -> Result<Outcome> {
    let Some(tool) = project.tool("typos") else {
        return Ok(Outcome::Skipped(not_installed("typos", "typos-cli", "1.52.0")));
    };
    execute(tool)?;
    Ok(Outcome::Done)
}
