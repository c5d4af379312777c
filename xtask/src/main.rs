//! The project's commands: `cargo xtask --help` lists them.

#![expect(clippy::disallowed_methods, reason = "a command line tool waits for other programs in real time")]

#[macro_use]
mod out;

mod application;
mod bench;
mod book;
mod ci;
mod conformance;
mod coverage;
mod crawl;
mod demo;
mod deny;
mod docs;
mod flags;
mod floor;
mod lint;
mod msrv;
mod outcome;
mod package;
mod packages;
mod project;
mod readme;
mod report;
mod semver;
mod servers;
mod simulate;
mod soak;
mod table;
mod test;
mod tidy;
mod typos;
mod wheel;

use std::{env, process::ExitCode};

use command_line::{Program, Refused, parse};

use crate::{
    flags::{ServersCmd, Xtask, XtaskCmd},
    outcome::Outcome,
    project::Project,
    servers::Server,
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The version of all packages.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The exit code where the command line is wrong.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    let done = match docs::real_rustdoc() {
        Some(real) => docs::become_rustdoc(&real),
        None => run_words(),
    };
    match done {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed(_)) => ExitCode::FAILURE,
        Ok(Outcome::Skipped(reason) | Outcome::Partly(reason)) => {
            say!("SKIPPED: {reason}");
            ExitCode::SUCCESS
        }
        Err(error) => match error.downcast_ref::<Refused>() {
            Some(refused) => answered(refused),
            None => {
                tell!("error: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

fn run_words() -> Result<Outcome> {
    let arguments = application::guarded(env::args_os().skip(1).collect());
    let flags = parse(Program::new("cargo xtask", VERSION), arguments, Xtask::from_vec)?;
    run(&Project::open()?, flags.subcommand)
}

/// Prints the answer to a line that runs nothing.
fn answered(refused: &Refused) -> ExitCode {
    match refused {
        Refused::Shown(text) => {
            say!("{text}");
            return ExitCode::SUCCESS;
        }
        Refused::NoCommand(help) => say!("{help}"),
        wrong => tell!("error: {wrong}"),
    }
    ExitCode::from(MISUSED)
}

fn run(project: &Project, command: XtaskCmd) -> Result<Outcome> {
    match command {
        XtaskCmd::Demo(flags) => demo::run(project, &flags.args),
        XtaskCmd::Crawl(flags) => crawl::run(project, &flags.args),
        XtaskCmd::Test(flags) => test::run(project, &flags),
        XtaskCmd::Ci(flags) => ci::run(project, &flags),
        XtaskCmd::Bench(flags) => bench::run(project, &flags),
        XtaskCmd::Report(flags) => report::run(project, flags.open),
        XtaskCmd::Conformance(flags) => conformance::run(project, &flags),
        XtaskCmd::Lint(flags) => lint::run(project, flags.fix),
        XtaskCmd::Docs(flags) => docs::run(project, flags.open),
        XtaskCmd::Book(flags) => book::run(project, &flags),
        XtaskCmd::Package(flags) => package::run(project, &flags),
        XtaskCmd::Readme(flags) => readme::run(project, &flags),
        XtaskCmd::Semver(flags) => semver::run(project, flags.revision.as_deref()),
        XtaskCmd::Deny(_) => deny::run(project),
        XtaskCmd::Msrv(_) => msrv::run(project),
        XtaskCmd::Floor(flags) => floor::run(project, flags.package.as_deref()),
        XtaskCmd::Typos(_) => typos::run(project),
        XtaskCmd::Tidy(_) => Ok(Outcome::of_findings(&tidy::run(&project.root))),
        XtaskCmd::Coverage(flags) => coverage::run(project, flags.open),
        XtaskCmd::Simulate(flags) => simulate::run(project, &flags),
        XtaskCmd::Soak(flags) => soak::run(project, flags.filter.as_deref()),
        XtaskCmd::Servers(flags) => Ok(run_servers(project, flags.subcommand)),
    }
}

fn run_servers(project: &Project, command: ServersCmd) -> Outcome {
    let all_if_none = |named: Vec<Server>| if named.is_empty() { Server::ALL.to_vec() } else { named };
    match command {
        ServersCmd::Up(flags) => {
            let mut failed = 0;
            for started in servers::up(&project.root, &all_if_none(flags.servers), true) {
                match started.result {
                    Ok(url) => say!("{}={url}", started.server.env()),
                    Err(reason) => {
                        failed += 1;
                        say!("no {}: {reason}", started.server.name());
                    }
                }
            }
            if failed > 0 { Outcome::Failed(format!("{failed} not up")) } else { Outcome::Done }
        }
        ServersCmd::Down(flags) => {
            servers::down(&project.root, &all_if_none(flags.servers));
            Outcome::Done
        }
        ServersCmd::Status(_) => {
            for (server, state) in servers::status(&project.root) {
                say!("{}: {state}", server.name());
            }
            Outcome::Done
        }
    }
}
