//! The command line: flags, their defaults, and which of them exclude each other.

use std::{
    ffi::OsString,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use reqwest::Url;

use crate::{
    live::Address,
    queue::{Choice as QueueChoice, NOT_BUILT},
    server::{Plan, Settings, Site},
    store::Choice,
};

mod flags {
    use std::{
        net::SocketAddr,
        num::{NonZeroU32, NonZeroU64},
        path::PathBuf,
    };

    use super::{Address, Choice, Concurrency, Faults, QueueChoice, Time, WorkerCount};

    xflags::xflags! {
        /// Reads a paginated HTTP API, enriches every user with two more calls, stores all in a database.
        /// Without --url it starts a server of such an API in this process, with faults, and reads that.
        cmd harvest {
            /// Read this API instead of the embedded one: http://host/path or https://host/path.
            optional --url base: String
            /// HTTP calls in flight at most, pages included [100, with --url 8].
            optional --concurrency n: Concurrency
            /// HTTP calls started per second at most [no limit].
            optional --rate n: NonZeroU32
            /// Where to store: sqlite:PATH, postgres:URL, env, which is the PostgreSQL database that DATABASE_URL names,
            /// or auto, which is a SQLite file in the user's cache directory [auto].
            optional --store store: Choice
            /// Do the work as jobs of a queue: memory, which is in this process, or one that several processes share:
            /// postgres:URL, which is also where they store, or nats://host:port, with --store postgres:URL.
            optional --queue queue: QueueChoice
            /// With --queue: how long after a process has gone others do its work [5s].
            optional --lease time: Time
            /// With --rate: it is that of all processes together, kept in a Redis server: redis://host:port.
            optional --quota server: String
            /// With --queue: start so many workers as processes of their own, show all of them, report on them together, and
            /// end them with this one.
            optional --workers n: WorkerCount
            /// With --workers: start another one in the place of one that died.
            optional --restart
            /// With --workers: kill one half-way, with no moment to clean up, and start another one.
            optional --kill
            /// Stop, as by SIGTERM, when stdin ends: the workers of --workers do.
            optional --stop-with-stdin
            /// Say that the store goes away after this run, and not how to look at it.
            optional --temporary-store
            /// Write the report to this file as JSON, too.
            optional --json file: PathBuf
            /// Write a page to this file that shows the run: what was called when, what failed, what had to wait.
            optional --report file: PathBuf
            /// Show the run on a live page at this address of this machine, 127.0.0.1:0 or a port. Others can read it
            /// only if the address is one that they reach.
            optional --page address: Address
            /// How long work in flight may take to end after Ctrl-C or SIGTERM: 10, 10s, 500ms, 2m [10s].
            optional --grace time: Time
            /// Exit with 1 if any document failed.
            optional --strict
            /// Embedded server: it alone, for other processes, at this address: 127.0.0.1:8080, with port 0 a free one.
            optional --serve address: SocketAddr
            /// Embedded server: how many users it has [1000].
            optional --users n: u64
            /// Embedded server: users on a page [100].
            optional --page-size n: NonZeroU64
            /// Embedded server: milliseconds until it answers a call [200].
            optional --latency ms: u64
            /// Embedded server: which faults it has, none or default [default].
            optional --faults plan: Faults
            /// Embedded server: it, the store and the network between them misbehave.
            optional --chaos
            /// Embedded server: where its data and faults are drawn from [1].
            optional --seed n: u64
        }
    }
}

/// The default for servers of others, which may accept a handful of connections at a time.
const CONCURRENCY_OF_URL: usize = 8;
const CONCURRENCY: usize = 100;
const MAX_CONCURRENCY: usize = 100_000;

/// Each worker has up to seven connections to the database, and a server has a hundred by default.
const MAX_WORKERS: usize = 12;

/// The limits of `--lease`: the shortest is that of the queues, the longest keeps work from being lost from sight.
const LEASES: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(3600);

/// The options of a run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) source: Source,
    pub(crate) concurrency: usize,
    pub(crate) rate: Option<NonZeroU32>,
    /// The Redis server that has the rate of all processes.
    #[cfg_attr(not(feature = "queue"), expect(dead_code, reason = "the flag is refused"))]
    pub(crate) quota: Option<Url>,
    pub(crate) store: Choice,
    pub(crate) queue: Option<QueueChoice>,
    /// The time after which the work of a process that has gone is done by others.
    pub(crate) lease: Duration,
    #[cfg_attr(not(feature = "queue"), expect(dead_code, reason = "processes share no queue without it"))]
    pub(crate) team: Option<Team>,
    pub(crate) stop_with_stdin: bool,
    /// The address at which only the embedded server runs.
    pub(crate) serve: Option<SocketAddr>,
    pub(crate) temporary_store: bool,
    pub(crate) json: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
    pub(crate) page: Option<Address>,
    pub(crate) grace: Duration,
    pub(crate) strict: bool,
}

