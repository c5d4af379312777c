//! Reads a paginated HTTP API, enriches every user on it with two more calls, and stores all in a database.
//!
//! It is the work that the crates exist for, in one program; [`run`] is its heart and the place to start reading.
//!
//! | file | has |
//! |---|---|
//! | `run.rs` | the job: pages, users, batches, and how it stops |
//! | `api.rs` | the client: rate, calls in flight, retries, and which of them is around which |
//! | `error.rs` | which failure is worth another attempt, which ends the run |
//! | `store/` | the database: the rows, and what has been read so far |
//! | `stats.rs`, `progress.rs`, `report.rs`, `floor.rs`, `histogram.rs` | what has happened, on the way and at the end |
//! | `timeline/`, `page/` | what has happened when, and the page that shows it |
//! | `server/` | the API itself, with faults, for those who have no other |
//! | `json.rs`, `model.rs` | the documents, taken apart into records |
//! | `link.rs` | which links and redirects are followed |
//! | `cli.rs`, `out.rs`, `process.rs` | the flags, the lines that are printed, what the system says of the process |

mod api;
mod cli;
mod error;
mod floor;
mod histogram;
mod json;
mod link;
mod model;
mod out;
mod page;
mod process;
mod progress;
mod report;
mod run;
mod server;
mod stats;
mod store;
mod timeline;

