//! Reads a paginated HTTP API, enriches every user on it with two more calls, and stores all of it in a database.
//!
//! This is the work that the crates exist for, in one program. Start reading at [`run`]:
//!
//! | file | contents |
//! |---|---|
//! | `run.rs`, `pages.rs` | the job: pages, users, batches, and how it stops; how a page is read |
//! | `queue.rs`, `queue/` | the same job as jobs of a queue, for several processes |
//! | `api.rs`, `quota.rs` | the client: rate, calls in flight, retries, and which of them is around which; one rate for all processes |
//! | `error.rs` | the errors of a call, and whether another attempt is worth it; the errors that end the run |
//! | `store.rs`, `store/` | the database: the rows, and the progress of the run |
//! | `stats.rs`, `progress.rs`, `report.rs`, `lower_bound.rs`, `histogram.rs` | the counts of the run, during it and at its end |
//! | `board.rs` | the numbers of each process of a harvest, for all of them |
//! | `supervisor.rs`, `supervisor/` | several workers as processes: started, shown and reported on together |
//! | `workers.rs`, `live.rs`, `live/` | these numbers added up, and the live page that shows them |
//! | `timeline.rs`, `timeline/`, `page.rs`, `page/` | the recording of a run over time, and the page that shows it |
//! | `server.rs`, `server/` | an embedded server of such an API, with faults |
//! | `json.rs`, `model.rs` | the documents, split into records |
//! | `link.rs` | which links and redirects are followed |
//! | `cli.rs`, `out.rs`, `process.rs` | the flags, the lines that are printed, the limits and memory of the process |

mod api;
mod board;
mod cli;
mod error;
mod histogram;
mod json;
mod link;
mod live;
mod lower_bound;
mod model;
mod out;
mod page;
mod pages;
mod process;
mod progress;
mod queue;
mod quota;
mod report;
mod run;
mod server;
mod stats;
mod store;
#[cfg(feature = "queue")]
mod supervisor;
mod timeline;
mod workers;

use std::{
    env,
    fs::File,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use api::{Api, POLICY, budget};
use board::Workers;
use cli::{Options, Source};
use error::Fatal;
use evenkeel::{
    limit::{Rate, RateLimiter},
    shutdown::{Reason, Shutdown},
    task::Stop,
};
use live::{LiveRun, Names, Numbers, OwnNumbers};
use lower_bound::Job;
use queue::{Queue, Worker};
use quota::Quota;
use report::{Ended, Report};
use reqwest::{Client, Url};
use run::Harvest;
use server::{Plan, Server, Site};
use stats::{Counts, Stats};
use store::{Checkpoint, Location, Store};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::{
    runtime,
    time::{Instant, timeout},
};

/// The threads of the runtime. Few are enough, since the job mostly waits.
const WORKERS: usize = 2;

/// The time for the rest of the program once all tasks have ended. Two seconds after an abort a watchdog ends the process.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The file descriptors that a run needs beside its calls: standard streams, runtimes, database, report.
const DESCRIPTORS: usize = 64;

fn main() -> ExitCode {
    let options = match cli::parse(env::args_os().skip(1).collect()) {
        Ok(options) => options,
        Err(help) if help.is_help() => {
            out::say(&help.to_string());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            out::tell(&error.to_string());
            return ExitCode::from(2);
        }
    };
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
        return serve(address, *settings);
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
        let quota = quota(options, &base).await?;
        let api = Arc::new(api(options, base, quota, stats.clone())?);
        let store = Store::open(&location, stats.clone(), chaos(options)).await?;
        let (end, workers) = match &options.queue {
            None => (alone(options, api, &store, &stats, &location, live).await?, None),
            Some(queue) => with_queue(options, queue, api, &store, &stats, &location, live).await?,
        };
        let took = started.elapsed();
        if !matches!(end, Ok((Ended::Complete | Ended::Drained, _))) {
            // A write that was cut off may have been committed.
            let _ = timeout(EXIT_TIMEOUT, store.recount()).await;
        }
        Ok::<_, Fatal>(Outcome { end, took, workers })
    })?;
    let code = conclude(options, outcome, &stats, &location, json, page);
    // Connections take some time to close. The report is printed by then, in case of another signal.
    runtime.shutdown_timeout(EXIT_TIMEOUT / 2);
    code
}