/// The workers that are started as processes of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Team {
    pub(crate) workers: usize,
    /// Starts another one in the place of one that died.
    pub(crate) restart: bool,
    /// Kills one half-way, and starts another one.
    pub(crate) kill: bool,
}

/// The API to read.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Embedded(Settings),
    Url(Url),
}

/// Parses the flags, without the name of the program.
pub(crate) fn parse(args: Vec<OsString>) -> xflags::Result<Options> {
    let flags = flags::Harvest::from_vec(args)?;
    let (source, concurrency) = match &flags.url {
        Some(base) => (Source::Url(base_url(base, &flags)?), CONCURRENCY_OF_URL),
        None => (Source::Embedded(settings(&flags)?), CONCURRENCY),
    };
    let (lease, team) = (lease(&flags)?, team(&flags)?);
    let quota = flags.quota.as_deref().map(|server| quota(server, flags.rate)).transpose()?;
    let store = match &flags.queue {
        Some(queue) => queue.store(flags.store).map_err(xflags::Error::new)?,
        None => flags.store.unwrap_or(Choice::Auto),
    };
    Ok(Options {
        source,
        concurrency: flags.concurrency.map_or(concurrency, |Concurrency(n)| n),
        rate: flags.rate,
        quota,
        queue: flags.queue,
        lease,
        team,
        stop_with_stdin: flags.stop_with_stdin,
        serve: flags.serve,
        temporary_store: flags.temporary_store || store.is_in_memory(),
        store,
        json: flags.json,
        report: flags.report,
        page: flags.page,
        grace: flags.grace.map_or(Duration::from_secs(10), |Time(time)| time),
        strict: flags.strict,
    })
}

fn lease(flags: &flags::Harvest) -> xflags::Result<Duration> {
    match flags.lease {
        None => Ok(Duration::from_secs(5)),
        Some(_) if flags.queue.is_none() => Err(xflags::Error::new("--lease does nothing without --queue")),
        Some(Time(time)) if LEASES.contains(&time) => Ok(time),
        Some(_) => Err(xflags::Error::new("--lease is a time from 500ms to 60m")),
    }
}

fn team(flags: &flags::Harvest) -> xflags::Result<Option<Team>> {
    let Some(WorkerCount(workers)) = flags.workers else {
        let others = [("--restart", flags.restart), ("--kill", flags.kill)];
        return match others.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => Err(xflags::Error::new(format!("{flag} does nothing without --workers"))),
            None => Ok(None),
        };
    };
    if flags.queue.as_ref().is_none_or(|queue| *queue == QueueChoice::Memory) {
        return Err(xflags::Error::new(
            "--workers needs a queue that processes share: --queue postgres:URL, or nats://host:port",
        ));
    }
    let of_one = [("--report", flags.report.is_some()), ("--serve", flags.serve.is_some())];
    if let Some((flag, _)) = of_one.iter().find(|(_, is_given)| *is_given) {
        return Err(xflags::Error::new(format!("{flag} is of one process, it does not go with --workers")));
    }
    Ok(Some(Team { workers, restart: flags.restart, kill: flags.kill }))
}

