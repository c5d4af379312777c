//! `cargo xtask conformance`: the reference suite against ours and the peers.

use crate::{
    Result, flags,
    outcome::Outcome,
    project::{Project, run as execute},
};

pub(crate) fn run(project: &Project, flags: &flags::Conformance) -> Result<Outcome> {
    let mut command = project.cargo("run").args(["--quiet", "-p", "evenkeel-tests", "--bin", "conformance"]);
    command = command.arg("--").args(flags.pattern.as_deref());
    if let Some(peer) = &flags.peer {
        command = command.args(["--peer", peer]);
    }
    if flags.save {
        command = command.arg("--save");
    }
    execute(command)?;
    Ok(Outcome::Done)
}