use std::{
    env,
    fs::File,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use evenkeel::{
    limit::{Rate, RateLimiter},
    shutdown::Reason,
};
use reqwest::{Client, Url};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::{
    runtime,
    time::{Instant, timeout},
};

use api::{Api, POLICY, budget};
use cli::{Options, Source};
use error::Fatal;
use floor::Job;
use report::{Ended, Report};
use run::Harvest;
use server::{Plan, Server, Site};
use stats::{Counts, Stats};
use store::{Left, Location, Store};

/// Threads of the runtime; the job waits for others most of the time.
const WORKERS: usize = 2;

/// How long the end may take once all tasks have ended; two seconds after an abort a watchdog ends the process.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a run needs beside its calls: standard streams, runtimes, database, report.
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

/// One run, from the flags to the report and the exit code.
fn harvest(options: &Options) -> Result<u8, Fatal> {
    enough_descriptors(options)?;
    let json = create(options.json.as_ref())?;
    let page = create(options.report.as_ref())?;
    let location = options.store.locate().map_err(Fatal::Input)?;
    // The server ends when this function does.
    let (base, _server) = match &options.source {
        Source::Url(base) => (base.clone(), None),
        Source::Embedded(settings) => {
            let server = Server::start(*settings).map_err(broken("cannot start the server"))?;
            (server.base().clone(), Some(server))
        }
    };

    let runtime = runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.map_err(broken("cannot start the runtime"))?;
    let stats = Arc::new(if page.is_some() { Stats::recording() } else { Stats::default() });
    let started = Instant::now();
    let (end, took) = runtime.block_on(async {
        let _heard = hear_of_large_files()?;
        let api = Arc::new(api(options, base, stats.clone())?);
        let store = Store::open(&location, stats.clone(), chaos(options)).await?;
        let left = store.begin(&source(options), &api.relative(&api.first_page())).await?;
        announce(options, &location, &left);
        stats.resume(&left);
        let window = 2 * options.concurrency;
        let harvest =
            Harvest { api, store: store.clone(), stats: stats.clone(), left: Arc::new(left), window };
        let end = harvest.run(options.grace).await;
        let took = started.elapsed();
        if !matches!(end, Ok((Ended::Complete | Ended::Drained, _))) {
            // What was cut off may have been stored all the same.
            let _ = timeout(LAST_WORDS, store.recount()).await;
        }
        Ok::<_, Fatal>((end, took))
    })?;
    let code = conclude(options, end, took, &stats, &location, json, page);
    // Connections take their time to close. Whoever sends a signal meanwhile has the report.
    runtime.shutdown_timeout(LAST_WORDS / 2);
    code
}

/// Says how the run ended, wherever that is asked for, and gives the exit code.
fn conclude(
    options: &Options,
    end: Result<(Ended, Reason), Fatal>,
    took: Duration,
    stats: &Stats,
    location: &Location,
    json: Option<File>,
    page: Option<File>,
) -> Result<u8, Fatal> {
    let (ended, code) = match end {
        Ok((Ended::Aborted, Reason::Signal(number))) => (Ended::Aborted, 128 + number as u8),
        Ok((ended, _)) => (ended, u8::from(ended == Ended::Aborted)),
        // What was stored before is worth a report.
        Err(Fatal::Broken(line)) => {
            out::tell(&format!("harvest: {line}"));
            (Ended::Aborted, 1)
        }
        Err(input) => return Err(input),
    };
    let latencies = stats.with(|counts| counts.latencies.clone());
    let report = report(options, ended, took, stats, location);
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

/// A file that is to be written in the end: one that cannot be is found out before all the work.
fn create(path: Option<&PathBuf>) -> Result<Option<File>, Fatal> {
    let create = |path: &PathBuf| {
        File::create(path).map_err(|error| Fatal::Input(format!("cannot write {}: {error}", path.display())))
    };
    path.map(create).transpose()
}

/// The first of what it says: where it stores, and what is there already.
fn announce(options: &Options, location: &Location, left: &Left) {
    let lasts =
        if options.temporary_store { ", which is temporary: it goes away after this run" } else { "" };
    out::say(&format!("storing in {location}{lasts}"));
    let (done, of) = (left.totals.users, left.totals.listed);
    if of > 0 {
        out::say(&format!(
            "going on with a run that was not finished: {done} of {of} users so far are stored"
        ));
    }
}

/// The last of what it says: what to do with the store.
fn afterwards(location: &Location, ended: Ended) -> String {
    let again = match ended {
        Ended::Complete => "to update it: the same command again reads all once more",
        Ended::Drained | Ended::Aborted => "to go on: the same command again begins where this run ended",
    };
    format!("to look at it: {}\n{again}", location.look())
}

/// A file that grows beyond the limit of the process (`ulimit -f`) is an error where it is written, and not the end of
/// the process without a word: that is what the system does to those who do not listen.
#[cfg(unix)]
fn hear_of_large_files() -> Result<Signal, Fatal> {
    /// SIGXFSZ.
    const TOO_LARGE: i32 = if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 31 } else { 25 };
    signal(SignalKind::from_raw(TOO_LARGE)).map_err(broken("cannot listen to a signal"))
}

#[cfg(not(unix))]
const fn hear_of_large_files() -> Result<(), Fatal> {
    Ok(())
}

fn broken(what: &'static str) -> impl FnOnce(io::Error) -> Fatal {
    move |error| Fatal::Broken(format!("{what}: {error}"))
}

fn api(options: &Options, base: Url, stats: Arc<Stats>) -> Result<Api, Fatal> {
    let client = Client::builder().user_agent("evenkeel-harvest").pool_max_idle_per_host(options.concurrency);
    let client = client.redirect(link::redirects()).referer(false);
    let (client, policy) = match &options.source {
        // No proxy is between the two ends of one process, and what it answers comes in time or never.
        Source::Embedded(settings) => {
            (client.no_proxy(), POLICY.attempt_timeout(2 * settings.latency + Duration::from_secs(1)))
        }
        Source::Url(_) => (client, POLICY),
    };
    let policy = policy.budget(budget(options.concurrency));
    let client =
        client.build().map_err(|error| Fatal::Broken(format!("cannot make an HTTP client: {error}")))?;
    let limiter = options
        .rate
        .map_or_else(RateLimiter::unlimited, |rate| RateLimiter::paced(Rate::per_second(rate.get())));
    Ok(Api::new(client, base, policy, limiter, options.concurrency, stats))
}

/// What is read, by a name that is the same the next time.
fn source(options: &Options) -> String {
    match &options.source {
        Source::Embedded(settings) => {
            let Site { users, page_size, seed } = settings.site;
            format!("the embedded server: {users} users, {page_size} on a page, seed {seed}")
        }
        Source::Url(base) => link::without_password(base),
    }
}

/// The seed by which the store misbehaves.
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
        // What others need for an answer is only known from the answers.
        Source::Url(_) => counts.latencies.mean(),
    };
    let Counts { documents, pages, .. } = counts;
    let job = Job { documents, pages, latency, concurrency: options.concurrency as u64, rate: options.rate };
    Report::new(ended, counts, took, &job, store.to_string())
}

/// A run that would fail in its middle for want of file descriptors does not begin.
fn enough_descriptors(options: &Options) -> Result<(), Fatal> {
    let ends = match options.source {
        Source::Embedded(_) => 2,
        Source::Url(_) => 1,
    };
    let needed = DESCRIPTORS + ends * options.concurrency;
    match process::descriptor_limit() {
        Some(limit) if limit < needed => Err(Fatal::Input(format!(
            "too few file descriptors: {needed} needed, {limit} allowed; raise the limit (ulimit -n {needed}) or \
             lower --concurrency"
        ))),
        _ => Ok(()),
    }
}
