//! Evenkeel and its peers, side by side in one process: `cargo xtask bench` and `cargo xtask report`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::{fs, io, path::PathBuf, process::ExitCode};

mod chart;
mod flags;
mod machine;
mod measure;
mod report;
mod results;
mod row;
mod rows;
mod run;
mod stats;
mod svg;
mod table;

use crate::{
    flags::{EvenkeelBench, EvenkeelBenchCmd, Measure, Report},
    results::Results,
    run::Effort,
    svg::Theme,
};

fn main() -> ExitCode {
    let done = match EvenkeelBench::from_env_or_exit().subcommand {
        EvenkeelBenchCmd::Measure(flags) => measure(&flags),
        EvenkeelBenchCmd::Report(flags) => report(&flags),
    };
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
    let effort = if flags.quick { Effort::QUICK } else { Effort::FULL };
    let mut results = Results { machine: machine::describe(), rows: Vec::new() };
    for row in rows {
        eprintln!("{}", row.id);
        results.rows.push(run::run(row, effort));
    }
    println!("{}", table::render(&results));
    results.write(flags.out.as_deref().unwrap_or(&PathBuf::from("target/evenkeel/bench.json")))?;
    flags.save.as_deref().map_or(Ok(()), |folder| results.save(folder))
}

fn report(flags: &Report) -> io::Result<()> {
    let results = Results::read(&flags.results)?;
    if let Some(folder) = flags.page.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&flags.page, report::page(&results))?;
    let shown: Vec<_> = results.rows.iter().filter(|row| report::is_shown_first(&row.id)).collect();
    for (name, theme) in [("light", Theme::Light), ("dark", Theme::Dark)] {
        let picture = chart::ratios(&shown, theme, "Cost of Evenkeel as a ratio to the best peer");
        fs::write(flags.results.join(format!("chart-{name}.svg")), picture + "\n")?;
    }
    println!("{}", flags.page.display());
    Ok(())
}
