//! Peers of other languages, through the protocol, and their scoreboard.
//!
//! Their adapters are in `languages/`. The variables name the interpreter of each language, with the packages that are pinned
//! there; `cargo xtask conformance --languages` sets them.

mod kits;
mod peers;
mod pools;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use evenkeel_tck::{
    Adapter, Pattern, Suite, limit, pool, protocol::Process, retry, shutdown, stream, task, testkit,
};

use self::{
    kits::TESTKIT,
    peers::{LIMIT, Peer, RETRY, SHUTDOWN, STREAM, TASK},
    pools::POOL,
};
use crate::{board::Board, pattern::Column};

/// A language, and the way to run an adapter of it.
struct Language {
    name: &'static str,
    /// Has the path of the interpreter for Python, of the folder with adapters and packages for Node, and of that with the
    /// adapters as programs for Go.
    variable: &'static str,
    command: fn(&Path, &'static str) -> Command,
}

const PYTHON: Language = Language {
    name: "Python",
    variable: "EVENKEEL_CONFORMANCE_PYTHON",
    command: |python, adapter| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(python);
        command.arg(root.join("languages/python").join(adapter));
        command.env("PYTHONPATH", root.join("../crates/evenkeel-tck/drivers/python"));
        // No compiled files beside the sources.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    },
};

const NODE: Language = Language {
    name: "Node",
    variable: "EVENKEEL_CONFORMANCE_NODE",
    command: |folder, adapter| {
        let mut command = Command::new("node");
        command.arg(folder.join(adapter));
        command
    },
};

const GO: Language = Language {
    name: "Go",
    variable: "EVENKEEL_CONFORMANCE_GO",
    command: |programs, adapter| Command::new(programs.join(adapter)),
};

pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let (mut only, mut save) = (None, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--peer" => only = Some(*words.next().ok_or("--peer of which name?")?),
            "--save" => save = true,
            other => return Err(format!("what is `{other}`?")),
        }
    }
    let (mut tables, mut skipped) = (Vec::new(), Vec::new());
    tables.extend(tables_of(&retry::SUITE, &RETRY, only, &mut skipped)?);
    tables.extend(tables_of(&limit::SUITE, &LIMIT, only, &mut skipped)?);
    tables.extend(tables_of(&task::SUITE, &TASK, only, &mut skipped)?);
    tables.extend(tables_of(&shutdown::SUITE, &SHUTDOWN, only, &mut skipped)?);
    tables.extend(tables_of(&stream::SUITE, &STREAM, only, &mut skipped)?);
    tables.extend(tables_of(&pool::SUITE, &POOL, only, &mut skipped)?);
    tables.extend(tables_of(&testkit::SUITE, &TESTKIT, only, &mut skipped)?);
    let board = Board::of_languages(tables);
    if board.is_empty() && skipped.is_empty() {
        return Err("there is no such peer".to_owned());
    }
    match only {
        Some(_) => crate::say(&board.reports()),
        None => crate::say(&board.markdown()?),
    }
    for line in &skipped {
        crate::say(&format!("SKIPPED {line}\n"));
    }
    if !save {
        return board.check_ours();
    }
    if only.is_some() || !skipped.is_empty() {
        return Err("--save is for all peers of all languages".to_owned());
    }
    board.save()
}

/// The columns of each language whose interpreter is there.
fn tables_of<S: Pattern>(
    suite: &'static Suite<S>,
    languages: &[(Language, &'static [Peer])],
    only: Option<&str>,
    skipped: &mut Vec<String>,
) -> Result<Vec<(&'static str, Vec<Column>)>, String>
where
    Process: Adapter<S>,
{
    let mut tables = Vec::new();
    for (language, peers) in languages {
        let Some(place) = env::var_os(language.variable).map(PathBuf::from) else {
            skipped.push(format!("{} of {}: {} is not set", suite.pattern, language.name, language.variable));
            continue;
        };
        let mut columns = Vec::new();
        for peer in peers.iter().filter(|peer| only.is_none_or(|only| only == peer.name)) {
            let (place, command, adapter) = (place.clone(), language.command, peer.adapter);
            let process = Process::start(move || command(&place, adapter));
            let process = process.map_err(|verdict| format!("{}: {verdict}", peer.name))?;
            columns.push(Column {
                name: peer.name,
                package: "",
                version: Some(process.version().to_owned()),
                language: Some(language.name),
                docs: peer.docs,
                fails: peer.fails,
                report: process.run(suite),
            });
        }
        if !columns.is_empty() {
            tables.push((suite.pattern, columns));
        }
    }
    Ok(tables)
}
