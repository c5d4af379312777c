//! `cargo xtask package`: each package builds from the files that would be published.

use crate::{
    Result,
    outcome::Outcome,
    packages::{public, selection},
    project::{Project, run_with},
};

pub(crate) fn run(project: &Project) -> Result<Outcome> {
    let published = public(project)?;
    // The packages are built to be thrown away, so changes that are not committed yet do no harm.
    let command = project.cargo("package").arg("--allow-dirty").args(selection(&published));
    // Set by the variable, the folder is shared by all of them, and their dependencies are built once.
    let folder = project.target().join("packaged");
    run_with(&[("CARGO_TARGET_DIR", &folder.to_string_lossy())], command)?;
    Ok(Outcome::Done)
}
