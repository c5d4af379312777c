//! The commands and flags of a program, as the help of xflags tells them, and the pages made of them.

/// The columns of a page.
const WIDTH: usize = 100;

/// The most columns for a name; longer ones have a line of their own.
const LEFT: usize = 22;

/// A command with its flags; the first one is the program itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Command {
    /// Its words behind the name of the program.
    pub(crate) words: Vec<String>,
    about: Vec<String>,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) flags: Vec<Flag>,
}

impl Command {
    /// Whether its line in the help has this word.
    pub(crate) fn is_about(&self, word: &str) -> bool {
        word.len() >= 3 && first_sentence(&self.about).to_lowercase().contains(&word.to_lowercase())
    }
}

/// An argument without a name of its own on the command line.
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    /// As xflags shows it: `[optional]`, `<required>`, `<repeated>...`.
    shown: String,
    about: Vec<String>,
}

impl Argument {
    pub(crate) fn is_repeated(&self) -> bool {
        self.shown.ends_with("...")
    }

    /// Its name in capital letters, and its arity.
    fn usage(&self) -> String {
        let name = self.shown.trim_matches(['[', ']', '<', '>', '.']).to_uppercase();
        match self.shown.as_bytes() {
            [b'[', ..] => format!("[{name}]"),
            _ if self.is_repeated() => format!("[{name}...]"),
            _ => name,
        }
    }
}

/// A flag.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    short: Option<String>,
    /// With its dashes.
    pub(crate) name: String,
    value: Option<String>,
    about: Vec<String>,
}

impl Flag {
    pub(crate) fn is(&self, word: &str) -> bool {
        self.name == word || self.short.as_deref() == Some(word)
    }

    pub(crate) fn has_value(&self) -> bool {
        self.value.is_some()
    }

    fn usage(&self) -> String {
        match &self.value {
            Some(value) => format!("{} {}", self.name, value.to_uppercase()),
            None => self.name.clone(),
        }
    }
}

/// All commands of a program.
#[derive(Clone, Debug)]
pub(crate) struct Help {
    /// As it is typed: `cargo xtask`.
    program: String,
    pub(crate) commands: Vec<Command>,
}

impl Help {
    /// Reads the help of xflags: a heading for each command, names at four columns, what they mean at six.
    pub(crate) fn read(program: &str, text: &str) -> Self {
        let mut commands: Vec<Command> = Vec::new();
        let mut about: fn(&mut Command) -> Option<&mut Vec<String>> = |command| Some(&mut command.about);
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            let line = line.trim();
            match (indent, commands.last_mut()) {
                (0, _) if !line.is_empty() && !line.ends_with(':') => {
                    let words = line.split(' ').skip(1).map(str::to_owned).collect();
                    commands.push(Command { words, ..Command::default() });
                    about = |command| Some(&mut command.about);
                }
                (4, Some(command)) if line.starts_with('-') => {
                    command.flags.push(flag(line));
                    about = |command| command.flags.last_mut().map(|flag| &mut flag.about);
                }
                (4, Some(command)) if line.starts_with(['[', '<']) => {
                    command.arguments.push(Argument { shown: line.to_owned(), about: Vec::new() });
                    about = |command| command.arguments.last_mut().map(|argument| &mut argument.about);
                }
                (2.., Some(command)) if !matches!(line, "ARGS:" | "OPTIONS:") => {
                    about(command).into_iter().for_each(|about| about.push(line.to_owned()));
                }
                _ => {}
            }
        }
        // Each program has it, and no page needs to say so.
        commands.iter_mut().for_each(|command| command.flags.retain(|flag| flag.name != "--help"));
        Self { program: program.to_owned(), commands }
    }

    /// The commands right below one.
    pub(crate) fn below(&self, command: &Command) -> impl Iterator<Item = &Command> {
        let depth = command.words.len();
        let words = command.words.clone();
        self.commands
            .iter()
            .filter(move |other| other.words.len() == depth + 1 && other.words.starts_with(&words))
    }

    /// The command as it is typed.
    pub(crate) fn typed(&self, command: &Command) -> String {
        [&self.program].into_iter().chain(&command.words).map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// A line with all that a command takes.
    pub(crate) fn usage(&self, command: &Command) -> String {
        let arguments = command.arguments.iter().map(Argument::usage);
        // More of them are a list below.
        let is_short = command.flags.len() <= 4;
        let flags = command.flags.iter().map(|flag| format!("[{}]", flag.usage()));
        let flags: Vec<_> = if is_short { flags.collect() } else { vec!["[FLAGS]".to_owned()] };
        let below = self.below(command).next().map(|_| "COMMAND".to_owned());
        let words = [self.typed(command)].into_iter().chain(below).chain(arguments).chain(flags);
        words.collect::<Vec<_>>().join(" ")
    }

    /// The usage in a message; where it leaves the flags out, it says how to see them.
    pub(crate) fn usage_in_message(&self, command: &Command) -> String {
        let usage = self.usage(command);
        if usage.ends_with("[FLAGS]") {
            format!("{usage}; `{} --help` lists them", self.typed(command))
        } else {
            usage
        }
    }

    /// All there is to say about a command. A program with commands has a line for each.
    pub(crate) fn page(&self, command: &Command) -> String {
        let below: Vec<_> = self.below(command).collect();
        let last_word = |command: &Command| command.words.last().cloned().unwrap_or_default();
        let commands = below.iter().map(|command| (last_word(command), first_sentence(&command.about)));
        let arguments = command.arguments.iter().map(|one| (one.usage(), one.about.join(" ")));
        let flags = command.flags.iter().map(|one| (one.usage(), one.about.join(" ")));
        let rows: Vec<_> = commands.chain(arguments).chain(flags).collect();

        let mut page = vec![self.usage(command)];
        if below.is_empty() {
            page.extend(wrapped(&command.about.join(" "), WIDTH));
            page.push(String::new());
        }
        let widest = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let left = widest.min(LEFT);
        for (name, about) in rows {
            let mut lines = wrapped(&about, WIDTH - left - 4).into_iter();
            if name.len() <= left {
                page.push(format!("  {name:left$}  {}", lines.next().unwrap_or_default()));
            } else {
                page.push(format!("  {name}"));
            }
            page.extend(lines.map(|line| format!("{:1$}{line}", "", left + 4)));
        }
        let lines = page.iter().map(|line| line.trim_end());
        lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }
}

