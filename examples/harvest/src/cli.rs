//! The command line: flags, their defaults, and which of them exclude each other.

use std::{ffi::OsString, num::NonZeroU32, ops::RangeInclusive, path::PathBuf, time::Duration};

use command_line::{Address, Number, Program, Refused, Time, WebUrl, parse as read, with_scheme};
use reqwest::Url;

use self::flags::{Faults, Harvest};
use crate::{
    dumps,
    queue::{Choice as QueueChoice, NOT_BUILT},
    server::{Plan, Settings, Site},
    store::Choice,
    transport::NO_HTTPS,
};

mod flags;

/// The default for servers of others, which may accept a handful of connections at a time.
const CONCURRENCY_OF_URL: usize = 8;
const CONCURRENCY: usize = 100;

/// The limits of `--lease`: the shortest is that of the queues, the longest keeps work from being lost from sight.
const LEASES: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(3600);

/// The options of a run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) source: Source,
    /// Whether the client knows TLS.
    pub(crate) has_https: bool,
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
    pub(crate) serve: Option<Address>,
    pub(crate) temporary_store: bool,
    /// A report goes to stdout, so that all else goes to stderr.
    pub(crate) stdout_is_taken: bool,
    pub(crate) json: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
    pub(crate) page: Option<Address>,
    /// The address of the dumps.
    pub(crate) inspect: Option<Address>,
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
pub(crate) fn parse(args: Vec<OsString>, has_https: bool) -> Result<Options, Refused> {
    let program = Program::new("harvest", env!("CARGO_PKG_VERSION"));
    let flags = read(program, args, Harvest::from_vec)?;
    options(flags, has_https).map_err(Refused::wrong)
}

fn options(flags: Harvest, has_https: bool) -> Result<Options, String> {
    let stdout_is_taken = flags.check()?;
    let (source, concurrency) = match &flags.url {
        Some(base) => (Source::Url(base_url(base, has_https)?), CONCURRENCY_OF_URL),
        None => (Source::Embedded(settings(&flags)), CONCURRENCY),
    };
    let (lease, team) = (lease(&flags)?, team(&flags)?);
    let inspect = dumps::address(flags.inspect, flags.inspect_public)?;
    let rate = flags.rate.and_then(|rate| NonZeroU32::new(rate.get() as u32));
    let quota = flags.quota.as_deref().map(quota).transpose()?;
    let store = match &flags.queue {
        Some(queue) => queue.store(flags.store)?,
        None => flags.store.unwrap_or(Choice::Auto),
    };
    Ok(Options {
        source,
        has_https,
        concurrency: flags.concurrency.map_or(concurrency, |n| n.get() as usize),
        rate,
        quota,
        queue: flags.queue,
        lease,
        team,
        stop_with_stdin: flags.stop_with_stdin,
        serve: flags.serve,
        temporary_store: flags.temporary_store || store.is_in_memory(),
        stdout_is_taken,
        store,
        json: flags.json,
        report: flags.report,
        page: flags.page,
        inspect,
        grace: flags.grace.map_or(Duration::from_secs(10), |Time(time)| time),
        strict: flags.strict,
    })
}

fn lease(flags: &Harvest) -> Result<Duration, String> {
    match flags.lease {
        None => Ok(Duration::from_secs(5)),
        Some(Time(time)) if LEASES.contains(&time) => Ok(time),
        Some(Time(time)) => Err(format!("--lease takes a time from 500ms to 60m, not `{time:?}`")),
    }
}

fn team(flags: &Harvest) -> Result<Option<Team>, String> {
    let Some(workers) = flags.workers else { return Ok(None) };
    if flags.queue.as_ref().is_none_or(|queue| *queue == QueueChoice::Memory) {
        return Err(
            "--workers needs a queue that processes share: --queue postgres:URL, or nats://host:port".into(),
        );
    }
    Ok(Some(Team { workers: workers.get() as usize, restart: flags.restart, kill: flags.kill }))
}

fn quota(server: &str) -> Result<Url, String> {
    if cfg!(not(feature = "queue")) {
        return Err(format!("--quota: {NOT_BUILT}"));
    }
    with_scheme(server, &["redis", "rediss", "redis+unix"]).map_err(|reason| format!("--quota {reason}"))?;
    Url::parse(server).map_err(|error| format!("--quota: {error}"))
}

fn base_url(WebUrl(base): &WebUrl, has_https: bool) -> Result<Url, String> {
    let base = Url::parse(base).map_err(|error| format!("--url: {error}"))?;
    if base.scheme() == "https" && !has_https { Err(format!("--url: {NO_HTTPS}")) } else { Ok(base) }
}

