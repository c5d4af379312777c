//! `cargo xtask test`: all tests, tier by tier, and one table at the end.

mod libtest;
mod report;
mod servers;
mod suites;

use std::{
    num::NonZero,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use xshell::Cmd;

pub(crate) use self::servers::Servers;
use self::{
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

/// The suites that run at the same time: one that waits, or has one long test left, leaves a core to the next.
const BESIDE: usize = 2;

pub(crate) fn run(project: &Project, flags: &flags::Test) -> Result<Outcome> {
    let packages = members(project)?;
    let selected = match &flags.package {
        Some(name) => vec![find(&packages, name)?],
        None => packages.iter().filter(|package| package.is_tested).collect(),
    };
    let names = selection(selected.iter().copied());
    let mut report = Report::default();
    let start = Instant::now();
    let built = suites::build(project, &names, &packages);
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
    let in_virtual = binaries.iter().filter(|binary| binary.target != REAL && binary.target != SOAK);
    let in_virtual: Vec<&Binary> = in_virtual.collect();
    run_all(project, &in_virtual, Tier::Virtual, &["--show-output"], &[], report);
    let documented = selection(packages.iter().copied().filter(|package| package.doctests));
    if !documented.is_empty() {
        let command = project.cargo("test").args(["--doc", "--all-features"]).args(documented);
        let (suites, compiling) = suites::doctests(project, command, "doctests")?;
        report.suites.extend(suites);
        report.compiling += compiling;
    }
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
    run_all(project, suites, Tier::Real, &arguments, &servers.variables, report);
}

/// Runs suites beside each other.
fn run_all(
    project: &Project,
    suites: &[&Binary],
    tier: Tier,
    arguments: &[&str],
    variables: &[(&str, String)],
    report: &mut Report,
) {
    let start = Instant::now();
    let (root, logs) = (&*project.root, &*suites::logs(project));
    let (left, ended) = (Mutex::new(suites.iter()), Mutex::new(&mut report.suites));
    let next = || lock(&left).next();
    let run = || {
        while let Some(binary) = next() {
            let suite = binary.run(root, logs, tier, arguments, variables);
            lock(&ended).push(suite);
        }
    };
    thread::scope(|scope| {
        for _ in 0..BESIDE {
            scope.spawn(run);
        }
    });
    report.beside.push((tier, start.elapsed().as_secs_f64()));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
