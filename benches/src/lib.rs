//! Evenkeel and its peers, side by side in one process: `cargo xtask bench` and `cargo xtask report`.
//!
//! Two programs share the rows: `evenkeel-bench` measures them and counts allocations, `evenkeel-count` runs one entrant
//! under callgrind, without an allocator that counts.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::{fs, io, path::PathBuf, process::ExitCode, time::Duration};

mod chart;
mod flags;
mod instructions;
mod machine;
mod measure;
mod python;
mod report;
mod results;
mod row;
mod rows;
mod run;
mod server;
mod stats;
mod svg;
mod table;

use crate::{
    flags::{EvenkeelBench, EvenkeelBenchCmd, Measure, Report},
    results::Results,
    run::Effort,
    svg::Theme,
};

/// Runs the program `evenkeel-bench`.
#[must_use]
pub fn bench() -> ExitCode {
    let done = match EvenkeelBench::from_env_or_exit().subcommand {
        EvenkeelBenchCmd::Measure(flags) => measure(&flags),
        EvenkeelBenchCmd::Report(flags) => report(&flags),
        EvenkeelBenchCmd::Serve(flags) => server::serve(Duration::from_millis(flags.latency)),
    };
    exit_code(done)
}

/// Runs the program `evenkeel-count`, which does only one entrant's operations.
#[must_use]
pub fn count() -> ExitCode {
    exit_code(instructions::work(std::env::args().skip(1)))
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
    let filter = flags.filter.as_deref().unwrap_or_default();
    let rows: Vec<_> = rows::all().into_iter().filter(|row| row.id.contains(filter)).collect();
    if rows.is_empty() {
        return Err(io::Error::other(format!("no row has {filter:?} in its id; --list shows them")));
    }
    if flags.list {
        rows.iter().for_each(|row| println!("{}", row.id));
        return Ok(());
    }
    if flags.instructions {
        let results = Results { machine: machine::describe(), rows: instructions::count(&rows)? };
        return finish(flags, &results);
    }
    let effort = if flags.quick { Effort::QUICK } else { Effort::FULL };
    let mut results = Results { machine: machine::describe(), rows: Vec::new() };
    for row in rows {
        eprintln!("{}", row.id);
        results.rows.extend(run::run(row, effort));
    }
    finish(flags, &results)
}

fn finish(flags: &Measure, results: &Results) -> io::Result<()> {
    println!("{}", table::render(results));
    results.write(flags.out.as_deref().unwrap_or(&PathBuf::from("target/evenkeel/bench.json")))?;
    flags.save.as_deref().map_or(Ok(()), |folder| results.save(folder))
}

fn report(flags: &Report) -> io::Result<()> {
    let results = Results::read(&flags.results)?;
    if let Some(folder) = flags.page.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&flags.page, report::page(&results))?;
    for (name, text) in pictures(&results) {
        fs::write(flags.results.join(name), text)?;
    }
    println!("{}", flags.page.display());
    Ok(())
}

/// Returns the files made from the results, by name: the pictures and table of the front page, and all results as text.
fn pictures(results: &Results) -> [(&'static str, String); 4] {
    let shown: Vec<_> = results.rows.iter().filter(|row| report::is_shown_first(&row.id)).collect();
    let chart = |theme| chart::ratios(&shown, theme, "Cost of Evenkeel as a ratio to the best peer") + "\n";
    [
        ("summary.md", report::front(&results.rows)),
        ("README.md", report::overview(results)),
        ("chart-light.svg", chart(Theme::Light)),
        ("chart-dark.svg", chart(Theme::Dark)),
    ]
}
