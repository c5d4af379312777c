//! The reference suite, run against ours and the peers.
//!
//! ```text
//! conformance [PATTERN] [--peer NAME] [--save]   prints the scoreboard, or one peer's report; --save writes it to tests/
//! conformance check                              fails if ours breaks a rule, or if the scoreboard differs
//! conformance faults [PATTERN]                   fails if a planted fault is not found, or a rule finds none
//! conformance real [--peer NAME] [--rule ID] [--quick] [--save]
//!                                                the rules of pipelines on real servers, in real time
//! conformance child SUBJECT RULE                 runs one rule, for a parent that cannot trust the subject
//! conformance test KIT RULE                     runs the test of a rule for test kits that needs a process of its own
//! conformance adapter PATTERN SUBJECT            answers a suite in another process, over the protocol
//! conformance languages [--peer NAME] [--save]   the rules on peers of other languages
//! conformance parity [PATTERN [RULE]]            fails if ours is not the same in process and through the protocol
//! conformance parity faults [PATTERN [RULE]]     the same for the planted faults
//! ```

#[path = "../adapters/mod.rs"]
mod adapters;
mod board;
#[path = "../faulty/mod.rs"]
mod faulty;
mod languages;
mod parallel;
mod pattern;
mod protocol;
#[cfg(unix)]
mod real;

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
    thread,
};

use evenkeel_tck::{child, inspect, limit, pipeline, pool, retry, shutdown, stream, task, testkit};

use self::{
    board::Board,
    parallel::in_parallel,
    pattern::{Entry, Pattern},
};

const RETRY: Entry<retry::Settings> = Entry {
    suite: &retry::SUITE,
    peers: &adapters::retry::PEERS,
    sound: faulty::retry::SOUND,
    planted: faulty::retry::PLANTED,
};

const LIMIT: Entry<limit::Settings> = Entry {
    suite: &limit::SUITE,
    peers: &adapters::limit::PEERS,
    sound: faulty::limit::SOUND,
    planted: faulty::limit::PLANTED,
};

const TASK: Entry<task::Settings> = Entry {
    suite: &task::SUITE,
    peers: &adapters::task::PEERS,
    sound: faulty::task::SOUND,
    planted: faulty::task::PLANTED,
};

const SHUTDOWN: Entry<shutdown::Settings> = Entry {
    suite: &shutdown::SUITE,
    peers: &adapters::shutdown::PEERS,
    sound: faulty::shutdown::SOUND,
    planted: faulty::shutdown::PLANTED,
};

const STREAM: Entry<stream::Settings> = Entry {
    suite: &stream::SUITE,
    peers: &adapters::stream::PEERS,
    sound: faulty::stream::SOUND,
    planted: faulty::stream::PLANTED,
};

const POOL: Entry<pool::Settings> = Entry {
    suite: &pool::SUITE,
    peers: &adapters::pool::PEERS,
    sound: faulty::pool::SOUND,
    planted: faulty::pool::PLANTED,
};

const TESTKIT: Entry<testkit::Settings> = Entry {
    suite: &testkit::SUITE,
    peers: &adapters::testkit::PEERS,
    sound: faulty::testkit::SOUND,
    planted: faulty::testkit::PLANTED,
};

/// Each pattern with its rules, its peers, and the faults that its rules must find.
const PATTERNS: &[&dyn Pattern] = &[
    &RETRY,
    &TASK,
    &SHUTDOWN,
    &LIMIT,
    &STREAM,
    &POOL,
    &Entry {
        suite: &pipeline::SUITE,
        peers: &adapters::pipeline::PEERS,
        sound: faulty::pipeline::SOUND,
        planted: faulty::pipeline::PLANTED,
    },
    &Entry {
        suite: &inspect::SUITE,
        peers: &adapters::inspect::PEERS,
        sound: faulty::inspect::SOUND,
        planted: faulty::inspect::PLANTED,
    },
    &TESTKIT,
];

fn main() -> ExitCode {
    silence_panics_of_subjects();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *arguments {
        ["check"] => check(),
        ["faults"] => faults(None),
        ["faults", name] => faults(Some(&name.to_uppercase())),
        #[cfg(unix)]
        ["real", ref rest @ ..] => real::run(rest),
        ["child", subject, rule] => run_child(subject, rule),
        ["test", subject, rule] => run_test(subject, rule),
        ["adapter", pattern, subject] => protocol::answer(pattern, subject),
        ["languages", ref rest @ ..] => languages::run(rest),
        ["parity", ref rest @ ..] => protocol::parity(rest),
        _ => show(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(&format!("{message}\n"));
            ExitCode::FAILURE
        }
    }
}

/// A panic of a subject is a verdict, and printed as one.
fn silence_panics_of_subjects() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if thread::current().name() == Some("main") {
            hook(panic);
        }
    }));
}

fn show(arguments: &[&str]) -> Result<(), String> {
    let (mut name, mut peer, mut save) = (None, None, false);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match *word {
            "--peer" => peer = Some(*words.next().ok_or("--peer of which name?")?),
            "--save" => save = true,
            word if word.starts_with('-') || name.is_some() => return Err(format!("what is `{word}`?")),
            word => name = Some(word.to_uppercase()),
        }
    }
    if save && (name.is_some() || peer.is_some()) {
        return Err("--save is for the whole scoreboard".to_owned());
    }
    let board = Board::of(PATTERNS, name.as_deref(), peer);
    if board.is_empty() {
        return Err("there is no such pattern or peer".to_owned());
    }
    match peer {
        Some(_) => say(&board.reports()),
        None => say(&board.markdown()?),
    }
    if save { board.save() } else { Ok(()) }
}

fn check() -> Result<(), String> {
    Board::of(PATTERNS, None, None).check()
}

fn faults(name: Option<&str>) -> Result<(), String> {
    let wanted = |pattern: &&&dyn Pattern| name.is_none_or(|name| pattern.name() == name);
    let patterns: Vec<_> = PATTERNS.iter().filter(wanted).collect();
    if patterns.is_empty() {
        return Err("there is no such pattern".to_owned());
    }
    let missed = in_parallel(&patterns, |pattern| pattern.missed()).concat();
    if missed.is_empty() { Ok(()) } else { Err(missed.join("\n")) }
}

fn run_child(subject: &str, rule: &str) -> Result<(), String> {
    let verdict = PATTERNS.iter().find_map(|pattern| pattern.check(subject, rule));
    let verdict = verdict.ok_or_else(|| format!("there is no {subject} or no {rule}"))?;
    child::report(&verdict).map_err(|error: io::Error| error.to_string())
}

/// Runs a test that the kit may fail by a panic, or by the end of this process.
fn run_test(kit: &str, rule: &str) -> Result<(), String> {
    let adapter = TESTKIT.adapter(kit).ok_or_else(|| format!("there is no {kit}"))?;
    testkit::run_alone(adapter, rule).map_err(|verdict| verdict.to_string())
}

/// Ignores a closed pipe: the reader has left. The macros of std panic then.
fn say(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}
