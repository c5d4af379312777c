//! The program of `cargo xtask simulate`.

mod flags;

use std::{
    env, fmt,
    io::{self, Write},
    panic,
    process::ExitCode,
};

use command_line::{Number, Program, parse};
use evenkeel_simulate::{
    Range, Subject, harvest::Harvest, limits::Limits, pipeline::Pipelines, run, shrink, sweep,
};

use crate::flags::Simulate;

fn main() -> ExitCode {
    let program = Program::new("simulate", env!("CARGO_PKG_VERSION"));
    let flags = match parse(program, env::args_os().skip(1).collect(), Simulate::from_vec) {
        Ok(flags) => flags,
        Err(help) if help.is_help() => {
            say(format_args!("{help}"));
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            say(format_args!("error: {error}"));
            return ExitCode::from(2);
        }
    };
    // Faults are panics, too, and a promise that is broken by a panic has its text in the result.
    panic::set_hook(Box::new(|_| ()));
    let mut names = Vec::new();
    let mut failed = false;
    let is_chosen = |name: &str| flags.subject.as_deref().is_none_or(|chosen| chosen == name);
    if is_chosen(Pipelines.name()) {
        names.push(Pipelines.name());
        failed |= simulate(&Pipelines, &flags);
    }
    if is_chosen(Limits.name()) {
        names.push(Limits.name());
        failed |= simulate(&Limits, &flags);
    }
    if is_chosen(Harvest.name()) {
        names.push(Harvest.name());
        failed |= simulate(&Harvest, &flags);
    }
    if names.is_empty() {
        let names = [Pipelines.name(), Limits.name(), Harvest.name()];
        say(format_args!("there is no such subject; they are {}", names.join(", ")));
        return ExitCode::from(2);
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs a range of seeds and tells the result; returns whether a seed failed.
fn simulate<S: Subject>(subject: &S, flags: &Simulate) -> bool {
    let from = flags.from.map_or(1, Number::get);
    let range =
        Range { from, seeds: flags.seeds.map_or(1000, Number::get), twice: flags.twice, stops: flags.first };
    let summary = sweep(subject, range);
    let name = subject.name();
    let seeds_per_minute = summary.seeds_per_minute();
    say(format_args!(
        "{name}: {} seeds from {from}: {} failed; {:.1} s, {seeds_per_minute:.0} seeds per minute; traces {:016x}",
        summary.seeds,
        summary.failures.len(),
        summary.elapsed.as_secs_f64(),
        summary.hash,
    ));
    let reached: Vec<String> =
        summary.reached.iter().map(|(event, times)| format!("{event} {times}")).collect();
    say(format_args!("  reached: {}", reached.join(", ")));
    for (seed, why) in &summary.failures {
        say(format_args!("FAILED: cargo xtask simulate {name} --from {seed} --seeds 1\n  {why}"));
    }
    let Some((seed, why)) = summary.failures.first() else {
        if flags.trace {
            print_trace(run(subject, from, &subject.script(from), true).lines);
        }
        return false;
    };
    if flags.first && flags.trace {
        print_trace(run(subject, *seed, &subject.script(*seed), true).lines);
    } else if !flags.first {
        let shrunk = shrink(subject, *seed, why.clone());
        say(format_args!(
            "the smallest script of seed {seed} that fails, after {} runs:\n{}\n  {}",
            shrunk.runs, shrunk.script, shrunk.why
        ));
        if flags.trace {
            print_trace(run(subject, *seed, &shrunk.script, true).lines);
        }
    }
    true
}

fn print_trace(lines: Vec<String>) {
    for line in lines {
        say(format_args!("{line}"));
    }
}

/// Ignores a closed pipe: the reader has left. The macros of std panic then.
fn say(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{text}");
}
