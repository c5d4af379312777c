//! `cargo xtask demo`: becomes the demonstration application.

use std::env;
use std::ffi::OsString;
use std::process::Command;

use crate::Result;
use crate::json::Json;
use crate::outcome::Outcome;
use crate::project::{Project, cleaned, read};
use crate::servers::{self, Server};

const APPLICATION: &str = "harvest";

/// Where the application stores, unless a flag says otherwise.
const STORE: &str = "DATABASE_URL";

/// Waits for the end of the process that is its first argument, then runs the others.
#[cfg(unix)]
const WATCH: &str = r#"while kill -0 "$1"; do sleep 0.1; done 2>/dev/null; shift; exec "$@""#;

/// The command line with everything behind `demo` kept from xtask's own parser.
pub(crate) fn guarded(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is = |at: usize, word: &str| arguments.get(at).is_some_and(|argument| argument == word);
    if is(0, "demo") && !is(1, "--") {
        arguments.insert(1, "--".into());
    }
    arguments
}

pub(crate) fn run(project: &Project, arguments: &[OsString]) -> Result<Outcome> {
    let build = project.cargo("build").args(["--release", "-p", APPLICATION]);
    let messages = read(build.arg("--message-format=json-render-diagnostics"))?;
    let program = messages.lines().filter_map(|line| executable(line).transpose()).next_back();
    let mut command = cleaned(Command::new(program.ok_or("cargo built no program")??));
    command.args(arguments);
    let mut shown = OsString::new();
    if let Some(url) = private_store(project, arguments)? {
        shown.push(format!("{STORE}={url} "));
        command.env(STORE, url);
    }
    let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
    shown.push(words.join(" ".as_ref()));
    eprintln!("$ {}", shown.display());
    become_it(command)
}

/// A PostgreSQL server to store in, if its programs are found; one that is started here ends with this process, also
/// when this has become the application. Who names a store gets that and no server.
fn private_store(project: &Project, arguments: &[OsString]) -> Result<Option<String>> {
    if env::var_os(STORE).is_some() || !needs_store(arguments) {
        return Ok(None);
    }
    let found = servers::up(&project.root, &[Server::Postgres], false).into_iter().next();
    let Some(Ok(url)) = found.as_ref().map(|postgres| postgres.result.clone()) else { return Ok(None) };
    if found.is_some_and(|postgres| postgres.fresh)
        && let Err(error) = end_with_this_process()
    {
        servers::down(&project.root, &[Server::Postgres]);
        return Err(error);
    }
    Ok(Some(url))
}

fn needs_store(arguments: &[OsString]) -> bool {
    !arguments.iter().any(|word| {
        let word = word.to_string_lossy();
        word.starts_with("--store") || word == "--help" || word == "-h"
    })
}

/// Leaves a watcher behind. It is out of reach of the terminal's Ctrl-C, which is meant for the application.
#[cfg(unix)]
fn end_with_this_process() -> Result {
    use std::os::unix::process::CommandExt as _;
    use std::process::Stdio;

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

/// The application's program, if this message of cargo tells of it.
fn executable(message: &str) -> Result<Option<String>> {
    let message = Json::parse(message)?;
    let ours = message.get("target").and_then(|target| target.text("name")) == Some(APPLICATION);
    Ok(message.text("executable").filter(|_| ours).map(str::to_owned))
}

/// Replaces this process: signals, the terminal and the exit code are the application's alone.
#[cfg(unix)]
fn become_it(mut command: Command) -> Result<Outcome> {
    Err(std::os::unix::process::CommandExt::exec(&mut command).into())
}

#[cfg(not(unix))]
fn become_it(mut command: Command) -> Result<Outcome> {
    std::process::exit(command.status()?.code().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{executable, guarded, needs_store};

    #[test]
    fn only_demo_keeps_its_arguments_from_the_parser() {
        let guard = |words: &[&str]| guarded(words.iter().map(OsString::from).collect()).join(" ".as_ref());
        assert_eq!(guard(&["demo", "--help"]), "demo -- --help");
        assert_eq!(guard(&["demo", "--", "--help"]), "demo -- --help");
        assert_eq!(guard(&["demo"]), "demo --");
        assert_eq!(guard(&["test", "demo"]), "test demo");
        assert_eq!(guard(&[]), "");
    }

    #[test]
    fn a_store_that_is_named_is_taken() {
        let needs = |words: &[&str]| needs_store(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(needs(&[]) && needs(&["--users", "5"]));
        for words in [["--store", "auto"], ["--store", "sqlite:x"], ["--users", "-h"]] {
            assert!(!needs(&words), "{words:?}");
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

    #[test]
    fn the_application_is_found_among_the_messages() {
        let message = r#"{"target":{"name":"harvest"},"executable":"/t/harvest"}"#;
        assert_eq!(executable(message).unwrap().as_deref(), Some("/t/harvest"));
        assert_eq!(executable(r#"{"target":{"name":"harvest"},"executable":null}"#).unwrap(), None);
        assert_eq!(executable(r#"{"target":{"name":"x"},"executable":"/t/x"}"#).unwrap(), None);
    }
}
