//! The program: from the flags to the report.

use std::{
    env,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    thread,
};

use command_line::Output;
use evenkeel::{
    shutdown::{Reason, Shutdown},
    task::Stop,
};
use reqwest::{Client, Url};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::{runtime, time::Instant};

use crate::{
    board::Workers,
    cli::{self, Options, Source},
    dumps::DumpServer,
    error::Fatal,
    harvester::{EXIT_TIMEOUT, End, Harvester, Setup},
    link,
    live::{self, LiveRun, Names, Numbers, OwnNumbers},
    out, page, process,
    queue::{self, Queue, Worker},
    quota::Quota,
    report::{Ended, Report, how_to_go_on},
    run::{self, Shown},
    server::{self, Plan, Server, Site},
    stats::Stats,
    store::{Checkpoint, Location, Network},
    transport::Web,
};
#[cfg(feature = "queue")]
use crate::{quota::SharedQuota, supervisor};

/// The threads of the runtime. Few are enough, since the job mostly waits.
pub(crate) const WORKERS: usize = 2;

/// The file descriptors that a run needs beside its calls: standard streams, runtimes, database, report.
const DESCRIPTORS: usize = 64;

/// The connections that the server of dumps has at a time.
#[cfg(feature = "inspect")]
const DUMP_CONNECTIONS: usize = evenkeel::inspect::MAX_CONNECTIONS;
#[cfg(not(feature = "inspect"))]
const DUMP_CONNECTIONS: usize = 0;

/// Runs the program: reads the flags, harvests, prints the report. A URL with `https:` is an error.
#[must_use]
pub fn main() -> ExitCode {
    run_program(false)
}

/// Does the same in a build whose reqwest knows TLS; a provider of cryptography is installed already.
#[must_use]
pub fn main_with_https() -> ExitCode {
    run_program(true)
}

fn run_program(has_https: bool) -> ExitCode {
    let options = match cli::parse(env::args_os().skip(1).collect(), has_https) {
        Ok(options) => options,
        Err(help) if help.is_help() => {
            out::say(&help.to_string());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            out::tell(&format!("harvest: {error}"));
            return ExitCode::from(2);
        }
    };
    if options.stdout_is_taken {
        out::leave_stdout();
    }
    match harvest(&options) {
        Ok(code) => code.into(),
        Err(fatal) => {
            out::tell(&format!("harvest: {fatal}"));
            fatal.exit_code().into()
        }
    }
}

/// Sends this process a SIGTERM when stdin ends.
fn stop_with_stdin() {
    // An error is an end, too.
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
    #[cfg(not(unix))]
    std::process::exit(1);
}

/// Makes one run, from the flags to the report, and returns the exit code.
fn harvest(options: &Options) -> Result<u8, Fatal> {
    if let (Some(address), Source::Embedded(settings)) = (options.serve, &options.source) {
        return serve(address.0, *settings);
    }
    #[cfg(feature = "queue")]
    if let Some(team) = options.team {
        return supervisor::supervise(options, team);
    }
    if options.stop_with_stdin {
        // It waits in a system call, and so is no task; it ends with the process.
        thread::spawn(stop_with_stdin);
    }
    check_descriptors(options)?;
    let json = create(options.json.as_ref())?;
    let page = create(options.report.as_ref())?;
    let live = options.page.map(live::Page::bind).transpose()?;
    let location = options.store.locate().map_err(Fatal::Input)?;
    // The server ends with this function.
    let (base, _server) = match &options.source {
        Source::Url(base) => (base.clone(), None),
        Source::Embedded(settings) => {
            let server = Server::start(*settings, (Ipv4Addr::LOCALHOST, 0).into());
            let server = server.map_err(broken("cannot start the server"))?;
            (server.base().clone(), Some(server))
        }
    };

    let runtime = runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.map_err(broken("cannot start the runtime"))?;
    let stats = Arc::new(if page.is_some() { Stats::recording() } else { Stats::default() });
    let started = Instant::now();
    let outcome = runtime.block_on(async {
        let _listener = listen_for_large_files()?;
        let dumps = match options.inspect {
            Some(address) => Some(DumpServer::bind(address).await?),
            None => None,
        };
        let (quota, client) = (quota(options, &base).await?, client(options)?);
        let setup = setup(options, base, &location);
        let harvester =
            Harvester::open_with(setup, quota, Arc::new(client), Arc::new(Network), stats.clone()).await?;
        let (end, workers) = match &options.queue {
            None => (alone(options, &harvester, &location, live, dumps).await?, None),
            Some(queue) => with_queue(options, queue, &harvester, &location, live, dumps).await?,
        };
        let took = started.elapsed();
        let ended = end.as_ref().map_or(Ended::Aborted, |(ended, _)| *ended);
        let goes_on = !options.temporary_store;
        let report = Report { workers, goes_on, ..harvester.report(ended, took) };
        Ok::<_, Fatal>(Outcome { end, report })
    })?;
    let code = conclude(options, outcome, &stats, &location, json, page);
    // Connections take some time to close. The report is printed by then, in case of another signal.
    runtime.shutdown_timeout(EXIT_TIMEOUT / 2);
    code
}

