//! Puts the rules to an implementation in any language, behind an adapter that speaks the protocol.

// file        | holds
// main.rs     | the command line, and the exit code
// words.rs    | the words of a command
// format.rs   | a report as text, JSON, JUnit and TAP

mod format;
mod words;

use std::{
    env,
    io::{self, Write as _},
    process::{Command, ExitCode},
    time::Duration,
};

use evenkeel_tck::{
    Adapter, Finding, Pattern, Report, Suite, Verdict, limit, pool,
    protocol::{Process, capabilities},
    retry, shutdown, stream, task, testkit,
};

use self::format::{Format, Subject};

const HELP: &str = "\
The reference suite: numbered rules for an implementation in any language.

    evenkeel-tck run PATTERN --adapter COMMAND    puts the rules of a pattern to an adapter
    evenkeel-tck rules PATTERN                    lists the rules
    evenkeel-tck capabilities PATTERN             lists the names that an adapter claims or withholds
    evenkeel-tck spec PATTERN                     prints the specification: of a pattern, or protocol
    evenkeel-tck driver LANGUAGE                  prints the driver of a language, a file to import: python, node or go;
                                                  python-kit or node-kit for test kits

PATTERN is retry, limit, task, shutdown, stream, pool or testkit. Options of `run`:
    --adapter COMMAND    the program and its arguments, as in \"python3 my_adapter.py\"
    --rule ID            only this rule; may be repeated
    --verbose            runs each rule once, and shows all that happened, with its virtual time
    --format FORMAT      text (the default), json, junit or tap
    --limit SECONDS      the limit of real time for one answer of the adapter: 10

The exit code is 0 if all rules that were tested hold, 1 if one does not, 2 for a wrong command line, and 3 if the adapter does
not start or does not keep the protocol, and 4 if no rule was tested.
";

/// The options of `run`.
#[derive(Debug)]
struct Run {
    adapter: Vec<String>,
    rules: Vec<String>,
    is_verbose: bool,
    format: Format,
    limit: Duration,
}

/// The end of the program, other than a report on which every rule holds.
#[derive(Debug)]
enum Failure {
    Broken,
    Untested,
    Usage(String),
    Adapter(String),
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (code, message) = match run(&words) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Broken) => return ExitCode::FAILURE,
        Err(Failure::Untested) => (4, "no rule was tested".to_owned()),
        Err(Failure::Usage(message)) => (2, format!("{message}\n`evenkeel-tck help` shows the options")),
        Err(Failure::Adapter(message)) => (3, message),
    };
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::from(code)
}

fn run(words: &[&str]) -> Result<(), Failure> {
    if words
        .iter()
        .skip(1)
        .take_while(|word| **word != "--adapter")
        .any(|word| ["--help", "-h"].contains(word))
    {
        return say(HELP);
    }
    match *words {
        ["run", pattern, ref rest @ ..] => {
            let options = options(rest)?;
            suite(pattern)?.test(options)
        }
        ["rules", pattern] => suite(pattern)?.list(),
        ["capabilities", pattern] => match capabilities(pattern) {
            known if known.is_empty() => Err(unknown(pattern)),
            known => known.iter().try_for_each(|(name, about)| say(&format!("{name:20} {about}\n"))),
        },
        ["spec", "protocol"] => say(include_str!("../../../spec/PROTOCOL.md")),
        ["spec", pattern] => suite(pattern)?.print_spec(),
        ["driver", "go"] => say(include_str!("../../../drivers/go/evenkeel_tck.go")),
        ["driver", "node"] => say(include_str!("../../../drivers/node/evenkeel_tck.mjs")),
        ["driver", "python"] => say(include_str!("../../../drivers/python/evenkeel_tck.py")),
        ["driver", "node-kit"] => say(include_str!("../../../drivers/node/evenkeel_tck_kit.mjs")),
        ["driver", "python-kit"] => say(include_str!("../../../drivers/python/evenkeel_tck_kit.py")),
        ["driver", other] => Err(unknown(other)),
        ["help" | "--help" | "-h"] => say(HELP),
        [] => Err(Failure::Usage("there is no command".to_owned())),
        [other, ..] => Err(unknown(other)),
    }
}

fn unknown(word: &str) -> Failure {
    Failure::Usage(format!("`{word}` is unknown"))
}

