//! The protocol: any subject as an adapter in a process of its own, and the same rule in process and through it.

use std::{
    env,
    io::{self, Write as _},
    process::{Command, ExitStatus},
};

use evenkeel_tck::{
    Adapter, Pattern, Rule, Tier, Verdict,
    protocol::{Process, serve_kit},
};

use crate::{LIMIT, POOL, RETRY, SHUTDOWN, STREAM, TASK, TESTKIT, parallel::in_parallel, pattern::Entry};

/// The seed of all that is random: of the worlds here, and of those in the other process.
const SEED: (&str, &str) = ("EVENKEEL_SEED", "0");

/// With this variable an adapter prints a line to its standard error first, as libraries do.
const PRINTS: &str = "EVENKEEL_ADAPTER_PRINTS";

/// Rules whose verdict alone is compared. POOL-100 polls gets once, which come further in the turn of another process. In POOL-16 a get and
/// its check time out at one time, and either is first. RETRY-44 cuts a call at each await in process, and behind each event through the
/// protocol. In RETRY-50 calls beside each other share a budget: in process an attempt that takes no time ends before the next
/// call begins, and through the protocol in the turn after that. For the same reason an item that takes no time has begun, and not
/// ended, when the call of the next one panics in STREAM-32. TASK-28, SHUTDOWN-35 and STREAM-37, 38, 53, 62 and 79 are as RETRY-44.
/// TESTKIT-28 and 29 note what ends with a runtime, and with its clock.
const VERDICT_ALONE: [&str; 14] = [
    "POOL-16",
    "POOL-100",
    "RETRY-44",
    "RETRY-50",
    "TASK-28",
    "SHUTDOWN-35",
    "STREAM-32",
    "STREAM-37",
    "STREAM-38",
    "STREAM-53",
    "STREAM-62",
    "STREAM-79",
    "TESTKIT-28",
    "TESTKIT-29",
];

/// Faults of a get that has been served and is dropped before it is polled again: in another process it is polled at once, unless it
/// is dropped with the return that serves it, as in POOL-25. So it is with waits of streams and queues that are woken and dropped; tasks
/// that are aborted end in the same turn; and of STREAM-55 the size hints are not seen.
const OUT_OF_SIGHT: [&str; 7] = [
    "KeepsTheSlotOfADroppedGet",
    "LosesARoomInFive",
    "AbortsWithoutWaiting",
    "LosesABatchToAnotherTask",
    "CountsItemsAsBatches",
    "HandsOverToWaits",
    "KeepsAWakeToItself",
];

/// Answers a suite as this subject.
pub(crate) fn answer(pattern: &str, subject: &str) -> Result<(), String> {
    if env::var_os(PRINTS).is_some() {
        let _ = writeln!(io::stderr(), "{subject} answers");
    }
    let server = evenkeel_tck::protocol::Server::new(subject, env!("CARGO_PKG_VERSION"));
    let served = match pattern {
        "retry" => RETRY.adapter(subject).map(|adapter| server.retry(adapter).run()),
        "limit" => LIMIT.adapter(subject).map(|adapter| server.limit(adapter).run()),
        "shutdown" => SHUTDOWN.adapter(subject).map(|adapter| server.shutdown(adapter).run()),
        "task" => TASK.adapter(subject).map(|adapter| server.task(adapter).run()),
        "stream" => STREAM.adapter(subject).map(|adapter| server.stream(adapter).run()),
        "pool" => POOL.adapter(subject).map(|adapter| server.pool(adapter).run()),
        // Not on the main thread, whose panics are printed: that of a kit is a verdict.
        "testkit" => TESTKIT.adapter(subject).and_then(|adapter| {
            in_parallel(&[()], |()| serve_kit(subject, env!("CARGO_PKG_VERSION"), adapter)).pop()
        }),
        _ => None,
    };
    let served = served.ok_or_else(|| format!("there is no {pattern} or no {subject}"))?;
    served.map_err(|error| error.to_string())
}