/// `-s, --name <value>`
fn flag(line: &str) -> Flag {
    let (names, value) = line.split_once(" <").map_or((line, None), |(names, value)| (names, Some(value)));
    let (short, name) = names.split_once(", ").map_or((None, names), |(short, name)| (Some(short), name));
    let value = value.map(|value| value.trim_end_matches('>').to_owned());
    Flag { short: short.map(str::to_owned), name: name.to_owned(), value, about: Vec::new() }
}

/// The first sentence, without its full stop.
fn first_sentence(lines: &[String]) -> String {
    let text = lines.join(" ");
    let end = text.find(". ").unwrap_or(text.len());
    text[..end].trim_end_matches('.').to_owned()
}

/// The lines of a text.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "xtask
  The commands. Many.

OPTIONS:
    -h, --help
      Prints help information.

SUBCOMMANDS:

xtask test
  Runs tests.
  All of them.

  ARGS:
    [package]
      Only this one.

  OPTIONS:
    --quick
      Fast.
      Very.

    --seed <number>
      Its randomness.


xtask servers
  The servers.


xtask servers up
  Starts them.

  ARGS:
    <names>...
";

    #[test]
    fn the_help_of_xflags_is_read() {
        let help = Help::read("cargo xtask", TEXT);
        let typed: Vec<_> = help.commands.iter().map(|command| help.typed(command)).collect();
        assert_eq!(
            typed,
            ["cargo xtask", "cargo xtask test", "cargo xtask servers", "cargo xtask servers up"]
        );
        let test = &help.commands[1];
        assert_eq!(help.usage(test), "cargo xtask test [PACKAGE] [--quick] [--seed NUMBER]");
        assert_eq!(
            test.flags.iter().map(|flag| (flag.is("--seed"), flag.has_value())).collect::<Vec<_>>(),
            [(false, false), (true, true)]
        );
        assert!(help.commands[3].arguments[0].is_repeated() && !test.arguments[0].is_repeated());
    }

    #[test]
    fn a_page_has_a_line_for_each_command_or_all_of_one() {
        let help = Help::read("cargo xtask", TEXT);
        let overview = "\
cargo xtask COMMAND
  test     Runs tests
  servers  The servers";
        assert_eq!(help.page(&help.commands[0]), overview);
        let test = "\
cargo xtask test [PACKAGE] [--quick] [--seed NUMBER]
Runs tests. All of them.

  [PACKAGE]      Only this one.
  --quick        Fast. Very.
  --seed NUMBER  Its randomness.";
        assert_eq!(help.page(&help.commands[1]), test);
        assert_eq!(help.page(&help.commands[2]), "cargo xtask servers COMMAND\n  up  Starts them");
        assert_eq!(
            help.page(&help.commands[3]),
            "cargo xtask servers up [NAMES...]\nStarts them.\n\n  [NAMES...]"
        );
    }

    #[test]
    fn long_lines_are_wrapped() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("incomprehensible a b", 3), ["incomprehensible", "a b"]);
        assert_eq!(wrapped(" ", 7), [""; 0]);
    }
}
