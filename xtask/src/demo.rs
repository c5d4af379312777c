//! `cargo xtask demo`: becomes the demonstration application.

use std::ffi::OsString;
use std::process::Command;

use crate::Result;
use crate::json::Json;
use crate::outcome::Outcome;
use crate::project::{Project, cleaned, read};

const APPLICATION: &str = "harvest";

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
    let shown: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
    eprintln!("$ {}", shown.join(" ".as_ref()).display());
    become_it(command)
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

    use super::{executable, guarded};

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
    fn the_application_is_found_among_the_messages() {
        let message = r#"{"target":{"name":"harvest"},"executable":"/t/harvest"}"#;
        assert_eq!(executable(message).unwrap().as_deref(), Some("/t/harvest"));
        assert_eq!(executable(r#"{"target":{"name":"harvest"},"executable":null}"#).unwrap(), None);
        assert_eq!(executable(r#"{"target":{"name":"x"},"executable":"/t/x"}"#).unwrap(), None);
    }
}
