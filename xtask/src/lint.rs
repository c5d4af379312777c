//! `cargo xtask lint`: formatting and lints.

use crate::{
    Result,
    outcome::Outcome,
    project::{Project, run as execute},
};

pub(crate) fn run(project: &Project, fix: bool) -> Result<Outcome> {
    if fix {
        execute(clippy(project).args(["--fix", "--allow-dirty", "--allow-staged"]))?;
        execute(project.cargo("fmt").arg("--all"))?;
    }
    fmt(project)?;
    lints(project)
}

pub(crate) fn fmt(project: &Project) -> Result<Outcome> {
    execute(project.cargo("fmt").args(["--all", "--check"]))?;
    Ok(Outcome::Done)
}

pub(crate) fn lints(project: &Project) -> Result<Outcome> {
    execute(clippy(project).args(["--", "-D", "warnings"]))?;
    Ok(Outcome::Done)
}

fn clippy(project: &Project) -> xshell::Cmd<'_> {
    project.cargo("clippy").args(["--workspace", "--all-targets", "--all-features"])
}
