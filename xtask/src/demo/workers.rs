//! `cargo xtask demo --workers 4`: private servers, and an application that starts the workers.

use std::ffi::OsString;

use command_line::Number;

use super::{APPLICATION, private_servers};
use crate::{
    Result,
    application::{self, Parts},
    outcome::Outcome,
    project::Project,
    servers::{Server, Started},
};

/// The maximum of the application. A private PostgreSQL server has connections for so many.
const MAX_WORKERS: u64 = 12;

/// The maximum rate of the application.
const MAX_RATE: u64 = u32::MAX as u64;

/// The calls per second of all workers together, if none are given: few enough to be noticed, on any machine.
const RATE: u32 = 400;

/// A demonstration with several workers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Demo {
    workers: u32,
    queue: Queue,
    rate: u32,
    /// All other arguments, which are the application's.
    rest: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    Postgres,
    Nats,
}

impl Demo {
    /// Reads the arguments: `None` without `--workers`.
    ///
    /// # Errors
    ///
    /// One line about an argument.
    pub(super) fn parse(arguments: &[OsString]) -> Result<Option<Demo>> {
        let mut rest = arguments.to_vec();
        let Some(workers) = take(&mut rest, "--workers")? else { return Ok(None) };
        let workers = number::<MAX_WORKERS>(&workers, "--workers")?;
        let queue = match take(&mut rest, "--queue")?.as_deref() {
            None | Some("postgres") => Queue::Postgres,
            Some("nats") => Queue::Nats,
            Some(other) => {
                return Err(format!(
                    "--queue is postgres or nats, in a private server, not `{other}`; for servers of yours run \
                     {APPLICATION} itself"
                )
                .into());
            }
        };
        let rate = take(&mut rest, "--rate")?.map(|rate| number::<MAX_RATE>(&rate, "--rate")).transpose()?;
        for flag in ["--store", "--quota"] {
            if take(&mut rest, flag)?.is_some() {
                return Err(format!("{flag} does not go with --workers, which has private servers").into());
            }
        }
        Ok(Some(Demo { workers, queue, rate: rate.unwrap_or(RATE), rest }))
    }

    pub(super) fn run(self, project: &Project, parts: &Parts) -> Result<Outcome> {
        let mut command = application::build(project, parts)?;
        let mut servers = vec![Server::Postgres, Server::Redis];
        if self.queue == Queue::Nats {
            servers.push(Server::Nats);
        }
        let started = private_servers(project, &servers)?;
        command.args(self.arguments(&started)).args(&self.rest);
        application::become_application(command)
    }

    /// Returns the arguments that name the servers.
    fn arguments(&self, servers: &[Started]) -> Vec<String> {
        let url = |server: Server| {
            let started = servers.iter().find(|started| started.server == server);
            started.and_then(|started| started.result.as_ref().ok())
        };
        let mut arguments = vec!["--workers".to_owned(), self.workers.to_string()];
        let postgres = url(Server::Postgres).map(|url| format!("postgres:{url}"));
        let queue = match self.queue {
            Queue::Postgres => postgres.clone(),
            Queue::Nats => url(Server::Nats).cloned(),
        };
        for (flag, value) in [("--store", postgres), ("--queue", queue)] {
            arguments.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
        }
        match url(Server::Redis) {
            Some(redis) => {
                arguments.extend(["--rate", &self.rate.to_string(), "--quota", redis].map(str::to_owned));
            }
            None => {
                tell!("no Redis server (cargo xtask servers up): each worker has its part of --rate instead");
                arguments.extend(["--rate".to_owned(), (self.rate / self.workers).max(1).to_string()]);
            }
        }
        if servers.iter().any(|started| started.server == Server::Postgres && started.fresh) {
            arguments.push("--temporary-store".to_owned());
        }
        arguments
    }
}

/// Removes a flag and its value, written as two words or as one with `=`.
fn take(arguments: &mut Vec<OsString>, flag: &str) -> Result<Option<String>> {
    let value_of = |word: &OsString| word.to_str()?.strip_prefix(flag)?.strip_prefix('=').map(str::to_owned);
    let mut found = None;
    while let Some(at) = arguments.iter().position(|word| word == flag || value_of(word).is_some()) {
        let word = arguments.remove(at);
        let value = match value_of(&word) {
            Some(value) => value,
            None if at < arguments.len() => arguments.remove(at).to_string_lossy().into_owned(),
            None => return Err(format!("{flag} has no value").into()),
        };
        if found.replace(value).is_some() {
            return Err(format!("{flag} is given twice").into());
        }
    }
    Ok(found)
}

fn number<const MAX: u64>(text: &str, flag: &str) -> Result<u32> {
    let number: Number<1, MAX> = text.parse().map_err(|reason| format!("{flag} {reason}"))?;
    Ok(number.get() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Demo>> {
        Demo::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    fn started(server: Server, result: std::result::Result<&str, &str>) -> Started {
        Started { server, result: result.map(str::to_owned).map_err(str::to_owned), fresh: true }
    }

    #[test]
    fn without_workers_it_is_the_plain_demo() {
        for line in ["", "--users 5", "--queue memory", "--store postgres --page 0"] {
            assert_eq!(parse(line).unwrap(), None, "{line}");
        }
    }

    #[test]
    fn bad_input_is_one_line_that_names_it() {
        for (line, part) in [
            ("--workers 0", "--workers takes a number from 1 to 12, not `0`"),
            ("--workers 10000", "not `10000`"),
            ("--workers=13", "not `13`"),
            ("--workers -1", "not `-1`"),
            ("--workers four", "not `four`"),
            ("--workers", "--workers has no value"),
            ("--workers 4 --workers 5", "--workers is given twice"),
            ("--workers 4 --queue kafka", "not `kafka`"),
            ("--workers 4 --queue memory", "--queue is postgres or nats"),
            ("--workers 4 --queue=", "not ``"),
            ("--workers 4 --queue", "--queue has no value"),
            ("--workers 4 --rate 0", "--rate takes a number from 1 to 4294967295, not `0`"),
            ("--workers 4 --store sqlite:a", "--store does not go with --workers"),
            ("--workers 4 --quota redis://h", "--quota does not go with --workers"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(part) && error.lines().count() == 1, "{line}: {error}");
        }
    }

    #[test]
    fn the_application_gets_its_servers_and_the_rest() {
        let demo = parse("--users 50 --workers 4 --kill --queue nats --page 0").unwrap().unwrap();
        assert_eq!(demo.rest.join(" ".as_ref()), "--users 50 --kill --page 0");
        let mut servers = [
            started(Server::Postgres, Ok("postgresql://p")),
            started(Server::Redis, Ok("redis+unix:///r")),
            started(Server::Nats, Ok("nats://n")),
        ];
        assert_eq!(
            demo.arguments(&servers).join(" "),
            "--workers 4 --store postgres:postgresql://p --queue nats://n --rate 400 --quota redis+unix:///r \
             --temporary-store"
        );
        servers[1] = started(Server::Redis, Err("no Redis server"));
        servers[0].fresh = false;
        let demo = parse("--workers 3 --rate 100").unwrap().unwrap();
        assert_eq!(
            demo.arguments(&servers).join(" "),
            "--workers 3 --store postgres:postgresql://p --queue postgres:postgresql://p --rate 33"
        );
    }
}
