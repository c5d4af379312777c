//! The applications under examples/: building one, and becoming it.

pub(crate) mod crawl;
pub(crate) mod harvest;

use std::{ffi::OsString, process::Command};

use crate::{
    Result,
    outcome::Outcome,
    project::{Project, cleaned, read},
};

/// The commands whose arguments are the application's.
const COMMANDS: [&str; 2] = ["crawl", "demo"];

/// The flags of a page at an address, and that of a free port, for those without one.
const PAGES: [&str; 2] = ["--inspect", "--page"];
const FREE_PORT: &str = "127.0.0.1:0";

/// The command line with everything behind such a command kept from xtask's own parser. `help demo` is its help, too.
pub(crate) fn guarded(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_application = |arguments: &[OsString], at: usize| {
        arguments.get(at).is_some_and(|word| COMMANDS.iter().any(|command| word == command))
    };
    if arguments.first().is_some_and(|word| word == "help") && is_application(&arguments, 1) {
        arguments.remove(0);
        arguments.push("--help".into());
    }
    if is_application(&arguments, 0) && arguments.get(1).is_none_or(|word| word != "--") {
        arguments.insert(1, "--".into());
    }
    arguments
}

/// Returns the arguments, with an address behind a flag of a page that has none.
pub(crate) fn with_addresses(arguments: &[OsString]) -> Vec<OsString> {
    let is_flag = |word: Option<&OsString>| word.is_none_or(|word| word.to_string_lossy().starts_with("--"));
    let mut all = Vec::new();
    for (at, word) in arguments.iter().enumerate() {
        all.push(word.clone());
        if PAGES.iter().any(|page| word == page) && is_flag(arguments.get(at + 1)) {
            all.push(FREE_PORT.into());
        }
    }
    all
}

/// The parts of an application that a command line needs, and no more: others are not compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Which of its two packages: with TLS, or without.
    pub(crate) package: &'static str,
    pub(crate) features: Vec<&'static str>,
}

/// Returns whether a flag is among the words, with its value in the next one or behind a `=`.
pub(crate) fn has_flag(arguments: &[OsString], flag: &str) -> bool {
    let is_it = |word: &OsString| {
        word.to_string_lossy().strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    arguments.iter().any(is_it)
}

/// Builds these parts of an application, in a profile that is built sooner than a release; returns its program.
pub(crate) fn build(project: &Project, Parts { package, features }: &Parts) -> Result<Command> {
    let build = project.cargo("build").args(["--profile", "demo", "-p", package]);
    let build = features.iter().fold(build, |build, feature| build.args(["--features", feature]));
    let messages = read(build.arg("--message-format=json-render-diagnostics"))?;
    let program = messages.lines().filter_map(|line| executable(line, package).transpose()).next_back();
    Ok(cleaned(Command::new(program.ok_or("cargo built no program")??)))
}

/// Prints the command, and replaces this process by it.
pub(crate) fn become_application(command: Command) -> Result<Outcome> {
    let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
    tell!("$ {}", words.join(" ".as_ref()).display());
    become_it(command)
}

/// The program of the package, which has its name, if this message of cargo names it.
fn executable(message: &str, package: &str) -> Result<Option<String>> {
    let message: serde_json::Value = serde_json::from_str(message)?;
    let ours = message["target"]["name"] == package;
    Ok(message["executable"].as_str().filter(|_| ours).map(str::to_owned))
}

/// Replaces this process: signals, the terminal and the exit code are the application's alone.
#[cfg(unix)]
pub(crate) fn become_it(mut command: Command) -> Result<Outcome> {
    Err(std::os::unix::process::CommandExt::exec(&mut command).into())
}

#[cfg(not(unix))]
pub(crate) fn become_it(mut command: Command) -> Result<Outcome> {
    std::process::exit(command.status()?.code().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{executable, guarded, has_flag, with_addresses};

    #[test]
    fn only_applications_keep_their_arguments_from_the_parser() {
        let guard = |words: &[&str]| guarded(words.iter().map(OsString::from).collect()).join(" ".as_ref());
        assert_eq!(guard(&["demo", "--help"]), "demo -- --help");
        assert_eq!(guard(&["demo", "--", "--help"]), "demo -- --help");
        assert_eq!(guard(&["demo"]), "demo --");
        assert_eq!(guard(&["crawl", "--depth", "1"]), "crawl -- --depth 1");
        assert_eq!(guard(&["help", "demo"]), "demo -- --help");
        assert_eq!(guard(&["help", "test"]), "help test");
        assert_eq!(guard(&["test", "demo"]), "test demo");
        assert_eq!(guard(&[]), "");
    }

    #[test]
    fn a_page_without_an_address_is_on_this_machine() {
        for (line, with) in [
            ("--page", "--page 127.0.0.1:0"),
            ("--page --kill", "--page 127.0.0.1:0 --kill"),
            ("--page 8080 --kill", "--page 8080 --kill"),
            ("--inspect --page", "--inspect 127.0.0.1:0 --page 127.0.0.1:0"),
            ("--inspect 80 --inspect-public", "--inspect 80 --inspect-public"),
            ("--report a.html", "--report a.html"),
        ] {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            assert_eq!(with_addresses(&words).join(" ".as_ref()), with, "{line}");
        }
    }

    #[test]
    fn a_flag_is_a_whole_word() {
        let asked =
            |line: &str| has_flag(&line.split(' ').map(OsString::from).collect::<Vec<_>>(), "--inspect");
        assert!(asked("--inspect") && asked("--users 5 --inspect 0") && asked("--inspect=0"));
        assert!(!asked("") && !asked("--page 0") && !asked("--inspector") && !asked("--inspect-public"));
    }

    #[test]
    fn the_application_is_found_among_the_messages() {
        let message = r#"{"target":{"name":"harvest"},"executable":"/t/harvest"}"#;
        assert_eq!(executable(message, "harvest").unwrap().as_deref(), Some("/t/harvest"));
        assert_eq!(executable(message, "crawl").unwrap(), None);
        let library = r#"{"target":{"name":"harvest"},"executable":null}"#;
        assert_eq!(executable(library, "harvest").unwrap(), None);
    }
}
