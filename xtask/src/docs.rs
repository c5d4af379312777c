//! `cargo xtask docs`: the documentation as docs.rs builds it.
//!
//! docs.rs builds with nightly's features. Here rustdoc alone may use them: build scripts watch `RUSTC_BOOTSTRAP`, and all
//! dependencies would be built once more for it. So cargo is given this program in place of rustdoc, which becomes that.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::Command,
};

use crate::{
    Result,
    application::become_it,
    outcome::Outcome,
    packages::{public, selection},
    project::{Project, run_with},
};

const FLAGS: &str = "--cfg docsrs -D warnings";

/// Names the real one where this program was started as rustdoc.
const AS_RUSTDOC: &str = "EVENKEEL_AS_RUSTDOC";

pub(crate) fn run(project: &Project, open: bool) -> Result<Outcome> {
    let published = public(project)?;
    let command = project.cargo("doc").args(["--all-features", "--no-deps"]).args(selection(&published));
    let rustdoc = env::current_exe()?;
    let rustdoc = rustdoc.to_str().ok_or("the path of target is not UTF-8")?;
    let real = env::var("RUSTDOC").unwrap_or_else(|_| "rustdoc".to_owned());
    let variables = [(AS_RUSTDOC, &*real), ("RUSTDOC", rustdoc), ("RUSTDOCFLAGS", FLAGS)];
    run_with(&variables, command.args(open.then_some("--open")))?;
    Ok(Outcome::Done)
}

/// The program to become, if this one was started as rustdoc.
pub(crate) fn real_rustdoc() -> Option<OsString> {
    env::var_os(AS_RUSTDOC)
}

pub(crate) fn become_rustdoc(real: &OsStr) -> Result<Outcome> {
    let mut rustdoc = Command::new(real);
    rustdoc.args(env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1");
    become_it(rustdoc)
}
