//! `cargo xtask ci`: everything that must hold, whatever fails on the way.

use std::time::Instant;

use command_line::{Refused, one_of};

use crate::{
    Result, book, deny, docs, flags, lint, msrv, outcome::Outcome, package, project::Project, readme,
    simulate, table::Table, test, tidy, typos,
};

type Step = fn(&Project, &flags::Ci) -> Result<Outcome>;

/// The steps in their order: the ones that fail fast and often come first.
const STEPS: [(&str, Step); 12] = [
    ("fmt", |project, _| lint::fmt(project)),
    ("clippy", |project, _| lint::lints(project)),
    ("tidy", |project, _| Ok(Outcome::of_findings(&tidy::run(&project.root)))),
    ("typos", |project, _| typos::if_installed(project)),
    ("book", |project, _| book::check(project)),
    ("test", |project, flags| test::run(project, &tests(flags))),
    ("simulate", |project, _| simulate::seeds_of_today(project)),
    ("docs", |project, _| docs::run(project, false)),
    ("readme", |project, _| readme::run(project, &flags::Readme { package: None, answers: false })),
    ("package", |project, _| package::run_in_ci(project)),
    ("deny", |project, _| deny::run(project)),
    ("msrv", |project, _| msrv::run(project)),
];

pub(crate) fn run(project: &Project, flags: &flags::Ci) -> Result<Outcome> {
    for skip in &flags.skip {
        one_of(skip, &STEPS.map(|(name, _)| name)).map_err(|why| Refused::wrong(format!("--skip {why}")))?;
    }
    let mut table = Table::new(["step", "result", "seconds", "why"]);
    let mut failed = Vec::new();
    for (name, step) in STEPS {
        let start = Instant::now();
        let outcome = if flags.skip.iter().any(|skip| skip == name) {
            Ok(Outcome::Skipped("--skip".to_owned()))
        } else {
            tell!("\n=== {name}");
            step(project, flags)
        };
        let (result, why) = cells(&outcome);
        if result == FAILED {
            tell!("=== {name} failed: {why}");
            failed.push(name);
        }
        let seconds = format!("{:.1}", start.elapsed().as_secs_f64());
        table.row([name.to_owned(), result.to_owned(), seconds, why]);
    }
    say!("\n{}", table.render());
    Ok(if failed.is_empty() { Outcome::Done } else { Outcome::Failed(failed.join(", ")) })
}

fn tests(flags: &flags::Ci) -> flags::Test {
    flags::Test { package: None, quick: false, require_servers: flags.require_servers }
}

const FAILED: &str = "FAILED";

fn cells(outcome: &Result<Outcome>) -> (&'static str, String) {
    match outcome {
        Ok(Outcome::Done) => ("ok", String::new()),
        Ok(Outcome::Partly(left_out)) => ("ok", format!("SKIPPED {left_out}")),
        Ok(Outcome::Skipped(reason)) => ("SKIPPED", reason.clone()),
        Ok(Outcome::Failed(reason)) => (FAILED, reason.clone()),
        Err(error) => (FAILED, error.to_string()),
    }
}