/// The suite of one pattern.
trait OfPattern: Sync {
    fn pattern(&self) -> String;
    fn test(&'static self, run: Run) -> Result<(), Failure>;
    fn list(&self) -> Result<(), Failure>;
    fn print_spec(&self) -> Result<(), Failure>;
}

/// The patterns whose rules can be put to another process.
static SUITES: [&dyn OfPattern; 7] = [
    &retry::SUITE,
    &limit::SUITE,
    &task::SUITE,
    &shutdown::SUITE,
    &stream::SUITE,
    &pool::SUITE,
    &testkit::SUITE,
];

impl<S: Pattern> OfPattern for Suite<S>
where
    Process: Adapter<S>,
{
    fn pattern(&self) -> String {
        self.pattern.to_lowercase()
    }

    fn test(&'static self, run: Run) -> Result<(), Failure> {
        test(self, run)
    }

    fn list(&self) -> Result<(), Failure> {
        self.rules()
            .try_for_each(|rule| say(&format!("{} {:6} {}\n", rule.id, rule.level.to_string(), rule.text)))
    }

    fn print_spec(&self) -> Result<(), Failure> {
        say(self.spec)
    }
}

fn suite(pattern: &str) -> Result<&'static dyn OfPattern, Failure> {
    SUITES.iter().copied().find(|suite| suite.pattern() == pattern).ok_or_else(|| unknown(pattern))
}

/// Ignores a closed pipe: the reader has left.
fn say(text: &str) -> Result<(), Failure> {
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn options(words: &[&str]) -> Result<Run, Failure> {
    let mut run = Run {
        adapter: Vec::new(),
        rules: Vec::new(),
        is_verbose: false,
        format: Format::Text,
        limit: Duration::from_secs(10),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if *word == "--verbose" {
            run.is_verbose = true;
            continue;
        }
        let value = words.next().ok_or_else(|| Failure::Usage(format!("`{word}` of what?")));
        match *word {
            "--adapter" => run.adapter = words::split(value?).map_err(Failure::Usage)?,
            "--rule" => run.rules.push(value?.to_uppercase()),
            "--format" => run.format = value?.parse::<Format>().map_err(Failure::Usage)?,
            "--limit" => {
                let seconds = value?.parse::<u64>().ok().filter(|seconds| *seconds > 0);
                let seconds =
                    seconds.ok_or_else(|| Failure::Usage("--limit is a number of seconds".to_owned()))?;
                run.limit = Duration::from_secs(seconds);
            }
            other => return Err(unknown(other)),
        }
    }
    if run.adapter.is_empty() {
        return Err(Failure::Usage("--adapter is missing".to_owned()));
    }
    Ok(run)
}

fn test<S: Pattern>(suite: &'static Suite<S>, run: Run) -> Result<(), Failure>
where
    Process: Adapter<S>,
{
    if let Some(id) = run.rules.iter().find(|id| suite.rule(id).is_none()) {
        return Err(unknown(id));
    }
    // A panic of a rule is a verdict, and printed as one.
    std::panic::set_hook(Box::new(|_| {}));
    let (program, arguments) = (run.adapter[0].clone(), run.adapter[1..].to_vec());
    let started = Process::start_within(run.limit, move || {
        let mut command = Command::new(&program);
        command.args(&arguments);
        command
    });
    let process = started.map_err(|verdict| Failure::Adapter(verdict.to_string()))?;
    let unclaimed = process.unclaimed(&suite.pattern.to_lowercase());
    if !unclaimed.is_empty() {
        let names = unclaimed.join(", ");
        let _ = writeln!(
            io::stderr(),
            "warning: the adapter neither claims nor withholds, so that rules about it are unsupported: {names}"
        );
    }
    let report = if run.rules.is_empty() && !run.is_verbose {
        process.run(suite)
    } else {
        some(suite, &process, &run)
    };
    let subject = Subject { pattern: suite.pattern, process: &process };
    let _ = std::panic::take_hook();
    say(&run.format.of(&subject, &report, run.is_verbose))?;
    // A few rules may be about senseless settings alone.
    if run.rules.is_empty() && process.refuses_all() {
        let _ = writeln!(
            io::stderr(),
            "warning: the implementation refuses all settings, so that the rules which hold say little"
        );
    }
    let verdicts = || report.findings.iter().map(|finding| &finding.verdict);
    if let Some(bad) = verdicts().find(|verdict| matches!(verdict, Verdict::BadAdapter(_))) {
        return Err(Failure::Adapter(bad.to_string()));
    }
    if !verdicts().any(|verdict| verdict.passed() || verdict.failed()) && report.is_clean() {
        return Err(Failure::Untested);
    }
    if report.is_clean() { Ok(()) } else { Err(Failure::Broken) }
}

/// The rules that are asked for, each by itself.
fn some<S: Pattern>(suite: &'static Suite<S>, process: &Process, run: &Run) -> Report
where
    Process: Adapter<S>,
{
    let wanted = |id: &str| run.rules.is_empty() || run.rules.iter().any(|wanted| wanted == id);
    let findings = suite.rules().filter(|rule| wanted(rule.id)).map(|rule| {
        if !run.is_verbose {
            return Finding::new(rule, process.check(rule));
        }
        let (verdict, timeline) = process.trace(rule);
        // On the errors, so that a report in another format stays whole.
        let _ = writeln!(io::stderr(), "{} {}\n{verdict}", rule.id, rule.text);
        let _ = writeln!(io::stderr(), "{}\n", timeline.join("\n"));
        Finding::new(rule, verdict)
    });
    Report::new(findings.collect())
}