/// How a run ended, and why, unless it failed.
type End = Result<(Ended, Reason), Fatal>;

/// The end of a run.
struct Outcome {
    end: End,
    took: Duration,
    /// The processes that shared it.
    workers: Option<Workers>,
}

/// Does the job as the one process that has the store.
async fn alone(
    options: &Options,
    api: Arc<Api>,
    store: &Store,
    stats: &Arc<Stats>,
    location: &Location,
    live: Option<live::Page>,
) -> Result<End, Fatal> {
    let checkpoint = store.begin(&source(options), &api.relative(&api.first_page())).await?;
    announce(options, location, &checkpoint);
    let own = OwnNumbers { concurrency: options.concurrency as u32, batch: run::BATCH as u32 };
    let live = live.map(|page| show(page, options, stats, location, Numbers::Own(own)));
    stats.resume(&checkpoint);
    let max_documents = 2 * options.concurrency;
    let checkpoint = Arc::new(checkpoint);
    let harvest = Harvest { api, store: store.clone(), stats: stats.clone(), checkpoint, max_documents };
    Ok(harvest.run(options.grace, live).await)
}

/// Does the job as one of the processes that share a queue, and returns the numbers of all of them, too.
async fn with_queue(
    options: &Options,
    queue: &queue::Choice,
    api: Arc<Api>,
    store: &Store,
    stats: &Arc<Stats>,
    location: &Location,
    live: Option<live::Page>,
) -> Result<(End, Option<Workers>), Fatal> {
    let (source, first) = (source(options), api.relative(&api.first_page()));
    let opened = Queue::open(queue, store, &source, &first, options.lease).await?;
    announce(options, location, &opened.checkpoint);
    out::say(&format!("the jobs are in a queue {queue}"));
    let numbers = Numbers::Board(opened.board.clone());
    let live = live.map(|page| show(page, options, stats, location, numbers));
    stats.resume(&opened.checkpoint);
    let worker = Worker::new(api, store.clone(), stats.clone(), opened, 2 * options.concurrency);
    let end = worker.run(options.grace, live).await;
    let ended = end.as_ref().map_or(Ended::Aborted, |(ended, _)| *ended);
    let workers = worker.finish(ended).await;
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
        return Ok(Quota::Shared(quota::SharedQuota::open(server, api, rate).await?));
    }
    let _ = api;
    let limiter = rate
        .map_or_else(RateLimiter::unlimited, |rate| RateLimiter::new(Rate::per_second(rate.get())).burst(1));
    Ok(Quota::Own(limiter))
}

/// Writes the report to all its destinations, and returns the exit code.
fn conclude(
    options: &Options,
    outcome: Outcome,
    stats: &Stats,
    location: &Location,
    json: Option<File>,
    page: Option<File>,
) -> Result<u8, Fatal> {
    let Outcome { end, took, workers } = outcome;
    let (ended, code) = match end {
        Ok((Ended::Aborted, Reason::Signal(number))) => (Ended::Aborted, 128 + number as u8),
        Ok((ended, _)) => (ended, u8::from(ended == Ended::Aborted)),
        // The rows stored before are worth a report.
        Err(Fatal::Broken(line)) => {
            out::tell(&format!("harvest: {line}"));
            (Ended::Aborted, 1)
        }
        Err(input) => return Err(input),
    };
    let latencies = stats.with(|counts| counts.latencies.clone());
    let mut report = report(options, ended, took, stats, location);
    report.workers = workers;
    out::say(&report.to_string());
    if !options.temporary_store {
        out::say(&afterwards(location, ended));
    }
    if let Some(mut file) = json {
        writeln!(file, "{}", report.json()).map_err(broken("cannot write the JSON"))?;
    }
    if let (Some(mut file), Some(timeline)) = (page, stats.timeline()) {
        let page = page::html(&report, &latencies, &timeline);
        file.write_all(page.as_bytes()).map_err(broken("cannot write the page"))?;
    }
    Ok(code.max(u8::from(options.strict && !report.failures.is_empty())))
}