/// Compares the verdicts and the virtual times of all rules, in process and through the protocol.
pub(crate) fn parity(words: &[&str]) -> Result<(), String> {
    if env::var(SEED.0).as_deref() != Ok(SEED.1) {
        return again(words);
    }
    let (are_faults, words) = match words {
        ["faults", words @ ..] => (true, words),
        words => (false, words),
    };
    let wanted = |pattern: &str| words.first().is_none_or(|word| *word == pattern);
    let rule = words.get(1).copied();
    let mut differences = Vec::new();
    if wanted("retry") {
        differences.extend(differences_of(&RETRY, "retry", are_faults, rule)?);
    }
    if wanted("limit") {
        differences.extend(differences_of(&LIMIT, "limit", are_faults, rule)?);
    }
    if wanted("task") {
        differences.extend(differences_of(&TASK, "task", are_faults, rule)?);
    }
    if wanted("shutdown") {
        differences.extend(differences_of(&SHUTDOWN, "shutdown", are_faults, rule)?);
    }
    if wanted("stream") {
        differences.extend(differences_of(&STREAM, "stream", are_faults, rule)?);
    }
    if wanted("pool") {
        differences.extend(differences_of(&POOL, "pool", are_faults, rule)?);
    }
    if wanted("testkit") {
        differences.extend(differences_of(&TESTKIT, "testkit", are_faults, rule)?);
    }
    if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
}

/// The line of an event without the numbers of objects.
fn without_objects(line: &str) -> String {
    let mut parts = line.split("object ");
    let head = parts.next().unwrap_or_default().to_owned();
    let is_digit = |one: char| one.is_ascii_digit();
    parts.fold(head, |line, part| format!("{line}object{}", part.trim_start_matches(is_digit)))
}

/// This program with the seed.
fn again(words: &[&str]) -> Result<(), String> {
    let mut command = this();
    let status = command.arg("parity").args(words).env(SEED.0, SEED.1).status();
    match status.as_ref().map(ExitStatus::success) {
        Ok(true) => Ok(()),
        Ok(false) => Err("it is not the same".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn this() -> Command {
    Command::new(env::current_exe().unwrap_or_else(|_| "conformance".into()))
}

fn process(pattern: &'static str, subject: &'static str) -> Result<Process, Verdict> {
    Process::start(move || {
        let mut command = this();
        command.args(["adapter", pattern, subject]).env(PRINTS, "1");
        command
    })
}

fn differences_of<S: Pattern>(
    entry: &Entry<S>,
    pattern: &'static str,
    are_faults: bool,
    only: Option<&str>,
) -> Result<Vec<String>, String>
where
    Process: Adapter<S>,
{
    let wanted = |id: &str| only.is_none_or(|only| id == only);
    if are_faults {
        let faults = entry.planted.iter().filter(|planted| wanted(planted.rule) && !planted.isolated);
        let faults: Vec<_> = faults.filter(|planted| !OUT_OF_SIGHT.contains(&planted.fault)).collect();
        let differences = in_parallel(&faults, |planted| {
            let process = match process(pattern, planted.fault) {
                Ok(process) => process,
                Err(verdict) => return Some(format!("{}: {verdict}", planted.fault)),
            };
            let verdict = process.check(entry.suite.rule(planted.rule)?);
            let is_asked = !verdict.to_string().starts_with("not expressible: in another process: ");
            (is_asked && !verdict.failed())
                .then(|| format!("{} does not find {}: {verdict}", planted.rule, planted.fault))
        });
        return Ok(differences.into_iter().flatten().collect());
    }
    let ours = entry.adapter("evenkeel").ok_or("there is no evenkeel")?;
    let process = process(pattern, "evenkeel").map_err(|verdict| verdict.to_string())?;
    let rules: Vec<&Rule<S>> =
        entry.suite.rules().filter(|rule| wanted(rule.id) && rule.tier == Tier::Paused).collect();
    let differences = in_parallel(&rules, |rule| {
        let (apart, mut times) = process.trace(rule);
        if apart.to_string().starts_with("not expressible: in another process: ") {
            return None;
        }
        let (here, mut wanted) = rule.trace(ours);
        // Lines that the other process has printed are no events.
        times.retain(|line| !line.starts_with("    stderr "));
        // Polls are not seen from another process.
        wanted.retain(|line| !line.ends_with(" is polled in vain"));
        // The order of events at one time is that of the tasks, of which the implementation has its own.
        // So it is for the numbers of objects that are created at one time.
        for line in times.iter_mut().chain(&mut wanted) {
            *line = without_objects(line);
        }
        times.sort();
        wanted.sort();
        if here != apart {
            return Some(format!("{}: in process {here}, and through the protocol {apart}", rule.id));
        }
        if VERDICT_ALONE.contains(&rule.id) {
            return None;
        }
        let at = wanted.iter().zip(&times).position(|(one, other)| one != other);
        let at = at.or((wanted.len() != times.len()).then_some(wanted.len().min(times.len())))?;
        let line = |lines: &[String]| lines.get(at).map_or("the end", |line| line.trim()).to_owned();
        Some(format!(
            "{}, event {at}: in process `{}`, and through the protocol `{}`",
            rule.id,
            line(&wanted),
            line(&times)
        ))
    });
    Ok(differences.into_iter().flatten().collect())
}
