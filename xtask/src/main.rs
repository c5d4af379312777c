//! The project's commands: `cargo xtask --help` lists them.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command line tool: it prints, and it waits for other programs in real time"
)]

mod bench;
mod ci;
mod conformance;
mod coverage;
mod demo;
mod deny;
mod docs;
mod features;
mod flags;
mod json;
mod lint;
mod msrv;
mod outcome;
mod package;
mod packages;
mod project;
mod report;
mod servers;
mod soak;
mod table;
mod test;
mod tidy;
mod typos;

use std::env;
use std::process::ExitCode;

use crate::flags::{ServersCmd, Xtask, XtaskCmd};
use crate::outcome::Outcome;
use crate::project::Project;
use crate::servers::Server;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments = demo::guarded(env::args_os().skip(1).collect());
    let flags = Xtask::from_vec(arguments).unwrap_or_else(|error| error.exit());
    match Project::open().and_then(|project| run(&project, flags.subcommand)) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed(_)) => ExitCode::FAILURE,
        Ok(Outcome::Skipped(reason) | Outcome::Partly(reason)) => {
            println!("SKIPPED: {reason}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(project: &Project, command: XtaskCmd) -> Result<Outcome> {
    match command {
        XtaskCmd::Demo(flags) => demo::run(project, &flags.args),
        XtaskCmd::Test(flags) => test::run(project, &flags),
        XtaskCmd::Ci(flags) => ci::run(project, &flags),
        XtaskCmd::Bench(flags) => bench::run(project, &flags),
        XtaskCmd::Report(flags) => report::run(project, flags.open),
        XtaskCmd::Conformance(flags) => conformance::run(project, &flags),
        XtaskCmd::Lint(flags) => lint::run(project, flags.fix),
        XtaskCmd::Docs(flags) => docs::run(project, flags.open),
        XtaskCmd::Features(_) => features::run(project),
        XtaskCmd::Package(_) => package::run(project),
        XtaskCmd::Deny(_) => deny::run(project),
        XtaskCmd::Msrv(_) => msrv::run(project),
        XtaskCmd::Typos(_) => typos::run(project),
        XtaskCmd::Tidy(_) => Ok(Outcome::of_findings(&tidy::run(&project.root))),
        XtaskCmd::Coverage(flags) => coverage::run(project, flags.open),
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
                    Ok(url) => println!("{}={url}", started.server.env()),
                    Err(reason) => {
                        failed += 1;
                        println!("no {}: {reason}", started.server.name());
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
                println!("{}: {state}", server.name());
            }
            Outcome::Done
        }
    }
}
