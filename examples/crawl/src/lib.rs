//! A polite, resumable crawler that reports broken links.
//!
//! | file | contents |
//! |---|---|
//! | `run.rs` | the job: URLs, outcomes, batches, and how it stops; start reading here |
//! | `frontier.rs` | which URL is next |
//! | `fetch.rs`, `fetch/` | one URL: rules, rate, retries, the request and its answer |
//! | `pacer.rs`, `robots.rs` | the time between two requests to a host; the rules of a robots.txt |
//! | `html.rs`, `html/`, `anchors.rs`, `page.rs` | the links and the targets of fragments on a page; its links resolved |
//! | `canonical.rs`, `scope.rs` | when two URLs are one; which URLs are followed, checked or left alone |
//! | `outcome.rs` | the outcome of a URL, and the kinds of problems |
//! | `store.rs`, `store/` | the database: the frontier, pages, links |
//! | `check.rs`, `ignore.rs` | which links are broken; which of these are not reported |
//! | `report.rs`, `report/`, `stats.rs`, `progress.rs`, `log.rs` | the report, the numbers, the progress lines, the log of requests |
//! | harvest's `echo.rs` | the echo of the terminal, which would spoil the bar |
//! | `serve.rs` | a server of files, to crawl a folder |
//! | harvest's `dumps.rs` | which task waits for what, for people who want to know |
//! | `cli.rs`, `error.rs`, `out.rs` | the flags, the errors that end the run, the lines that are printed |

mod anchors;
mod canonical;
mod check;
mod cli;
#[path = "../../harvest/src/dumps.rs"]
mod dumps;
#[path = "../../harvest/src/echo.rs"]
mod echo;
mod error;
mod fetch;
mod frontier;
mod html;
mod ignore;
mod log;
mod out;
mod outcome;
mod pacer;
mod page;
mod progress;
mod report;
mod robots;
mod run;
mod scope;
mod serve;
mod stats;
mod store;

use std::{
    ffi::OsString,
    io::{self, BufWriter},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use command_line::Output;
use evenkeel::shutdown::Reason;
use tokio::{runtime, time::Instant};

use crate::{
    check::Check,
    cli::Options,
    dumps::DumpServer,
    error::Fatal,
    fetch::{Fetcher, Limits},
    frontier::Frontier,
    log::RequestLog,
    pacer::Pacer,
    report::{Numbers, Report},
    run::{Crawl, Ended},
    serve::FileServer,
    stats::Stats,
    store::Store,
};

/// The threads of the runtime. Few are enough, since the job mostly waits.
const WORKERS: usize = 2;

/// The time for connections to close at the end.
const EXIT_TIMEOUT: Duration = Duration::from_millis(500);

/// The exit code if links are broken.
const BROKEN: u8 = 1;
/// The exit code for wrong input.
const INPUT: u8 = 2;
/// The exit code if the crawl was stopped before its end, so that nothing is known of the rest.
const STOPPED: u8 = 3;

/// The reason why a URL with `https:` cannot be asked for.
const NO_HTTPS: &str = "this program was built without HTTPS: cargo run --release -p crawl-https";

/// Crawls as the flags say, reports, and returns the exit code. A URL with `https:` is an error.
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    run_program(args, false)
}

/// Does the same in a build whose reqwest knows TLS; a provider of cryptography is installed already.
#[must_use]
pub fn main_with_https(args: Vec<OsString>) -> ExitCode {
    run_program(args, true)
}

fn run_program(args: Vec<OsString>, has_https: bool) -> ExitCode {
    let options = match cli::parse(args, has_https) {
        Ok(options) => options,
        Err(help) if help.is_help() => {
            out::say(&help.to_string());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            out::tell(&format!("crawl: {error}"));
            return ExitCode::from(INPUT);
        }
    };
    if options.stdout_is_taken {
        out::leave_stdout();
    }
    match crawl(&options) {
        Ok(code) => code.into(),
        Err(fatal) => {
            out::tell(&format!("crawl: {fatal}"));
            match fatal {
                Fatal::Input(_) => INPUT.into(),
                Fatal::Broken(_) => STOPPED.into(),
            }
        }
    }
}

fn crawl(options: &Options) -> Result<u8, Fatal> {
    let json = create(options.json.as_ref())?;
    let page = create(options.report.as_ref())?;
    let log =
        RequestLog::new(options.log.as_deref()).map_err(|error| Fatal::Input(format!("--log: {error}")))?;
    let runtime = runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.map_err(broken("cannot start the runtime"))?;
    let code = runtime.block_on(run(options, log, json, page));
    // A write in progress is finished before that.
    runtime.shutdown_timeout(EXIT_TIMEOUT);
    code
}

