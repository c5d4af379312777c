//! `cargo xtask conformance`: the reference suite against ours and the peers.

use std::{fs, path::PathBuf};

use xshell::Cmd;

use crate::{
    Result, flags,
    outcome::Outcome,
    project::{Project, run as execute, run_with},
    servers::Server,
    test::Servers,
};

/// The servers of `--real`.
const SERVERS: [Server; 4] = [Server::Postgres, Server::Postgres18, Server::Nats, Server::Nats214];

pub(crate) fn run(project: &Project, flags: &flags::Conformance) -> Result<Outcome> {
    let mut command = project.cargo("run").args(["--quiet", "-p", "evenkeel-tests", "--bin", "conformance"]);
    let is_real = flags.real || flags.queues;
    if flags.languages {
        return languages(project, flags, command.args(["--", "languages"]));
    }
    command = command
        .arg("--")
        .args(is_real.then_some("real"))
        .args(flags.pattern.as_ref().map(|pattern| pattern.0));
    if let Some(peer) = &flags.peer {
        command = command.args(["--peer", peer]);
    }
    if let Some(rule) = &flags.rule {
        command = command.args(["--rule", rule]);
    }
    if flags.save {
        command = command.arg("--save");
    }
    if !is_real {
        execute(command)?;
        return Ok(Outcome::Done);
    }
    let queues = if flags.queues { Some(queues(project)?) } else { None };
    let queues = queues.map(|program| program.to_string_lossy().into_owned());
    let servers = Servers::start_only(project, &SERVERS, true);
    let mut variables: Vec<_> =
        servers.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    variables.extend(queues.as_deref().map(|program| ("EVENKEEL_CONFORMANCE_QUEUES", program)));
    run_with(&variables, command)?;
    let missing: Vec<_> =
        servers.missing.iter().map(|(server, reason)| format!("{}: {reason}", server.name())).collect();
    Ok(if missing.is_empty() { Outcome::Done } else { Outcome::Partly(missing.join("; ")) })
}

/// The packages of each language that is there, then the clocks of the drivers, then the rules.
fn languages(project: &Project, flags: &flags::Conformance, mut command: Cmd<'_>) -> Result<Outcome> {
    if let Some(peer) = &flags.peer {
        command = command.args(["--peer", peer]);
    }
    if flags.save {
        command = command.arg("--save");
    }
    let (python, node) = (python(project)?, node(project)?);
    let places: Vec<_> = [("EVENKEEL_CONFORMANCE_PYTHON", &python), ("EVENKEEL_CONFORMANCE_NODE", &node)]
        .into_iter()
        .filter_map(|(name, place)| Some((name, place.as_ref()?.to_string_lossy().into_owned())))
        .collect();
    let variables: Vec<_> = places.iter().map(|(name, place)| (*name, place.as_str())).collect();
    run_with(&variables, command)?;
    let missing: Vec<_> = [("python3", &python), ("node and npm", &node)]
        .into_iter()
        .filter_map(|(program, place)| place.is_none().then_some(format!("SKIPPED: there is no {program}")))
        .collect();
    Ok(if missing.is_empty() { Outcome::Done } else { Outcome::Partly(missing.join("; ")) })
}

/// The interpreter of an environment with the pinned packages.
fn python(project: &Project) -> Result<Option<PathBuf>> {
    let folder = project.target().join("languages/python");
    let python = folder.join("bin/python");
    if !python.is_file() {
        let Some(system) = project.tool("python3") else { return Ok(None) };
        execute(system.args(["-m", "venv"]).arg(&folder))?;
    }
    let install =
        project.program(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    execute(install.args(["-r", "tests/languages/python/requirements.txt"]))?;
    execute(project.program(&python).args(["-B", "crates/evenkeel-tck/drivers/python/test_clock.py"]))?;
    Ok(Some(python))
}

/// A folder with the driver, the adapters and the pinned packages.
fn node(project: &Project) -> Result<Option<PathBuf>> {
    let (Some(node), Some(npm)) = (project.tool("node"), project.tool("npm")) else { return Ok(None) };
    let folder = project.target().join("languages/node");
    fs::create_dir_all(&folder)?;
    let driver = project.root.join("crates/evenkeel-tck/drivers/node/evenkeel_tck.mjs");
    fs::copy(driver, folder.join("evenkeel_tck.mjs"))?;
    for file in fs::read_dir(project.root.join("tests/languages/node"))? {
        let file = file?;
        fs::copy(file.path(), folder.join(file.file_name()))?;
    }
    execute(npm.args(["ci", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder))?;
    execute(node.arg("crates/evenkeel-tck/drivers/node/test_clock.mjs"))?;
    Ok(Some(folder))
}

/// The program of other queues, a workspace of its own.
fn queues(project: &Project) -> Result<PathBuf> {
    let target = project.target().join("conformance-queues");
    let build = project.cargo("build").args(["--locked", "--manifest-path", "tests/queues/Cargo.toml"]);
    execute(build.arg("--target-dir").arg(&target))?;
    Ok(target.join("debug/evenkeel-conformance-queues"))
}