fn quota(server: &str, rate: Option<NonZeroU32>) -> xflags::Result<Url> {
    if cfg!(not(feature = "queue")) {
        return Err(xflags::Error::new(format!("--quota: {}", NOT_BUILT)));
    }
    if rate.is_none() {
        return Err(xflags::Error::new(
            "--quota needs --rate: the calls per second of all processes together",
        ));
    }
    match Url::parse(server) {
        Ok(url) if matches!(url.scheme(), "redis" | "rediss" | "redis+unix") => Ok(url),
        _ => Err(xflags::Error::new("--quota is the address of a Redis server: redis://host:port")),
    }
}

fn base_url(base: &str, flags: &flags::Harvest) -> xflags::Result<Url> {
    let of_the_embedded = [
        ("--users", flags.users.is_some()),
        ("--page-size", flags.page_size.is_some()),
        ("--latency", flags.latency.is_some()),
        ("--faults", flags.faults.is_some()),
        ("--chaos", flags.chaos),
        ("--seed", flags.seed.is_some()),
        ("--serve", flags.serve.is_some()),
    ];
    if let Some((flag, _)) = of_the_embedded.into_iter().find(|(_, is_given)| *is_given) {
        return Err(xflags::Error::new(format!(
            "{flag} is for the embedded server, it does nothing with --url"
        )));
    }
    match Url::parse(base) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        Ok(url) => Err(xflags::Error::new(format!("--url takes http and https, not {}", url.scheme()))),
        Err(error) => Err(xflags::Error::new(format!("{base:?} is no URL: {error}"))),
    }
}

fn settings(flags: &flags::Harvest) -> xflags::Result<Settings> {
    let users = flags.users.unwrap_or(1000);
    let page_size = flags.page_size.map_or(100, NonZeroU64::get);
    let latency = Duration::from_millis(flags.latency.unwrap_or(200));
    let concurrency = flags.concurrency.map_or(CONCURRENCY, |Concurrency(n)| n);
    let concurrency = concurrency * flags.workers.map_or(1, |WorkerCount(workers)| workers);
    let plan = match (flags.chaos, flags.faults) {
        (true, None) => Plan::Chaos,
        (true, Some(_)) => {
            return Err(xflags::Error::new("--chaos has faults of its own, give it without --faults"));
        }
        (false, faults) => faults.map_or(Plan::Default, |Faults(plan)| plan),
    };
    let site = Site { users, page_size, seed: flags.seed.unwrap_or(1) };
    Ok(Settings { site, latency, plan, calls: concurrency as u32 })
}

/// The value of `--faults`.
#[derive(Clone, Copy, Debug)]
struct Faults(Plan);

impl FromStr for Faults {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self(Plan::None)),
            "default" => Ok(Self(Plan::Default)),
            _ => Err("it is none or default"),
        }
    }
}

/// The value of `--concurrency`.
#[derive(Clone, Copy, Debug)]
struct Concurrency(usize);

impl FromStr for Concurrency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(n @ 1..=MAX_CONCURRENCY) => Ok(Self(n)),
            _ => Err(format!("it is a number from 1 to {MAX_CONCURRENCY}")),
        }
    }
}

/// The value of `--workers`.
#[derive(Clone, Copy, Debug)]
struct WorkerCount(usize);

impl FromStr for WorkerCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(n @ 1..=MAX_WORKERS) => Ok(Self(n)),
            _ => Err(format!("it is a number from 1 to {MAX_WORKERS}")),
        }
    }
}

/// The value of `--grace` and `--lease`.
#[derive(Clone, Copy, Debug)]
struct Time(Duration);