async fn run(
    options: &Options,
    log: RequestLog,
    json: Option<Output>,
    page: Option<Output>,
) -> Result<u8, Fatal> {
    let begun = Instant::now();
    let dumps = match options.inspect {
        Some(address) => Some(DumpServer::bind(address).await?),
        None => None,
    };
    let server = options.serve.as_ref().map(|folder| FileServer::start(folder, &options.start));
    let _server = match server {
        Some(server) => Some(server.await.map_err(|error| Fatal::Input(format!("--serve: {error}")))?),
        None => None,
    };
    let (scope, stats) = (Arc::new(options.scope.clone()), Arc::new(Stats::default()));
    let location = options.store.locate();
    let mut store = Store::open(&location, scope.clone(), stats.clone()).await?;
    let checkpoint = store.begin(&options.job(), &options.start).await?;
    out::say(&format!("storing in {location}"));
    dumps.iter().for_each(|dumps| out::say(&dumps.announcement()));
    if checkpoint.is_continued {
        out::say(&format!(
            "going on with a crawl that was not finished: {} URLs done, {} to visit",
            checkpoint.done, checkpoint.queued
        ));
    }
    stats.with(|counts| {
        (counts.done, counts.done_before) = (checkpoint.done, checkpoint.done);
        counts.known = checkpoint.done + checkpoint.queued;
    });
    let crawl = job(options, &store, log, stats.clone())?;
    if checkpoint.is_continued || checkpoint.pass > 1 {
        crawl.fetcher.resume(&scope.hosts);
    }
    let (ended, reason) = crawl.run(options.grace, dumps).await?;
    let (totals, counts) = (store.totals().await?, stats.with(|counts| counts.clone()));
    let start = options.start.as_str();
    let numbers = Numbers::new(ended, start, checkpoint.pass, &totals, &counts, begun.elapsed());
    let report = Report { store: &store, numbers, broken: store.broken_counts().await? };
    out::say(&report.text().await?);
    if let Some(file) = json {
        report.json(&mut BufWriter::new(file)).await?.map_err(broken("cannot write the JSON"))?;
    }
    if let Some(file) = page {
        report.html(&mut BufWriter::new(file)).await?.map_err(broken("cannot write the page"))?;
    }
    Ok(match (ended, reason) {
        (Ended::Complete, _) if report.broken() > 0 => BROKEN,
        (Ended::Complete, _) => 0,
        (Ended::Aborted, Reason::Signal(number)) => 128 + number as u8,
        _ => STOPPED,
    })
}

fn job(options: &Options, store: &Store, log: RequestLog, stats: Arc<Stats>) -> Result<Crawl, Fatal> {
    let Options { timeout, max_body, obeys_robots, has_https, .. } = *options;
    let limits = Limits { timeout, max_body, obeys_robots, has_https };
    let client = Fetcher::client(options.per_host)
        .map_err(|error| Fatal::Broken(format!("cannot make an HTTP client: {error}")))?;
    let pacer = Pacer::new(options.rate.map(Into::into));
    let hosts = &options.scope.hosts;
    let frontier = Frontier::new(store.clone(), hosts, options.per_host, options.scope.depth.is_some());
    Ok(Crawl {
        store: store.clone(),
        frontier: Arc::new(frontier),
        fetcher: Arc::new(Fetcher::new(client, limits, pacer, log, stats.clone())),
        check: Check {
            store: store.clone(),
            ignore: options.ignore.clone(),
            max_redirects: options.max_redirects,
        },
        stats,
        hosts: hosts.len(),
        max_in_flight: options.per_host.saturating_mul(hosts.len()),
        is_complete: Arc::default(),
    })
}

/// Creates the destination of a report that is written at the end, so that a bad path fails before the work.
fn create(path: Option<&PathBuf>) -> Result<Option<Output>, Fatal> {
    let create = |path: &PathBuf| {
        Output::create(path)
            .map_err(|error| Fatal::Input(format!("cannot write {}: {error}", path.display())))
    };
    path.map(create).transpose()
}

fn broken(what: &'static str) -> impl FnOnce(io::Error) -> Fatal {
    move |error| Fatal::Broken(format!("{what}: {error}"))
}
