//! `cargo xtask demo`: becomes the demonstration application.

use std::{env, ffi::OsString, process::Command};

use crate::{
    Result, application,
    outcome::Outcome,
    project::Project,
    servers::{self, Server},
};

const APPLICATION: &str = "harvest";

/// The value of `--store` that stands for a server of its own.
const PRIVATE: &str = "postgres";

/// Waits for the end of the process that is its first argument, then runs the others.
#[cfg(unix)]
const WATCH: &str = r#"while kill -0 "$1"; do sleep 0.1; done 2>/dev/null; shift; exec "$@""#;

pub(crate) fn run(project: &Project, arguments: &[OsString]) -> Result<Outcome> {
    let mut command = application::build(project, APPLICATION)?;
    match private_store(arguments) {
        None => command.args(arguments),
        Some(at) => {
            let (url, ends) = private_server(project)?;
            command.args(&arguments[..at]).arg(&url).args(&arguments[at + 1..]);
            command.args(ends.then_some("--temporary-store"))
        }
    };
    application::become_application(command)
}

/// Where in the arguments a private server is asked for.
fn private_store(arguments: &[OsString]) -> Option<usize> {
    let flag = arguments.iter().position(|word| word == "--store")?;
    arguments.get(flag + 1).is_some_and(|store| store == PRIVATE).then_some(flag + 1)
}

/// A PostgreSQL server to store in, and whether it ends with this process, also when this has become the application:
/// one that runs already stays.
fn private_server(project: &Project) -> Result<(String, bool)> {
    let postgres = servers::up(&project.root, &[Server::Postgres], false).into_iter().next();
    let postgres = postgres.ok_or("no PostgreSQL server")?;
    let url = postgres.result?;
    if !postgres.fresh {
        tell!(
            "a PostgreSQL server that runs already (cargo xtask servers status): it stays, and so do the rows"
        );
        return Ok((url, false));
    }
    tell!("a private PostgreSQL server, started for this run: it ends with it, and its data are gone then");
    if let Err(error) = end_with_this_process() {
        servers::down(&project.root, &[Server::Postgres]);
        return Err(error);
    }
    Ok((url, true))
}

/// Leaves a watcher behind. It is out of reach of the terminal's Ctrl-C, which is meant for the application.
#[cfg(unix)]
fn end_with_this_process() -> Result {
    use std::{os::unix::process::CommandExt as _, process::Stdio};

    let me = std::process::id().to_string();
    let mut watcher = Command::new("sh");
    watcher.args(["-c", WATCH, "sh", &me]).arg(env::current_exe()?).args([
        "servers",
        "down",
        Server::Postgres.name(),
    ]);
    watcher.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn()?;
    Ok(())
}

/// Elsewhere no server is ever started.
#[cfg(not(unix))]
fn end_with_this_process() -> Result {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::private_store;

    #[test]
    fn a_server_is_started_for_those_who_ask_for_it() {
        let asked = |words: &[&str]| private_store(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(asked(&["--store", "postgres"]), Some(1));
        assert_eq!(asked(&["--users", "5", "--store", "postgres", "--strict"]), Some(3));
        for words in
            [&[][..], &["--users", "5"], &["--store", "sqlite:postgres"], &["--store"], &["postgres"]]
        {
            assert_eq!(asked(words), None, "{words:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_watcher_waits_for_the_end() {
        use std::process::{Command, Stdio};

        let mut watched = Command::new("sleep").arg("60").spawn().unwrap();
        let mut watcher = Command::new("sh");
        watcher.args(["-c", super::WATCH, "sh", &watched.id().to_string(), "echo", "it", "ended"]);
        let mut watcher = watcher.stdout(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(watcher.try_wait().unwrap(), None);
        watched.kill().unwrap();
        watched.wait().unwrap();
        assert_eq!(watcher.wait_with_output().unwrap().stdout, b"it ended\n");
    }
}