impl FromStr for Time {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let time = match (number.parse(), unit) {
            (Ok(millis), "ms") => Some(Duration::from_millis(millis)),
            (Ok(secs), "s" | "") => Some(Duration::from_secs(secs)),
            (Ok(mins), "m") => mins.checked_mul(60).map(Duration::from_secs),
            _ => None,
        };
        time.map(Self).ok_or("it is a time like 10, 10s, 500ms or 2m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> xflags::Result<Options> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    fn error(line: &str) -> String {
        options(line).unwrap_err().to_string()
    }

    #[test]
    fn without_flags_it_is_the_demo() {
        let options = options("").unwrap();
        let Source::Embedded(settings) = options.source else { panic!() };
        assert_eq!((settings.site.users, settings.site.page_size), (1000, 100));
        assert_eq!(settings.latency, Duration::from_millis(200));
        assert_eq!((settings.plan, settings.calls), (Plan::Default, 100));
        assert_eq!(options.store, Choice::Auto);
        assert_eq!((options.concurrency, options.rate, options.strict), (100, None, false));
        assert_eq!(options.grace, Duration::from_secs(10));
    }

    #[test]
    fn another_server_gets_few_calls_at_a_time_unless_told_otherwise() {
        assert_eq!(options("--url http://h/api").unwrap().concurrency, 8);
        assert_eq!(options("--url https://h/ --concurrency 50").unwrap().concurrency, 50);
    }

    #[test]
    fn flags_of_the_embedded_server_do_not_go_with_another() {
        for flag in ["--users 5", "--page-size 5", "--latency 5", "--faults none", "--seed 5", "--chaos"] {
            let error = error(&format!("--url http://h/ {flag}"));
            assert!(error.starts_with(flag.split(' ').next().unwrap()), "{error}");
        }
    }

    #[test]
    fn bad_values_are_told_in_one_line() {
        for line in [
            "--url ftp://h/",
            "--url nonsense",
            "--concurrency 0",
            "--concurrency x",
            "--rate 0",
            "--page-size 0",
            "--store postgres:x",
            "--store mysql://h/d",
            "--store postgres",
            "--chaos --faults none",
            "--grace soon",
            "--lease 5s",
            "--queue memory --lease 1ms",
            "--queue memory --lease 2h",
            "--queue kafka://h",
            "--queue postgres",
            "--quota redis://h",
            "--workers 0",
            "--workers 13",
            "--workers 10000",
            "--workers x",
            "--workers 4",
            "--workers 4 --queue memory",
            "--kill",
            "--restart",
            "--serve nowhere",
            "--serve 127.0.0.1:0 --url http://h/",
            "--grace -1",
            "--faults some",
            "--users -1",
            "--nonsense",
            "stray",
            "--grace 99999999999999999999",
            "--users",
            "--page",
            "--page example.com:80",
            "--page 65536",
        ] {
            assert_eq!(error(line).lines().count(), 1, "{line}");
        }
    }

    #[test]
    fn auto_is_the_usual_place() {
        assert_eq!(options("--store auto").unwrap().store, Choice::Auto);
        assert_eq!(options("--store env").unwrap().store, Choice::Environment);
        assert!(matches!(options("--store sqlite:x").unwrap().store, Choice::Named(_)));
    }

    #[test]
    fn a_database_in_memory_is_temporary() {
        for (line, is) in [("", false), ("--store sqlite:x", false), ("--store sqlite::memory:", true)] {
            assert_eq!(options(line).unwrap().temporary_store, is, "{line}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, millis) in [("10", 10_000), ("10s", 10_000), ("500ms", 500), ("2m", 120_000), ("0", 0)] {
            assert_eq!(text.parse::<Time>().unwrap().0, Duration::from_millis(millis), "{text}");
        }
        for text in ["", "s", "1h", "1.5s", "-3", "10 s"] {
            assert!(text.parse::<Time>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_help_names_every_flag() {
        let help = options("--help").unwrap_err();
        assert!(help.is_help());
        for flag in ["--url", "--users", "--page-size", "--latency", "--faults", "--seed", "--concurrency"] {
            assert!(help.to_string().contains(flag), "{flag}");
        }
    }
}
