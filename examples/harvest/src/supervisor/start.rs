//! A harvest by several workers, from the flags to the report.

use std::{env, io::Write as _, net::Ipv4Addr, sync::Arc, time::Duration};

use command_line::Output;
use evenkeel::shutdown::{Reason, Shutdown};
use tokio::runtime;

use super::{Supervisor, TeamReport, WorkerCommand};
use crate::{
    cli::{Options, Source, Team},
    error::Fatal,
    harvester::EXIT_TIMEOUT,
    live::{self, Names},
    out,
    program::{WORKERS, afterwards, broken, check_descriptors, create, source},
    report::Ended,
    run::until_stop,
    server::Server,
    stats::Stats,
    store::{Network, Store},
};

/// The time that the supervisor grants beyond that of the workers.
const LAST: Duration = Duration::from_secs(2);

/// Runs the workers until the harvest is complete or a signal comes, reports on all, and returns the exit code.
pub(crate) fn supervise(options: &Options, team: Team) -> Result<u8, Fatal> {
    check_descriptors(options)?;
    let json = create(options.json.as_ref())?;
    let page = options.page.map(live::Page::bind).transpose()?;
    let location = options.store.locate().map_err(Fatal::Input)?;
    // The server ends with this function.
    let (base, server) = match &options.source {
        Source::Url(base) => (base.clone(), None),
        Source::Embedded(settings) => {
            let server = Server::start(*settings, (Ipv4Addr::LOCALHOST, 0).into());
            let server = server.map_err(broken("cannot start the server"))?;
            (server.base().clone(), Some((server, settings.site)))
        }
    };
    let args: Vec<_> = env::args_os().skip(1).collect();
    let command = WorkerCommand::new(&args, base.as_str(), options.concurrency);
    let command = command.map_err(broken("cannot find this program"))?;
    let runtime = runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.map_err(broken("cannot start the runtime"))?;
    let (reason, report) = runtime.block_on(async {
        let stats = Arc::new(Stats::default());
        let store = Store::open(&location, Arc::new(Network), stats.clone(), None).await?;
        let board = store.board()?;
        let queue = options.queue.as_ref().map(|queue| format!("a queue {queue}"));
        let names = Names { source: source(options), store: location.to_string(), queue };
        announce(options, &names, &page, &command);
        let supervisor = Supervisor::new(team, command, store, board, stats, names);
        let workers = supervisor.clone();
        let shutdown = Shutdown::new().grace(options.grace + LAST);
        let end = until_stop(shutdown, async move |stop| workers.run(page, stop).await).await;
        let (ended, reason) = match end {
            // The rows stored before are worth a report.
            Err(Fatal::Broken(line)) => {
                out::tell(&format!("harvest: {line}"));
                (Ended::Aborted, Reason::Ended)
            }
            other => other?,
        };
        let ended =
            if ended == Ended::Aborted { ended } else { supervisor.end(ended == Ended::Drained).await };
        let server = server.as_ref().map(|(server, site)| (server, *site));
        let report = supervisor.report(ended, server, options.rate.map(Into::into)).await;
        Ok::<_, Fatal>((reason, TeamReport { goes_on: !options.temporary_store, ..report }))
    })?;
    let code = conclude(options, reason, &report, json)?;
    if !options.temporary_store {
        out::say(&afterwards(&location, report.ended));
    }
    runtime.shutdown_timeout(EXIT_TIMEOUT / 2);
    Ok(code)
}

/// Prints the first lines: where everything is, and how another worker joins.
fn announce(options: &Options, names: &Names, page: &Option<live::Page>, command: &WorkerCommand) {
    let lasts = if options.temporary_store { ", which goes away after this run" } else { "" };
    out::say(&format!("storing in {}{lasts}", names.store));
    out::say(&format!("the jobs are in {}", names.queue.as_deref().unwrap_or_default()));
    page.iter().for_each(|page| out::say(&page.announcement()));
    out::say(&format!("another worker joins by: {command}"));
}

/// Writes the report to all its destinations, and returns the exit code.
fn conclude(
    options: &Options,
    reason: Reason,
    report: &TeamReport,
    json: Option<Output>,
) -> Result<u8, Fatal> {
    out::say(&report.to_string());
    if let Some(mut file) = json {
        writeln!(file, "{}", report.json()).map_err(broken("cannot write the JSON"))?;
    }
    let is_wrong = report.rows.as_ref().is_some_and(|rows| !rows.is_exact());
    let is_strict = options.strict && !report.failures.is_empty();
    Ok(match (report.ended, reason) {
        (Ended::Aborted, Reason::Signal(number)) => 128 + number as u8,
        (Ended::Aborted, _) => 1,
        _ => u8::from(is_wrong || is_strict),
    })
}
