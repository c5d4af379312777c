//! From the words to the flags, or to the line that says what is wrong.

use std::{ffi::OsString, fmt};

use crate::{
    help::{Command, Help},
    suggest::closest,
};

/// A program, as it is known to its users.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Program<'a> {
    name: &'a str,
    version: &'a str,
}

impl<'a> Program<'a> {
    /// A program with the name by which it is called, and its version.
    #[must_use]
    pub const fn new(name: &'a str, version: &'a str) -> Self {
        Self { name, version }
    }
}

/// The reason for which a program does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The user asked for this text: it goes to stdout, and the exit code is 0.
    Shown(String),
    /// There is no command on the line: the text is the help, and the exit code is 2.
    NoCommand(String),
    /// The line has a mistake: one line about it, and the help if no command is known; the exit code is 2.
    Wrong(String, Option<String>),
}

impl Refused {
    /// A line about a mistake.
    #[must_use]
    pub fn wrong(line: impl Into<String>) -> Self {
        Self::Wrong(line.into(), None)
    }

    /// Returns whether it is what the user asked for.
    #[must_use]
    pub const fn is_help(&self) -> bool {
        matches!(self, Self::Shown(_))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shown(text) | Self::NoCommand(text) | Self::Wrong(text, None) => f.write_str(text),
            Self::Wrong(line, Some(help)) => write!(f, "{line}\n\n{help}"),
        }
    }
}

impl std::error::Error for Refused {}

/// Parses the words of a command line, without the program's own, by the `from_vec` of a type that xflags made.
///
/// Beyond xflags there are `--flag=value`, `--version`, `help COMMAND`, help for one command alone, and suggestions.
///
/// # Errors
///
/// A line about the first mistake, or the text that the user asked for.
pub fn parse<T>(
    program: Program<'_>,
    words: Vec<OsString>,
    from_vec: impl Fn(Vec<OsString>) -> xflags::Result<T>,
) -> Result<T, Refused> {
    let words = checked_words(program, words, &from_vec)?;
    from_vec(words).map_err(|error| Refused::wrong(told(&error.to_string())))
}

/// Checks the names of commands and flags, and returns the words as xflags expects them: a flag and its value are two.
///
/// # Errors
///
/// As for [`parse`], values aside.
pub fn checked_words<T>(
    program: Program<'_>,
    words: Vec<OsString>,
    from_vec: impl Fn(Vec<OsString>) -> xflags::Result<T>,
) -> Result<Vec<OsString>, Refused> {
    let text = match from_vec(vec!["--help".into()]) {
        Err(help) => help.to_string(),
        Ok(_) => String::new(),
    };
    let help = Help::read(program.name, &text);
    Line { program, help: &help }.check(words)
}

struct Line<'a> {
    program: Program<'a>,
    help: &'a Help,
}

