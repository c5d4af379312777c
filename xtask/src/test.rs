//! `cargo xtask test`: all tests, tier by tier, and one table at the end.

mod beside;
mod libtest;
mod report;
mod servers;
mod suites;

use std::{num::NonZero, thread, time::Instant};

use xshell::Cmd;

pub(crate) use self::servers::Servers;
use self::{
    beside::run_beside,
    report::{Report, Suite, Tier},
    suites::Binary,
};
use crate::{
    Result, flags,
    outcome::Outcome,
    packages::{Package, find, members, selection},
    project::Project,
};

/// The test binaries of the real tier are named `real`; those named `soak` are run by `cargo xtask soak` alone.
const REAL: &str = "real";
pub(crate) const SOAK: &str = "soak";

/// The packages whose real suites run alone: they compare times of signals and of rules with the clock, or ask a server for so much
/// that it answers in time if nothing else runs.
const ALONE: [&str; 3] = ["evenkeel-limit", "evenkeel-shutdown", "evenkeel-tests"];

pub(crate) fn run(project: &Project, flags: &flags::Test) -> Result<Outcome> {
    let packages = members(project)?;
    let selected = match &flags.package {
        Some(name) => vec![find(&packages, name)?],
        None => packages.iter().filter(|package| package.is_tested).collect(),
    };
    let mut report = Report::default();
    let start = Instant::now();
    let built = suites::build(project, &selected, &packages);
    report.compiling = start.elapsed().as_secs_f64();
    match built {
        Ok(mut binaries) => {
            binaries.retain(Binary::has_tests);
            tiers(project, flags, &selected, &binaries, &mut report)?;
        }
        Err(error) => report.suites.push(Suite::broken("build".to_owned(), Tier::Virtual, error.to_string())),
    }
    say!("{}", report.render().trim_end());
    Ok(match report.failed() {
        0 => Outcome::Done,
        failed => Outcome::Failed(format!("{failed} failed")),
    })
}

/// Runs documentation tests by this command, and returns a line for each package with failures.
pub(crate) fn failing_doctests(project: &Project, command: Cmd<'_>, name: &str) -> Result<Vec<String>> {
    let (suites, _) = suites::doctests(project, command, name)?;
    Ok(suites.iter().filter_map(Suite::failure).collect())
}

fn tiers(
    project: &Project,
    flags: &flags::Test,
    packages: &[&Package],
    binaries: &[Binary],
    report: &mut Report,
) -> Result {
    let in_virtual = binaries.iter().filter(|binary| binary.target != REAL);
    let in_virtual: Vec<&Binary> = in_virtual.collect();
    let (root, logs) = (&*project.root, &*suites::logs(project));
    let start = Instant::now();
    let run = |binary: &&Binary| binary.run(root, logs, Tier::Virtual, &["--show-output"], &[]);
    // Rustdoc compiles the examples of a package on one core: the suites have the other.
    let documented = selection(packages.iter().copied().filter(|package| package.doctests));
    let documents = || match &*documented {
        [] => Ok((Vec::new(), 0.0)),
        names => {
            let command = project.cargo("test").args(["--doc", "--all-features"]).args(names);
            suites::doctests(project, command, "doctests")
        }
    };
    let (ended, documents) = run_beside(&in_virtual, run, documents);
    report.suites.extend(ended);
    report.beside.push((Tier::Virtual, start.elapsed().as_secs_f64()));
    let (ended, compiling) = documents?;
    report.suites.extend(ended);
    report.compiling += compiling;
    let real: Vec<&Binary> = binaries.iter().filter(|binary| binary.target == REAL).collect();
    if flags.quick {
        report.left_out.push(format!("SKIPPED: the real tier, {} suites (--quick)", real.len()));
    } else if !real.is_empty() {
        real_tier(project, flags, &real, report);
    }
    Ok(())
}

fn real_tier(project: &Project, flags: &flags::Test, suites: &[&Binary], report: &mut Report) {
    let servers = Servers::start(project, flags.require_servers);
    for (server, reason) in &servers.missing {
        if flags.require_servers && !server.lacks_tools() {
            let name = format!("server {}", server.name());
            report.suites.push(Suite::broken(name, Tier::Real, reason.clone()));
        } else {
            report.left_out.push(format!("SKIPPED: {}: {reason}", server.name()));
        }
    }
    // They wait for servers, signals and clocks more than they compute.
    let threads = 3 * thread::available_parallelism().map_or(1, NonZero::get);
    let arguments = ["--include-ignored", "--show-output", &format!("--test-threads={threads}")];
    let (root, logs) = (&*project.root, &*suites::logs(project));
    let start = Instant::now();
    let run = |binary: &&Binary| binary.run(root, logs, Tier::Real, &arguments, &servers.variables);
    let (alone, beside): (Vec<&Binary>, Vec<&Binary>) =
        suites.iter().partition(|binary| ALONE.contains(&&*binary.package));
    let (ended, ()) = run_beside(&beside, run, || ());
    report.suites.extend(ended);
    report.suites.extend(alone.iter().map(run));
    report.beside.push((Tier::Real, start.elapsed().as_secs_f64()));
}
