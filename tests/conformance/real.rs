//! The rules that are run in real time, on real servers, which the environment names.

use std::{env, process::Command, time::Duration};

use evenkeel_tck::{
    Rule, child,
    pipeline::{self, Settings},
};
use tokio::{runtime::Builder, time::Instant};

use crate::{
    adapters::pipeline::{IN_REAL_TIME, OF_QUEUES, QueuePeer, RealPeer},
    board::Board,
    parallel::in_parallel,
    pattern::Column,
    say,
};

/// Rules that wait for servers and clocks more than they compute.
const AT_A_TIME: usize = 20;

/// The rules of a quick look, with `--quick`: they take a few seconds each.
const QUICK: [&str; 25] = [
    "PIPELINE-01",
    "PIPELINE-02",
    "PIPELINE-04",
    "PIPELINE-05",
    "PIPELINE-07",
    "PIPELINE-08",
    "PIPELINE-11",
    "PIPELINE-13",
    "PIPELINE-16",
    "PIPELINE-20",
    "PIPELINE-21",
    "PIPELINE-31",
    "PIPELINE-39",
    "PIPELINE-40",
    "PIPELINE-43",
    "PIPELINE-47",
    "PIPELINE-48",
    "PIPELINE-57",
    "PIPELINE-62",
    "PIPELINE-64",
    "PIPELINE-79",
    "PIPELINE-86",
    "PIPELINE-88",
    "PIPELINE-89",
    "PIPELINE-92",
];

/// The program of the peers with many dependencies, and the longest time of one of them.
const QUEUES: &str = "EVENKEEL_CONFORMANCE_QUEUES";
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// `real [--peer NAME] [--rule ID] [--quick] [--save]`
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let (mut peer, mut rule, mut is_quick, mut save) = (None, None, false, false);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match *word {
            "--peer" => peer = Some(*words.next().ok_or("--peer of which name?")?),
            "--rule" => rule = Some(*words.next().ok_or("--rule of which id?")?),
            "--quick" => is_quick = true,
            "--save" => save = true,
            word => return Err(format!("what is `{word}`?")),
        }
    }
    if save && (peer.is_some() || rule.is_some() || is_quick) {
        return Err("--save is for the whole scoreboard".to_owned());
    }
    let is_wanted = |id: &str| rule.is_none_or(|rule| rule == id) && (!is_quick || QUICK.contains(&id));
    let peers: Vec<&RealPeer> =
        IN_REAL_TIME.iter().filter(|candidate| peer.is_none_or(|name| candidate.name == name)).collect();
    let program = env::var(QUEUES).ok().filter(|program| !program.is_empty());
    let queues: Vec<&QueuePeer> = match program {
        Some(_) => {
            OF_QUEUES.iter().filter(|candidate| peer.is_none_or(|name| candidate.name == name)).collect()
        }
        None => Vec::new(),
    };
    if peers.is_empty() && queues.is_empty() {
        return Err("there is no such peer".to_owned());
    }
    // Side by side they would wait for the processor; a quick look is one at the servers.
    let columns = if is_quick {
        in_parallel(&peers, |peer| column(peer, &is_wanted))
    } else {
        peers.iter().map(|peer| column(peer, &is_wanted)).collect()
    };
    let mut columns: Vec<Column> = columns.into_iter().flatten().collect();
    for queue in queues {
        columns.extend(queue_column(queue, program.as_deref().unwrap_or_default(), rule)?);
    }
    if save && columns.len() < IN_REAL_TIME.len() + OF_QUEUES.len() {
        return Err(
            "--save needs all servers and peers: `cargo xtask conformance --queues --save`".to_owned()
        );
    }
    let board = Board::in_real_time(columns);
    if !board.is_empty() {
        say(&if save { board.markdown()? } else { board.reports() });
    }
    if save {
        board.save()?;
    }
    board.check_ours()
}

/// The report of a peer; `None`, and a line that says so, without its server.
fn column(peer: &RealPeer, is_wanted: &(dyn Fn(&str) -> bool + Sync)) -> Option<Column> {
    let Some(url) = env::var(peer.server).ok().filter(|url| !url.is_empty()) else {
        say(&format!(
            "SKIPPED: {} without a server at {} (cargo xtask servers up)\n",
            peer.name, peer.server
        ));
        return None;
    };
    let (adapter, version) = match (peer.open)(&url) {
        Ok(opened) => opened,
        Err(why) => {
            say(&format!("SKIPPED: {} on the server at {}: {why}\n", peer.name, peer.server));
            return None;
        }
    };
    let begin = Instant::now();
    // A rule that is known to fail is not tried until it holds.
    let tries = |rule: &Rule<Settings>| match peer.fails.iter().any(|(fails, _)| *fails == rule.id) {
        _ if !is_wanted(rule.id) => 0,
        true => 1,
        false => 3,
    };
    let report = pipeline::run_in_real_time(&*adapter, AT_A_TIME, tries);
    let RealPeer { name, package, docs, fails, .. } = *peer;
    let column = Column { name, package, version: None, language: None, docs, fails, report };
    Some(on_server(column, &version, begin))
}

/// The report of a peer with many dependencies, by its own program; `None`, and a line that says so, without its server.
fn queue_column(peer: &QueuePeer, program: &str, rule: Option<&str>) -> Result<Option<Column>, String> {
    let QueuePeer { name, package, docs, server, version, fails } = *peer;
    let Some(url) = env::var(server).ok().filter(|url| !url.is_empty()) else {
        say(&format!("SKIPPED: {name} without a server at {server} (cargo xtask servers up)\n"));
        return Ok(None);
    };
    let known: Vec<&str> = fails.iter().map(|(rule, _)| *rule).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(",") };
    let begin = Instant::now();
    let mut command = Command::new(program);
    command.args([name, &url, rule.unwrap_or("all"), &known]);
    let report =
        child::run_all(&pipeline::SUITE, command, LIMIT).map_err(|error| format!("{name}: {error}"))?;
    let column = Column { name, package, version: None, language: None, docs, fails, report };
    Ok(Some(on_server(column, version, begin)))
}

/// Adds the server to the name of a column that is done, and says so.
fn on_server(column: Column, version: &str, begin: Instant) -> Column {
    let name = format!("{} on {version}", column.name);
    say(&format!(
        "{name}: {} rules hold, after {:.1} s\n",
        column.report.score(),
        begin.elapsed().as_secs_f64()
    ));
    Column { name: Box::leak(name.into_boxed_str()), ..column }
}

/// A runtime for a question to a server.
pub(crate) fn ask<T>(question: impl Future<Output = T>) -> Result<T, String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map(|runtime| runtime.block_on(question)).map_err(|error| error.to_string())
}
