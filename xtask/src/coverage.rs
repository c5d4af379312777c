//! `cargo xtask coverage`: which lines the tests reach.

use crate::{
    Result,
    outcome::{Outcome, not_installed},
    project::{Project, run as execute},
};

pub(crate) fn run(project: &Project, open: bool) -> Result<Outcome> {
    let Some(tool) = project.tool("cargo-llvm-cov") else {
        return Ok(Outcome::Skipped(not_installed("cargo-llvm-cov", "cargo-llvm-cov", "0.9.1")));
    };
    let report = if open { "--open" } else { "--summary-only" };
    execute(tool.args(["llvm-cov", "--workspace", "--all-features", report]))?;
    Ok(Outcome::Done)
}