impl Line<'_> {
    /// Returns the words as xflags expects them: a flag and its value are two.
    fn check(&self, words: Vec<OsString>) -> Result<Vec<OsString>, Refused> {
        let mut command = &self.help.commands[0];
        let mut arguments = 0;
        let mut checked = Vec::new();
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy().into_owned();
            if text == "--" {
                checked.push(word);
                checked.extend(words);
                return Ok(checked);
            }
            if text.len() > 1 && text.starts_with('-') {
                let value = self.flag(command, &text, &mut checked)?;
                if value {
                    let next = words.next_if(|next| !is_flag(command, &next.to_string_lossy()));
                    checked.push(next.ok_or_else(|| Refused::wrong(format!("{text} has no value")))?);
                }
                continue;
            }
            let below = self.help.below(command).find(|below| below.words.last() == Some(&text));
            if let Some(below) = below {
                command = below;
            } else if text == "help" && command.words.is_empty() && self.has_commands(command) {
                return Err(self.asked(words.collect()));
            } else if command.arguments.is_empty() && self.has_commands(command) {
                return Err(self.no_such_command(command, &text));
            } else {
                arguments += 1;
                let is_repeated = command.arguments.iter().any(|argument| argument.is_repeated());
                if arguments > command.arguments.len() && !is_repeated {
                    let usage = self.help.usage_in_message(command);
                    return Err(Refused::wrong(format!("`{text}` is one word too many: {usage}")));
                }
            }
            checked.push(word);
        }
        if command.arguments.is_empty() && command.flags.is_empty() && self.has_commands(command) {
            return Err(Refused::NoCommand(self.page(command)));
        }
        Ok(checked)
    }

    /// Adds a flag, and its value if that is part of the word; returns whether the next word is its value.
    fn flag(&self, command: &Command, word: &str, checked: &mut Vec<OsString>) -> Result<bool, Refused> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        match name {
            "--help" | "-h" => return Err(Refused::Shown(self.page(command))),
            "--version" | "-V" => {
                let Program { name, version } = self.program;
                return Err(Refused::Shown(format!("{name} {version}")));
            }
            _ => {}
        }
        let flag = command.flags.iter().find(|flag| flag.is(name));
        let flag = flag.ok_or_else(|| self.no_such_flag(command, name))?;
        checked.push(flag.name.clone().into());
        match value {
            Some(_) if !flag.has_value() => Err(Refused::wrong(format!("{} takes no value", flag.name))),
            // A variable of the shell that is not set.
            Some("") => Err(Refused::wrong(format!("{} has no value", flag.name))),
            Some(value) => {
                checked.push(value.into());
                Ok(false)
            }
            None => Ok(flag.has_value()),
        }
    }

    fn has_commands(&self, command: &Command) -> bool {
        self.help.below(command).next().is_some()
    }

    /// Answers `help`, or `help COMMAND`.
    fn asked(&self, words: Vec<OsString>) -> Refused {
        let mut command = &self.help.commands[0];
        for word in words {
            let word = word.to_string_lossy();
            match self.help.below(command).find(|below| below.words.last().is_some_and(|last| *last == word))
            {
                Some(below) => command = below,
                None if word == "help" => {}
                None => return self.no_such_command(command, &word),
            }
        }
        Refused::Shown(self.page(command))
    }

    fn page(&self, command: &Command) -> String {
        let page = self.help.page(command);
        if command.words.is_empty() && self.has_commands(command) {
            format!("{page}\n`{} help COMMAND` lists what a command takes", self.program.name)
        } else {
            page
        }
    }

    fn no_such_command(&self, command: &Command, word: &str) -> Refused {
        let names: Vec<&str> =
            self.help.below(command).filter_map(|below| below.words.last()).map(String::as_str).collect();
        let meant = closest(word, names.iter().copied());
        let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).or_else(|| {
            let about = self.help.below(command).filter(|below| below.is_about(word)).collect::<Vec<_>>();
            let [one] = about[..] else { return None };
            Some(format!("; did you mean `{}`?", one.words.last()?))
        });
        let line = format!("there is no command `{word}`{}", meant.unwrap_or_default());
        Refused::Wrong(line, Some(self.page(command)))
    }

    fn no_such_flag(&self, command: &Command, name: &str) -> Refused {
        let names = command.flags.iter().map(|flag| flag.name.as_str());
        let elsewhere =
            self.help.commands.iter().filter(|other| other.flags.iter().any(|flag| flag.is(name)));
        let elsewhere: Vec<_> = elsewhere.map(|other| format!("`{}`", self.help.typed(other))).collect();
        let hint = match closest(name, names) {
            Some(meant) => format!("; did you mean {meant}?"),
            None if !elsewhere.is_empty() => format!("; it is a flag of {}", elsewhere.join(" and ")),
            None => format!(": {}", self.help.usage_in_message(command)),
        };
        Refused::wrong(format!("there is no flag {name}{hint}"))
    }
}

/// Whether a word is one of the command's flags, and so no value of the one before.
fn is_flag(command: &Command, word: &str) -> bool {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    command.flags.iter().any(|flag| flag.is(name))
}

