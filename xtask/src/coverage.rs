//! `cargo xtask coverage`: which lines the tests reach.

use crate::{
    Result,
    outcome::{Outcome, not_installed},
    packages::{members, selection},
    project::{Project, run as execute},
};

pub(crate) fn run(project: &Project, open: bool) -> Result<Outcome> {
    let Some(tool) = project.tool("cargo-llvm-cov") else {
        return Ok(Outcome::Skipped(not_installed("cargo-llvm-cov", "cargo-llvm-cov", "0.9.1")));
    };
    let report = if open { "--open" } else { "--summary-only" };
    let packages = members(project)?;
    let tested = selection(packages.iter().filter(|package| package.is_tested));
    execute(tool.args(["llvm-cov", "--all-features", report]).args(tested))?;
    Ok(Outcome::Done)
}
