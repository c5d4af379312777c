//! `cargo xtask conformance`: the reference suite against ours and the peers.

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
    command = command.arg("--").args(flags.real.then_some("real")).args(flags.pattern.as_deref());
    if let Some(peer) = &flags.peer {
        command = command.args(["--peer", peer]);
    }
    if let Some(rule) = &flags.rule {
        command = command.args(["--rule", rule]);
    }
    if flags.save {
        command = command.arg("--save");
    }
    if !flags.real {
        execute(command)?;
        return Ok(Outcome::Done);
    }
    let servers = Servers::start_only(project, &SERVERS, true);
    let variables: Vec<_> = servers.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    run_with(&variables, command)?;
    let missing: Vec<_> =
        servers.missing.iter().map(|(server, reason)| format!("{}: {reason}", server.name())).collect();
    Ok(if missing.is_empty() { Outcome::Done } else { Outcome::Partly(missing.join("; ")) })
}
