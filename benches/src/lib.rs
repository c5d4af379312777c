//! Evenkeel and its peers, side by side in one process: `cargo xtask bench` and `cargo xtask report`.
//!
//! Two programs share the rows: `evenkeel-bench` measures them and counts allocations, `evenkeel-count` runs one entrant
//! under callgrind, without an allocator that counts.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::{env, io, path::PathBuf, process::ExitCode, time::Duration};

use command_line::{Program, is_stdout, parse};

mod chart;
mod flags;
mod instructions;
mod machine;
mod machines;
mod markdown;
mod measure;
mod python;
mod queues;
mod report;
mod results;
mod row;
mod rows;
mod run;
mod server;
mod server_time;
mod stats;
mod svg;
mod table;

use crate::{
    flags::{EvenkeelBench, EvenkeelBenchCmd, Measure, Report},
    machines::Machine,
    results::{Known, Results},
    row::{Needs, Row},
    run::Effort,
    svg::Theme,
};

/// Runs the program `evenkeel-bench`.
#[must_use]
pub fn bench() -> ExitCode {
    let program = Program::new("evenkeel-bench", env!("CARGO_PKG_VERSION"));
    let flags = match parse(program, env::args_os().skip(1).collect(), EvenkeelBench::from_vec) {
        Ok(flags) => flags,
        Err(help) if help.is_help() => {
            println!("{help}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let done = match flags.subcommand {
        EvenkeelBenchCmd::Measure(flags) => measure(&flags),
        EvenkeelBenchCmd::Report(flags) => report(&flags),
        EvenkeelBenchCmd::Serve(flags) => server::serve(Duration::from_millis(flags.latency.get())),
    };
    exit_code(done)
}

/// Runs the program `evenkeel-count`, which does only one entrant's operations.
#[must_use]
pub fn count() -> ExitCode {
    exit_code(instructions::work(env::args().skip(1)))
}

fn exit_code(done: io::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(flags: &Measure) -> io::Result<()> {
    let known = known();
    let filter = flags.filter.as_deref().unwrap_or_default();
    let mut rows: Vec<_> = rows::all().into_iter().filter(|row| row.id.contains(filter)).collect();
    // The others say what it costs without the feature.
    let is_built_for = |row: &Row| {
        row.id.starts_with("timeline/") == cfg!(feature = "timeline")
            && (row.id.starts_with("inspect/") == cfg!(feature = "inspect") || cfg!(feature = "timeline"))
    };
    rows.retain(is_built_for);
    if rows.is_empty() {
        return Err(io::Error::other(format!("no row has {filter:?} in its id; --list shows them")));
    }
    if flags.list {
        rows.iter().for_each(|row| println!("{}", row.id));
        return Ok(());
    }
    let (machine, build) = (machine::describe(), machine::build());
    let folder = flags.save.as_ref().map(|results| results.join(machine::folder(&machine)));
    // An hour of measurements must not end with a folder that cannot be written.
    folder.as_deref().map_or(Ok(()), results::check)?;
    let out = flags.out.clone().unwrap_or_else(|| PathBuf::from("target/evenkeel/bench.json"));
    results::check_file(&out)?;
    // The table is for people, and the results for the program that reads stdout.
    let say = |text: &str| if is_stdout(&out) { eprintln!("{text}") } else { println!("{text}") };
    let lines = if flags.instructions {
        instructions::count(&rows, &build)?
    } else {
        if !python::is_named()? {
            rows = rows.into_iter().filter_map(|row| without(row, Needs::Python)).collect();
        }
        if !queues::is_named() {
            rows = rows.into_iter().filter_map(|row| without(row, Needs::Queues)).collect();
        }
        rows.retain(has_server);
        if rows.is_empty() {
            return Err(io::Error::other("no row is left to measure"));
        }
        let effort = if flags.quick { Effort::QUICK } else { Effort::FULL };
        let measured = rows.into_iter().flat_map(|row| {
            eprintln!("{}", row.id);
            run::run(row, effort, &build)
        });
        measured.collect()
    };
    let results = Results::new(machine, lines);
    say(&table::render(&results.rows));
    results.write(&out)?;
    if !flags.instructions && !instructions::is_available() {
        say("Instructions are not counted: valgrind is not installed.");
    }
    let Some(folder) = folder else { return Ok(()) };
    results.save(&folder, &known)?;
    say(&format!("saved in {}", folder.display()));
    Ok(())
}

fn without(row: Row, needs: Needs) -> Option<Row> {
    let id = row.id.clone();
    let left = row.without(needs);
    if left.is_none() {
        let (peers, flag) = match needs {
            Needs::Python => ("in Python", "--python"),
            Needs::Queues => ("other queues", "--queues"),
        };
        eprintln!("{id} is left out: its peers are {peers}, which `cargo xtask bench {flag}` measures");
    }
    left
}

/// Whether the server was named that a row needs, if it needs one.
fn has_server(row: &Row) -> bool {
    let (is_named, flag) = match row.id.split('/').next() {
        Some("postgres") => (rows::postgres::server().is_some(), "--postgres"),
        Some("jetstream") => (rows::jetstream::is_named(&row.id), "--nats"),
        _ => return true,
    };
    if !is_named {
        eprintln!("{} is left out: it needs a server, which `cargo xtask bench {flag}` starts", row.id);
    }
    is_named
}

fn known() -> Known {
    let mut known = Known::default();
    for row in rows::all() {
        known.ids.push(format!("{}{}", row.id, results::COUNTED));
        known.ids.extend(row.metrics.iter().map(|(metric, _)| row.id_of(*metric)));
        let optional = row.entrants.into_iter().filter(|entrant| entrant.needs.is_some());
        known.optional_peers.extend(optional.map(|entrant| entrant.name));
    }
    known
}

fn report(flags: &Report) -> io::Result<()> {
    let machines = machines::read(&flags.results)?;
    results::write(&flags.page, &report::page(&machines))?;
    for (name, text) in pictures(&machines) {
        results::write(&flags.results.join(name), &text)?;
    }
    if !is_stdout(&flags.page) {
        println!("{}", flags.page.display());
    }
    Ok(())
}

/// Returns the files made from the results, by name: the tables of Markdown, and the pictures of the front page.
fn pictures(machines: &[Machine]) -> Vec<(String, String)> {
    let rows = machines::compare(machines);
    let shown: Vec<_> = rows.iter().filter(|row| report::is_shown_first(row.id)).collect();
    let chart = |theme| chart::ratios(&shown, theme, "Cost of Evenkeel as a ratio to the best peer") + "\n";
    let mut files = markdown::pages(machines);
    files.push(("chart-light.svg".to_owned(), chart(Theme::Light)));
    files.push(("chart-dark.svg".to_owned(), chart(Theme::Dark)));
    files
}

#[cfg(test)]
mod tests;
