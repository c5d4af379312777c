//! `cargo xtask demo`: becomes the demonstration application.

mod workers;

use std::{env, ffi::OsString, process::Command};

use command_line::{Program, Refused, checked_words, parse};

use crate::{
    Result, VERSION,
    application::{
        self,
        harvest::{Harvest, parts},
    },
    outcome::Outcome,
    project::Project,
    servers::{self, Server, Started},
};

const APPLICATION: &str = "harvest";

/// The value of `--store` that stands for a server of its own.
const PRIVATE: &str = "postgres";

/// Waits for the end of the process that is its first argument, then runs the others.
#[cfg(unix)]
const WATCH: &str = r#"while kill -0 "$1"; do sleep 0.1; done 2>/dev/null; shift; exec "$@""#;

/// The part of the help that the application does not have.
const HERE: &str = "Here `--store postgres` is a private server, and `--workers N [--queue postgres|nats]` has private servers for all.";

pub(crate) fn run(project: &Project, arguments: &[OsString]) -> Result<Outcome> {
    let arguments = checked(arguments)?;
    if let Some(demo) = workers::Demo::parse(&arguments)? {
        return demo.run(project, &parts(&arguments));
    }
    let mut command = application::build(project, &parts(&arguments))?;
    match private_store(&arguments) {
        None => command.args(arguments),
        Some(at) => {
            let started = private_servers(project, &[Server::Postgres])?;
            let [postgres] = &started[..] else { return Err("no PostgreSQL server".into()) };
            command
                .args(&arguments[..at])
                .arg(postgres.result.as_ref().map_err(String::as_str)?)
                .args(&arguments[at + 1..]);
            command.args(postgres.fresh.then_some("--temporary-store"))
        }
    };
    application::become_application(command)
}

/// Checks the arguments before anything is built or started, and returns them with each value in a word of its own.
fn checked(arguments: &[OsString]) -> std::result::Result<Vec<OsString>, Refused> {
    let program = Program::new("cargo xtask demo", VERSION);
    let checked = checked_words(program, application::with_addresses(arguments), Harvest::from_vec);
    let words = checked.map_err(|refused| match refused {
        Refused::Shown(text) if text.starts_with("cargo xtask demo [") => {
            Refused::Shown(format!("{text}\n\n{HERE}"))
        }
        other => other,
    })?;
    let has = |flag: &str| words.iter().any(|word| word == flag);
    let mut whole = words.clone();
    if has("--workers") && !has("--queue") {
        whole.extend(["--queue", "postgres"].map(OsString::from));
    }
    parse(program, whole, Harvest::from_vec)?.check().map_err(Refused::wrong)?;
    Ok(words)
}

/// Where in the arguments a private server is asked for.
fn private_store(arguments: &[OsString]) -> Option<usize> {
    let flag = arguments.iter().position(|word| word == "--store")?;
    arguments.get(flag + 1).is_some_and(|store| store == PRIVATE).then_some(flag + 1)
}

/// Finds or starts the servers. Those that are started end with this process, also when this has become the application; one
/// that runs already stays.
fn private_servers(project: &Project, which: &[Server]) -> Result<Vec<Started>> {
    let servers = servers::up(&project.root, which, false);
    let mut fresh = Vec::new();
    for started in servers.iter().filter(|started| started.result.is_ok()) {
        let label = started.server.label();
        if started.fresh {
            tell!(
                "a private {label} server, started for this run: it ends with it, and its data are gone then"
            );
            fresh.push(started.server);
        } else {
            tell!(
                "a {label} server that runs already (cargo xtask servers status): it stays, and so do its data"
            );
        }
    }
    let missing = servers.iter().find(|started| started.result.is_err() && is_needed(started.server));
    let failure = missing.and_then(|started| started.result.clone().err()).map(Into::into);
    let ended = failure.map_or_else(|| end_with_this_process(&fresh), Err);
    if let Err(error) = ended {
        servers::down(&project.root, &fresh);
        return Err(error);
    }
    Ok(servers)
}

/// Whether there is no run without it: without Redis there is one without a common quota.
fn is_needed(server: Server) -> bool {
    server != Server::Redis
}

/// Leaves a watcher behind. It is out of reach of the terminal's Ctrl-C, which is meant for the application.
#[cfg(unix)]
fn end_with_this_process(fresh: &[Server]) -> Result {
    use std::{os::unix::process::CommandExt as _, process::Stdio};

    if fresh.is_empty() {
        return Ok(());
    }
    let me = std::process::id().to_string();
    let mut watcher = Command::new("sh");
    watcher.args(["-c", WATCH, "sh", &me]).arg(env::current_exe()?).args(["servers", "down"]);
    watcher.args(fresh.iter().map(|server| server.name()));
    watcher.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn()?;
    Ok(())
}

/// Elsewhere no server is ever started.
#[cfg(not(unix))]
fn end_with_this_process(_: &[Server]) -> Result {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{checked, private_store};

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn wrong_arguments_are_answered_before_the_build() {
        for (line, said) in [
            ("--userz 5", "there is no flag --userz; did you mean --users?"),
            ("--users many", "--users takes a number from 0, not `many`"),
            ("--workers 13", "--workers takes a number from 1 to 12, not `13`"),
            ("--kill", "--kill does nothing without --workers"),
            ("--json=", "--json has no value"),
            ("--json no/such/file.json", "--json: there is no folder `no/such`"),
            ("--json - --report -", "--json and --report cannot both be written to stdout"),
            (
                "--url http://h:99999",
                "--url takes an address with a port from 0 to 65535, not `http://h:99999`",
            ),
            ("--workers 4 --serve 0", "--serve is of one process, it does not go with --workers"),
            ("--chaos --faults none", "--chaos has faults of its own, give it without --faults"),
            ("--faults nome", "--faults takes none or default, not `nome`; did you mean `none`?"),
            (
                "--url h:80 --users 5",
                "--url takes http://… or https://…, not `h:80`; did you mean http://h:80?",
            ),
            (
                "--store postgre",
                "--store takes auto, env, postgres, sqlite:PATH or postgres:URL, not `postgre`; did you mean postgres?",
            ),
            ("--workers 4 --queue kafka", "--queue takes memory, postgres or nats, not `kafka`"),
            (
                "1000",
                "`1000` is one word too many: cargo xtask demo [FLAGS]; `cargo xtask demo --help` lists them",
            ),
        ] {
            assert_eq!(checked(&words(line)).unwrap_err().to_string(), said, "{line}");
        }
        let help = checked(&words("--help")).unwrap_err();
        assert!(help.is_help() && help.to_string().ends_with("private servers for all."), "{help}");
    }

    #[test]
    fn right_arguments_go_to_the_application() {
        for (line, passed) in [
            ("", ""),
            ("--users=5 --page --strict", "--users 5 --page 127.0.0.1:0 --strict"),
            ("--workers 4 --kill --lease 2s --page 8080", "--workers 4 --kill --lease 2s --page 8080"),
            ("--store=postgres --json -", "--store postgres --json -"),
            (
                "--queue nats://h --workers 2 --rate 5 --quota redis://h",
                "--queue nats://h --workers 2 --rate 5 --quota redis://h",
            ),
        ] {
            assert_eq!(checked(&words(line)).unwrap(), words(passed), "{line}");
        }
    }

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