/// Creates a file that is written at the end, so that a bad path fails before the work.
fn create(path: Option<&PathBuf>) -> Result<Option<File>, Fatal> {
    let create = |path: &PathBuf| {
        File::create(path).map_err(|error| Fatal::Input(format!("cannot write {}: {error}", path.display())))
    };
    path.map(create).transpose()
}

/// Prints the first lines: the store, and the rows that it has already.
fn announce(options: &Options, location: &Location, checkpoint: &Checkpoint) {
    let lasts =
        if options.temporary_store { ", which is temporary: it goes away after this run" } else { "" };
    out::say(&format!("storing in {location}{lasts}"));
    let (done, of) = (checkpoint.totals.users, checkpoint.totals.listed);
    if of > 0 {
        out::say(&format!(
            "going on with a run that was not finished: {done} of {of} users so far are stored"
        ));
    }
}

/// Returns the last lines: what to do with the store.
fn afterwards(location: &Location, ended: Ended) -> String {
    let again = match ended {
        Ended::Complete => "to update it: the same command again reads all once more",
        Ended::Drained | Ended::Aborted => "to go on: the same command again begins where this run ended",
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

fn broken(what: &'static str) -> impl FnOnce(io::Error) -> Fatal {
    move |error| Fatal::Broken(format!("{what}: {error}"))
}

fn api(options: &Options, base: Url, quota: Quota, stats: Arc<Stats>) -> Result<Api, Fatal> {
    let client = Client::builder().user_agent("evenkeel-harvest").pool_max_idle_per_host(options.concurrency);
    // No encoding is asked for, whatever the client was compiled with: another package of the same build may need it.
    let client = client.no_gzip().no_brotli().no_zstd().no_deflate();
    let client = client.redirect(link::redirects()).referer(false);
    let (client, policy) = match &options.source {
        // There is no proxy within one process, and its answers come in time or never.
        Source::Embedded(settings) => {
            (client.no_proxy(), POLICY.attempt_timeout(2 * settings.latency + Duration::from_secs(1)))
        }
        Source::Url(_) => (client, POLICY),
    };
    let policy = policy.budget(budget(options.concurrency));
    let client =
        client.build().map_err(|error| Fatal::Broken(format!("cannot make an HTTP client: {error}")))?;
    Ok(Api::new(client, base, policy, quota, options.concurrency, stats))
}

/// Returns the name of the source, which is the same in every run.
fn source(options: &Options) -> String {
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

fn report(options: &Options, ended: Ended, took: Duration, stats: &Stats, store: &Location) -> Report {
    let counts = stats.with(|counts| counts.clone());
    let latency = match &options.source {
        Source::Embedded(settings) => settings.latency,
        // The latency of another server is known only from its answers.
        Source::Url(_) => counts.latencies.mean(),
    };
    let Counts { documents, pages, .. } = counts;
    let job = Job { documents, pages, latency, concurrency: options.concurrency as u64, rate: options.rate };
    Report::new(ended, counts, took, &job, store.to_string())
}

/// Refuses a run that would run out of file descriptors.
fn check_descriptors(options: &Options) -> Result<(), Fatal> {
    let ends = match options.source {
        Source::Embedded(_) => 2,
        Source::Url(_) => 1,
    };
    let readers = if options.page.is_some() { live::MAX_CONNECTIONS } else { 0 };
    let needed = DESCRIPTORS + readers + ends * options.concurrency;
    match process::descriptor_limit() {
        Some(limit) if limit < needed => Err(Fatal::Input(format!(
            "too few file descriptors: {needed} needed, {limit} allowed; raise the limit (ulimit -n {needed}) or \
             lower --concurrency"
        ))),
        _ => Ok(()),
    }
}
