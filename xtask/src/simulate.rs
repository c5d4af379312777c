//! `cargo xtask simulate`: whole programs in virtual time, under the faults of a seed.

pub(crate) mod mutants;

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    Result, flags,
    outcome::Outcome,
    project::{Project, run as execute},
};

/// The seeds of each program in CI.
const SEEDS: u64 = 200;

/// The profile for thousands of seeds.
const OPTIMIZED: &str = "simulate";

/// The seeds of a day are apart from those of the next.
const SEEDS_OF_A_DAY: u64 = 1_000_000;

pub(crate) fn run(project: &Project, flags: &flags::Simulate) -> Result<Outcome> {
    let subject = flags.subject.as_ref().map(|subject| subject.0);
    if flags.mutants {
        return mutants::run(project, subject);
    }
    let mut command = project.program(&build(project, OPTIMIZED)?).args(subject);
    if let Some(seeds) = flags.seeds {
        command = command.args(["--seeds", &seeds.get().to_string()]);
    }
    if let Some(from) = flags.from {
        command = command.args(["--from", &from.get().to_string()]);
    }
    let switches = [("--twice", flags.twice), ("--first", flags.first), ("--trace", flags.trace)];
    command = command.args(switches.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name));
    execute(command)?;
    Ok(Outcome::Done)
}

/// Runs some seeds of each program, which are printed: others each day.
pub(crate) fn seeds_of_today(project: &Project) -> Result<Outcome> {
    let today = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / (24 * 60 * 60);
    // Building it optimized takes longer than it saves on so few seeds.
    let program = build(project, "dev")?;
    let (seeds, first) = (SEEDS.to_string(), (today * SEEDS_OF_A_DAY).to_string());
    execute(project.program(&program).args(["--seeds", &seeds, "--from", &first]))?;
    Ok(Outcome::Done)
}

fn build(project: &Project, profile: &str) -> Result<PathBuf> {
    let command = project.cargo("build").args(["--quiet", "-p", "evenkeel-simulate", "--bin", "simulate"]);
    execute(command.args(["--profile", profile]))?;
    let directory = if profile == "dev" { "debug" } else { profile };
    Ok(project.target().join(directory).join(format!("simulate{}", std::env::consts::EXE_SUFFIX)))
}