/// The end of a run.
struct Outcome {
    end: End,
    report: Report,
}

/// Does the job as the one process that has the store.
async fn alone(
    options: &Options,
    harvester: &Harvester,
    location: &Location,
    live: Option<live::Page>,
    dumps: Option<DumpServer>,
) -> Result<End, Fatal> {
    let show = |checkpoint: &Checkpoint| {
        announce(options, location, checkpoint, dumps.as_ref());
        let own = OwnNumbers { concurrency: options.concurrency as u32, batch: run::BATCH as u32 };
        let numbers = Numbers::Own(own);
        let page = live.map(|page| show(page, options, &harvester.stats, location, numbers));
        Shown { progress: true, page, dumps }
    };
    harvester.run_alone(Shutdown::new().grace(options.grace), show).await
}

/// Does the job as one of the processes that share a queue, and returns the numbers of all of them, too.
async fn with_queue(
    options: &Options,
    queue: &queue::Choice,
    harvester: &Harvester,
    location: &Location,
    live: Option<live::Page>,
    dumps: Option<DumpServer>,
) -> Result<(End, Option<Workers>), Fatal> {
    let Harvester { api, store, stats, .. } = harvester;
    let (source, first) = (source(options), api.relative(&api.first_page()));
    let opened = Queue::open(queue, store, &source, &first, options.lease).await?;
    announce(options, location, &opened.checkpoint, dumps.as_ref());
    out::say(&format!("the jobs are in a queue {queue}"));
    let numbers = Numbers::Board(opened.board.clone());
    let page = live.map(|page| show(page, options, stats, location, numbers));
    let shown = Shown { progress: true, page, dumps };
    stats.resume(&opened.checkpoint);
    let worker = Worker::new(api.clone(), store.clone(), stats.clone(), opened, 2 * options.concurrency);
    let end = harvester.recount(worker.run(options.grace, shown).await).await;
    let workers = worker.finish(end.as_ref().map_or(Ended::Aborted, |(ended, _)| *ended)).await;
    Ok((end, workers))
}

/// Serves the embedded API alone until a signal, and tells what was called.
fn serve(address: SocketAddr, settings: server::Settings) -> Result<u8, Fatal> {
    let server = Server::start(settings, address);
    let server = server.map_err(|error| Fatal::Input(format!("cannot serve at {address}: {error}")))?;
    out::say(&format!("serving at {}", server.base()));
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(broken("cannot start the runtime"))?;
    let wait = async |stop: Stop| stop.draining().await;
    let _ended = runtime.block_on(Shutdown::new().task("serve", wait).run());
    out::say(&server.traffic().to_string());
    Ok(0)
}

/// Opens the quota: that of this process, or of all.
async fn quota(options: &Options, api: &Url) -> Result<Quota, Fatal> {
    let rate = options.rate;
    #[cfg(feature = "queue")]
    if let (Some(server), Some(rate)) = (&options.quota, rate) {
        return Ok(Quota::shared(SharedQuota::open(server, api, rate).await?));
    }
    let _ = api;
    Ok(Quota::own(rate))
}

/// Writes the report to all its destinations, and returns the exit code.
fn conclude(
    options: &Options,
    outcome: Outcome,
    stats: &Stats,
    location: &Location,
    json: Option<Output>,
    page: Option<Output>,
) -> Result<u8, Fatal> {
    let Outcome { end, report } = outcome;
    let code = match end {
        Ok((Ended::Aborted, Reason::Signal(number))) => 128 + number as u8,
        Ok((ended, _)) => u8::from(ended == Ended::Aborted),
        // The rows stored before are worth a report.
        Err(Fatal::Broken(line)) => {
            out::tell(&format!("harvest: {line}"));
            1
        }
        Err(input) => return Err(input),
    };
    out::say(&report.to_string());
    if !options.temporary_store {
        out::say(&afterwards(location, report.ended));
    }
    if let Some(mut file) = json {
        writeln!(file, "{}", report.json()).map_err(broken("cannot write the JSON"))?;
    }
    if let (Some(mut file), Some(timeline)) = (page, stats.timeline()) {
        let latencies = stats.with(|counts| counts.latencies.clone());
        let page = page::html(&report, &latencies, &timeline);
        file.write_all(page.as_bytes()).map_err(broken("cannot write the page"))?;
    }
    Ok(code.max(u8::from(options.strict && !report.failures.is_empty())))
}

/// Creates the destination of a report that is written at the end, so that a bad path fails before the work.
pub(crate) fn create(path: Option<&PathBuf>) -> Result<Option<Output>, Fatal> {
    let create = |path: &PathBuf| {
        Output::create(path)
            .map_err(|error| Fatal::Input(format!("cannot write {}: {error}", path.display())))
    };
    path.map(create).transpose()
}