/// A message of xflags in our form.
fn told(message: &str) -> String {
    let quoted = |begin: &str| {
        let (name, rest) = message.strip_prefix(begin)?.split_once('`')?;
        Some((name.to_owned(), rest.strip_prefix(", ").unwrap_or(rest).to_owned()))
    };
    if let Some((name, reason)) = quoted("can't parse `") {
        let colon = if reason.starts_with("takes ") { "" } else { ":" };
        return format!("{name}{colon} {reason}");
    }
    if let Some((name, _)) = quoted("flag is required: `") {
        return format!("{name} is missing");
    }
    if let Some((name, _)) = quoted("flag specified more than once: `") {
        return format!("{name} is given twice");
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{Program, Refused, parse};
    use crate::{Number, Time, WebUrl};

    type Seeds = Number<1, 1000>;

    xflags::xflags! {
        /// Tools.
        cmd tool {
            /// Runs tests. All.
            cmd test {
                /// Only this one.
                optional package: String
                /// Fast.
                optional --quick
                /// Randomness.
                optional --seeds n: Seeds
                /// Time.
                optional --within time: Time
            }
            /// Formats (rustfmt) and lints.
            cmd lint {
                /// Repairs.
                optional --fix
            }
            /// Servers.
            cmd servers {
                /// Starts.
                cmd up {
                    /// Their names.
                    repeated names: String
                }
                /// Stops.
                cmd down {}
            }
            /// Reads.
            cmd get {
                /// From here.
                required url: WebUrl
            }
        }
    }

    fn line(line: &str) -> Result<Tool, Refused> {
        let words = line.split_whitespace().map(OsString::from).collect();
        parse(Program::new("tool", "1.2.3"), words, Tool::from_vec)
    }

    fn wrong(text: &str) -> String {
        match line(text) {
            Err(Refused::Wrong(line, None)) => line,
            other => panic!("{text}: {other:?}"),
        }
    }

    const OVERVIEW: &str = "\
tool COMMAND
  test     Runs tests
  lint     Formats (rustfmt) and lints
  servers  Servers
  get      Reads
`tool help COMMAND` lists what a command takes";

    #[test]
    fn a_line_without_a_command_is_answered_with_the_commands() {
        assert_eq!(line("").unwrap_err(), Refused::NoCommand(OVERVIEW.to_owned()));
        for asked in ["--help", "-h", "help", "help help"] {
            assert_eq!(line(asked).unwrap_err(), Refused::Shown(OVERVIEW.to_owned()), "{asked}");
        }
        let servers = "tool servers COMMAND\n  up    Starts\n  down  Stops";
        assert_eq!(line("servers").unwrap_err(), Refused::NoCommand(servers.to_owned()));
    }

    #[test]
    fn each_command_has_a_page() {
        let page = "tool lint [--fix]\nFormats (rustfmt) and lints.\n\n  --fix  Repairs.";
        for asked in ["help lint", "lint --help", "lint -h", "lint --fix --help"] {
            assert_eq!(line(asked).unwrap_err(), Refused::Shown(page.to_owned()), "{asked}");
        }
        let Err(Refused::Shown(up)) = line("help servers up") else { panic!() };
        assert!(up.starts_with("tool servers up [NAMES...]\nStarts."), "{up}");
        assert!(
            matches!(line("help lnit"), Err(Refused::Wrong(line, Some(_))) if line.ends_with("mean `lint`?"))
        );
    }

    #[test]
    fn the_version_is_told() {
        for asked in ["--version", "-V", "test --version"] {
            assert_eq!(line(asked).unwrap_err(), Refused::Shown("tool 1.2.3".to_owned()), "{asked}");
        }
    }

    #[test]
    fn a_misspelt_command_is_answered_with_the_right_one() {
        for (words, said) in [
            ("tset", "there is no command `tset`; did you mean `test`?"),
            ("tests --quick", "there is no command `tests`; did you mean `test`?"),
            ("fmt", "there is no command `fmt`; did you mean `lint`?"),
            ("xyz", "there is no command `xyz`"),
        ] {
            let Err(Refused::Wrong(line, Some(help))) = line(words) else { panic!("{words}") };
            assert_eq!((line.as_str(), help.as_str()), (said, OVERVIEW));
        }
        let Err(Refused::Wrong(line, Some(help))) = line("servers start") else { panic!() };
        assert_eq!(line, "there is no command `start`; did you mean `up`?");
        assert!(help.starts_with("tool servers COMMAND\n"), "{help}");
    }

    #[test]
    fn a_wrong_flag_is_answered_with_the_right_one() {
        for (words, said) in [
            ("test --quik", "there is no flag --quik; did you mean --quick?"),
            ("test -quick", "there is no flag -quick; did you mean --quick?"),
            ("test --seed 5", "there is no flag --seed; did you mean --seeds?"),
            ("lint --quick", "there is no flag --quick; it is a flag of `tool test`"),
            ("lint --loud", "there is no flag --loud: tool lint [--fix]"),
            ("--fix", "there is no flag --fix; it is a flag of `tool lint`"),
            ("test --quick=yes", "--quick takes no value"),
            ("test --seeds", "--seeds has no value"),
            ("test --seeds --quick", "--seeds has no value"),
            ("test --seeds= --quick", "--seeds has no value"),
            ("test --quick --quick", "--quick is given twice"),
            ("test --seeds 0", "--seeds takes a number from 1 to 1000, not `0`"),
            ("test --seeds=many", "--seeds takes a number from 1 to 1000, not `many`"),
            ("test --seeds -1", "--seeds takes a number from 1 to 1000, not `-1`"),
            ("test --within 1h", "--within takes a time like 10, 10s, 500ms or 2m, not `1h`"),
            (
                "test one two",
                "`two` is one word too many: tool test [PACKAGE] [--quick] [--seeds N] [--within TIME]",
            ),
            ("lint all", "`all` is one word too many: tool lint [--fix]"),
            ("get", "url is missing"),
            (
                "get localhost:80",
                "url takes http://… or https://…, not `localhost:80`; did you mean http://localhost:80?",
            ),
        ] {
            assert_eq!(wrong(words), said, "{words}");
        }
    }

    #[test]
    fn a_right_line_is_read() {
        let Ok(Tool { subcommand: ToolCmd::Test(flags) }) = line("test --seeds=7 retry --within 2m --quick")
        else {
            panic!()
        };
        assert_eq!((flags.package.as_deref(), flags.quick), (Some("retry"), true));
        assert_eq!(flags.seeds.map(Number::get), Some(7));
        assert_eq!(flags.within.map(|Time(time)| time.as_secs()), Some(120));
        let Ok(Tool { subcommand: ToolCmd::Servers(Servers { subcommand: ServersCmd::Up(up) }) }) =
            line("servers up a b -- --c")
        else {
            panic!()
        };
        assert_eq!(up.names, ["a", "b", "--c"]);
    }
}
