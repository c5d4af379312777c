//! `cargo xtask bench`: Evenkeel and its peers side by side.

use crate::Result;
use crate::flags::Bench;
use crate::outcome::Outcome;
use crate::project::{Project, run as execute};

pub(crate) fn run(project: &Project, flags: &Bench) -> Result<Outcome> {
    let command =
        project.cargo("run").args(["--release", "--package", "evenkeel-bench", "--"]).args(&flags.filter);
    let command = if flags.quick { command.arg("--quick") } else { command };
    let command = if flags.save { command.args(["--save", "benches/results"]) } else { command };
    execute(command)?;
    Ok(Outcome::Done)
}