/// Prints the first lines: the store, the rows that it has already, and where dumps are.
fn announce(options: &Options, location: &Location, checkpoint: &Checkpoint, dumps: Option<&DumpServer>) {
    let lasts =
        if options.temporary_store { ", which is temporary: it goes away after this run" } else { "" };
    out::say(&format!("storing in {location}{lasts}"));
    let (done, of) = (checkpoint.totals.users, checkpoint.totals.listed);
    if of > 0 {
        out::say(&format!(
            "going on with a run that was not finished: {done} of {of} users so far are stored"
        ));
    }
    dumps.iter().for_each(|dumps| out::say(&dumps.announcement()));
}

/// Returns the last lines: what to do with the store.
pub(crate) fn afterwards(location: &Location, ended: Ended) -> String {
    let again = match ended {
        Ended::Complete => "to update it: the same command again reads all once more".to_owned(),
        Ended::Drained | Ended::Aborted => format!("to go on: {}", how_to_go_on(true)),
    };
    format!("to look at it: {}\n{again}", location.query_command())
}

/// Listens to the signal for a file that grows beyond the limit of the process (`ulimit -f`), so that the write fails.
/// Without a listener the signal ends the process silently.
#[cfg(unix)]
fn listen_for_large_files() -> Result<Signal, Fatal> {
    /// SIGXFSZ.
    const TOO_LARGE: i32 = if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 31 } else { 25 };
    signal(SignalKind::from_raw(TOO_LARGE)).map_err(broken("cannot listen to a signal"))
}

#[cfg(not(unix))]
const fn listen_for_large_files() -> Result<(), Fatal> {
    Ok(())
}

pub(crate) fn broken(what: &'static str) -> impl FnOnce(io::Error) -> Fatal {
    move |error| Fatal::Broken(format!("{what}: {error}"))
}

fn setup(options: &Options, base: Url, location: &Location) -> Setup {
    Setup {
        source: source(options),
        base,
        store: location.clone(),
        concurrency: options.concurrency,
        rate: options.rate,
        latency: match &options.source {
            Source::Embedded(settings) => Some(settings.latency),
            Source::Url(_) => None,
        },
        chaos: chaos(options),
    }
}

fn client(options: &Options) -> Result<Web, Fatal> {
    let client = Client::builder().user_agent("evenkeel-harvest").pool_max_idle_per_host(options.concurrency);
    // No encoding is asked for, whatever the client was compiled with: another package of the same build may need it.
    let client = client.no_gzip().no_brotli().no_zstd().no_deflate();
    let client = client.redirect(link::redirects(options.has_https)).referer(false);
    let client = match &options.source {
        // There is no proxy within one process.
        Source::Embedded(_) => client.no_proxy(),
        Source::Url(_) => client,
    };
    let client =
        client.build().map_err(|error| Fatal::Broken(format!("cannot make an HTTP client: {error}")))?;
    Ok(Web { client, has_https: options.has_https })
}

/// Returns the name of the source, which is the same in every run.
pub(crate) fn source(options: &Options) -> String {
    match &options.source {
        Source::Embedded(settings) => {
            let Site { users, page_size, seed } = settings.site;
            format!("the embedded server: {users} users, {page_size} on a page, seed {seed}")
        }
        Source::Url(base) => link::without_password(base),
    }
}

/// Prints where the live page is, and returns the run as it is shown there.
fn show(
    page: live::Page,
    options: &Options,
    stats: &Arc<Stats>,
    location: &Location,
    numbers: Numbers,
) -> LiveRun {
    out::say(&page.announcement());
    let queue = options.queue.as_ref().map(|queue| format!("a queue {queue}"));
    let names = Names { source: source(options), store: location.to_string(), queue };
    LiveRun { page, names, stats: stats.clone(), numbers }
}

/// Returns the seed by which the store misbehaves.
fn chaos(options: &Options) -> Option<u64> {
    match &options.source {
        Source::Embedded(settings) if settings.plan == Plan::Chaos => Some(settings.site.seed),
        _ => None,
    }
}

/// Refuses a run that would run out of file descriptors.
pub(crate) fn check_descriptors(options: &Options) -> Result<(), Fatal> {
    let ends = match options.source {
        Source::Embedded(_) => 2,
        Source::Url(_) => 1,
    };
    let readers = options.page.map_or(0, |_| live::MAX_CONNECTIONS);
    let readers = readers + options.inspect.map_or(0, |_| DUMP_CONNECTIONS);
    let needed = DESCRIPTORS + readers + ends * options.concurrency;
    match process::descriptor_limit() {
        Some(limit) if limit < needed => Err(Fatal::Input(format!(
            "too few file descriptors: {needed} needed, {limit} allowed; raise the limit (ulimit -n {needed}) or \
             lower --concurrency"
        ))),
        _ => Ok(()),
    }
}