fn settings(flags: &Harvest) -> Settings {
    let users = flags.users.map_or(1000, Number::get);
    let page_size = flags.page_size.map_or(100, Number::get);
    let latency = Duration::from_millis(flags.latency.map_or(200, Number::get));
    let concurrency = flags.concurrency.map_or(CONCURRENCY, |n| n.get() as usize);
    let concurrency = concurrency * flags.workers.map_or(1, |workers| workers.get() as usize);
    let plan = match flags.faults {
        _ if flags.chaos => Plan::Chaos,
        Some(Faults(false)) => Plan::None,
        Some(Faults(true)) | None => Plan::Default,
    };
    let site = Site { users, page_size, seed: flags.seed.map_or(1, Number::get) };
    Settings { site, latency, plan, calls: concurrency as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Options, Refused> {
        parse(line.split_whitespace().map(OsString::from).collect(), true)
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
    fn a_program_without_https_says_how_to_build_it() {
        let words = ["--url", "https://h/"].map(OsString::from).to_vec();
        assert_eq!(parse(words, false).unwrap_err().to_string(), format!("--url: {NO_HTTPS}"));
        let words = ["--url", "http://h/"].map(OsString::from).to_vec();
        assert!(parse(words, false).is_ok());
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
            "--inspect",
            "--inspect nowhere",
            "--inspect 0.0.0.0:0",
            "--inspect-public",
            "--workers 4 --queue nats://h --inspect 0",
        ] {
            assert_eq!(error(line).lines().count(), 1, "{line}");
        }
    }

    #[test]
    fn auto_is_the_usual_place() {
        assert_eq!(options("--store auto").unwrap().store, Choice::Auto);
        #[cfg(feature = "postgres")]
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
    fn mistakes_are_answered_with_what_was_meant() {
        for (line, said) in [
            ("--userz 5", "there is no flag --userz; did you mean --users?"),
            ("--users 1k", "--users takes a number from 0, not `1k`"),
            ("--users=-1", "--users takes a number from 0, not `-1`"),
            ("--page-size 0", "--page-size takes a number from 1, not `0`"),
            ("--concurrency 0", "--concurrency takes a number from 1 to 100000, not `0`"),
            ("--workers 13", "--workers takes a number from 1 to 12, not `13`"),
            ("--rate 5000000000", "--rate takes a number from 1 to 4294967295, not `5000000000`"),
            ("--grace 1h", "--grace takes a time like 10, 10s, 500ms or 2m, not `1h`"),
            ("--queue memory --lease 2h", "--lease takes a time like 10, 10s, 500ms or 2m, not `2h`"),
            ("--queue memory --lease 61m", "--lease takes a time from 500ms to 60m, not `3660s`"),
            ("--faults defualt", "--faults takes none or default, not `defualt`; did you mean `default`?"),
            (
                "--url localhost:8080",
                "--url takes http://… or https://…, not `localhost:8080`; did you mean http://localhost:8080?",
            ),
            ("--url http://h:x/", "--url takes an address with a port from 0 to 65535, not `http://h:x/`"),
            (
                "--store users.db",
                "--store takes auto, env, sqlite:PATH or postgres:URL, not `users.db`; did you mean sqlite:users.db?",
            ),
            (
                "--queue memroy",
                "--queue takes memory, postgres:URL or nats://host:port, not `memroy`; did you mean memory?",
            ),
            (
                "--page example.com:80",
                "--page takes an address like 127.0.0.1:0, or a port of this machine, not `example.com:80`",
            ),
            ("--json - --report -", "--json and --report cannot both be written to stdout"),
            ("5", "`5` is one word too many: harvest [FLAGS]; `harvest --help` lists them"),
        ] {
            assert_eq!(error(line), said, "{line}");
        }
    }

    #[test]
    fn a_report_on_stdout_takes_it() {
        for (line, is_taken) in [("", false), ("--json f", false), ("--json -", true), ("--report -", true)] {
            assert_eq!(options(line).unwrap().stdout_is_taken, is_taken, "{line}");
        }
    }

    #[test]
    fn the_help_names_every_flag() {
        let help = options("--help").unwrap_err();
        assert!(help.is_help());
        assert_eq!(options("--version").unwrap_err().to_string(), "harvest 0.1.0");
        for flag in ["--url", "--users", "--page-size", "--latency", "--faults", "--seed", "--concurrency"] {
            assert!(help.to_string().contains(flag), "{flag}");
        }
    }
}
