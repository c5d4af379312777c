//! `cargo xtask docs`: the documentation as docs.rs builds it.
//!
//! docs.rs builds with nightly's features. Here rustdoc alone may use them: build scripts watch `RUSTC_BOOTSTRAP`, and all
//! dependencies would be built once more for it. So cargo is given this program in place of rustdoc, which becomes that.

use std::{env, process::Command};

use crate::{
    Result,
    application::become_it,
    outcome::Outcome,
    packages::{public, selection},
    project::{Project, run_with},
};

const FLAGS: &str = "--cfg docsrs -D warnings";

/// Set where this program was started as rustdoc.
const AS_RUSTDOC: &str = "EVENKEEL_AS_RUSTDOC";

pub(crate) fn run(project: &Project, open: bool) -> Result<Outcome> {
    let published = public(project)?;
    let command = project.cargo("doc").args(["--all-features", "--no-deps"]).args(selection(&published));
    let rustdoc = env::current_exe()?;
    let rustdoc = rustdoc.to_str().ok_or("the path of target is not UTF-8")?;
    let variables = [(AS_RUSTDOC, "1"), ("RUSTDOC", rustdoc), ("RUSTDOCFLAGS", FLAGS)];
    run_with(&variables, command.args(open.then_some("--open")))?;
    Ok(Outcome::Done)
}

pub(crate) fn is_rustdoc() -> bool {
    env::var_os(AS_RUSTDOC).is_some()
}

pub(crate) fn become_rustdoc() -> Result<Outcome> {
    let mut rustdoc = Command::new("rustdoc");
    rustdoc.args(env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1");
    become_it(rustdoc)
}
