//! `cargo xtask conformance`: the reference suite against ours and the peers.

mod languages;

use std::path::PathBuf;

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
        return languages::run(project, flags, command.args(["--", "languages"]));
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

/// The program of other queues, a workspace of its own.
fn queues(project: &Project) -> Result<PathBuf> {
    let target = project.target().join("conformance-queues");
    let build = project.cargo("build").args(["--locked", "--manifest-path", "tests/queues/Cargo.toml"]);
    execute(build.arg("--target-dir").arg(&target))?;
    Ok(target.join("debug/evenkeel-conformance-queues"))
}
