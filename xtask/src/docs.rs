//! `cargo xtask docs`: the documentation as docs.rs builds it.

use crate::{
    Result,
    outcome::Outcome,
    packages::{public, selection},
    project::{Project, run_with},
};

/// docs.rs builds with nightly's features and `--cfg docsrs`.
const VARIABLES: [(&str, &str); 2] = [("RUSTC_BOOTSTRAP", "1"), ("RUSTDOCFLAGS", "--cfg docsrs -D warnings")];

pub(crate) fn run(project: &Project, open: bool) -> Result<Outcome> {
    let published = public(project)?;
    // A folder of its own: build scripts watch RUSTC_BOOTSTRAP, and would run again after each change of it.
    let folder = project.target().join("docsrs");
    let command = project.cargo("doc").args(["--all-features", "--no-deps"]).args(selection(&published));
    let command = command.arg("--target-dir").arg(folder).args(open.then_some("--open"));
    run_with(&VARIABLES, command)?;
    Ok(Outcome::Done)
}
