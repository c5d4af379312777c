//! `cargo xtask bench`: Evenkeel and its peers side by side.

use std::path::{self, PathBuf};

use command_line::is_stdout;

use crate::{
    Result,
    flags::Bench,
    outcome::Outcome,
    project::{Project, run as execute, run_with},
    servers::Server,
    test::Servers,
};

/// The peers that are written in Python, each at its newest release.
const PYTHON_PEERS: [&str; 3] = ["aiohttp", "httpx", "asyncpg"];

pub(crate) fn run(project: &Project, flags: &Bench) -> Result<Outcome> {
    let package = ["--release", "--package", "evenkeel-bench"];
    let inspect: &[&str] = if flags.inspect { &["--features", "inspect-peers"] } else { &[] };
    let python = if flags.python { interpreter(project)? } else { None };
    if flags.instructions {
        if project.tool("valgrind").is_none() {
            return Ok(Outcome::Skipped("instructions: valgrind is not installed".to_owned()));
        }
        // The counted program is not the one that counts, so it is built first.
        execute(project.cargo("build").args(package).args(inspect))?;
    }
    let command = project.cargo("run").args(package).args(inspect).arg("--").args(&flags.filter);
    let command = if flags.instructions { command.arg("--instructions") } else { command };
    let command = if flags.quick { command.arg("--quick") } else { command };
    let command = if flags.save { command.args(["--save", "benches/results"]) } else { command };
    // Cargo runs it at the root of the workspace.
    let out =
        flags.out.as_deref().map(|out| if is_stdout(out) { Ok(out.to_owned()) } else { path::absolute(out) });
    let command = match out.transpose()? {
        Some(out) => command.arg("--out").arg(out),
        None => command,
    };
    let queues = if flags.queues { Some(queues(project)?) } else { None };
    let of = |needed: bool, servers: &'static [Server]| if needed { servers } else { &[] };
    let servers = [
        of(flags.postgres || flags.queues, &[Server::Postgres]),
        of(flags.nats, &[Server::Nats, Server::Nats214]),
    ]
    .concat();
    let servers = (!servers.is_empty()).then(|| Servers::start_only(project, &servers, true));
    let mut variables: Vec<(&str, String)> = Vec::new();
    variables
        .extend(python.iter().map(|python| ("EVENKEEL_BENCH_PYTHON", python.to_string_lossy().into_owned())));
    variables.extend(
        queues.iter().map(|program| ("EVENKEEL_BENCH_QUEUES", program.to_string_lossy().into_owned())),
    );
    variables.extend(servers.iter().flat_map(|servers| servers.variables.clone()));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    run_with(&variables, command)?;
    if let Some((server, reason)) = servers.as_ref().and_then(|servers| servers.missing.first()) {
        return Ok(Outcome::Partly(format!("{}: {reason}", server.name())));
    }
    if flags.python && python.is_none() {
        return Ok(Outcome::Partly(format!("{}: there is no python3", PYTHON_PEERS.join(", "))));
    }
    Ok(Outcome::Done)
}

/// The program of the other queues in PostgreSQL, a workspace of its own.
fn queues(project: &Project) -> Result<PathBuf> {
    let target = project.target().join("queues");
    let build = project.cargo("build").args([
        "--release",
        "--locked",
        "--manifest-path",
        "benches/queues/Cargo.toml",
    ]);
    execute(build.arg("--target-dir").arg(&target))?;
    Ok(target.join("release/evenkeel-bench-queues"))
}

/// An interpreter with the peers, in an environment of its own below the target folder.
fn interpreter(project: &Project) -> Result<Option<PathBuf>> {
    let folder = project.target().join("evenkeel/python");
    let python = folder.join("bin/python");
    if !python.is_file() {
        let Some(system) = project.tool("python3") else { return Ok(None) };
        execute(system.args(["-m", "venv"]).arg(&folder))?;
    }
    let pip =
        project.program(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    execute(pip.args(PYTHON_PEERS))?;
    Ok(Some(python))
}
