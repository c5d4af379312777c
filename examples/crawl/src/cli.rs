//! The command line: flags and their defaults.

use std::{ffi::OsString, num::NonZeroU32, path::PathBuf, time::Duration};

use command_line::{Address, Program, Refused, Time, parse as read};
use reqwest::Url;

use self::flags::{Crawl, RateLimit};
use crate::{
    NO_HTTPS,
    canonical::canonical,
    dumps,
    ignore::Ignore,
    scope::{Scope, host},
    store::Choice,
};

mod flags;

/// The options of a run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The first page, canonical.
    pub(crate) start: Url,
    /// Whether the client knows TLS.
    pub(crate) has_https: bool,
    pub(crate) serve: Option<PathBuf>,
    pub(crate) scope: Scope,
    pub(crate) rate: Option<NonZeroU32>,
    pub(crate) per_host: usize,
    pub(crate) timeout: Duration,
    pub(crate) max_body: usize,
    pub(crate) max_redirects: usize,
    pub(crate) ignore: Ignore,
    pub(crate) obeys_robots: bool,
    pub(crate) store: Choice,
    /// A report goes to stdout, so that all else goes to stderr.
    pub(crate) stdout_is_taken: bool,
    pub(crate) json: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
    pub(crate) log: Option<PathBuf>,
    /// The address of the dumps.
    pub(crate) inspect: Option<Address>,
    pub(crate) grace: Duration,
}

impl Options {
    /// Returns the description of the job. A store with another one begins from the start.
    pub(crate) fn job(&self) -> String {
        let Scope { hosts, prefixes, depth } = &self.scope;
        serde_json::json!({
            "start": self.start.as_str(), "hosts": hosts, "prefixes": prefixes, "depth": depth,
            "robots": self.obeys_robots, "max_body": self.max_body,
        })
        .to_string()
    }
}

/// Parses the flags, without the name of the program.
pub(crate) fn parse(args: Vec<OsString>, has_https: bool) -> Result<Options, Refused> {
    let program = Program::new("crawl", env!("CARGO_PKG_VERSION"));
    let flags = read(program, args, Crawl::from_vec)?;
    options(flags, has_https).map_err(Refused::wrong)
}

fn options(flags: Crawl, has_https: bool) -> Result<Options, String> {
    let stdout_is_taken = flags.check()?;
    let url = Url::parse(&flags.url.0).map_err(|reason| format!("url: {reason}"))?;
    let start = canonical(&url).ok_or("url takes http://… or https://…")?;
    if start.scheme() == "https" && !has_https {
        return Err(format!("url: {NO_HTTPS}"));
    }
    let mut hosts = vec![host(&start)];
    for name in &flags.host {
        let parsed = Url::parse(&format!("http://{name}/")).ok().filter(|url| url.path() == "/");
        let parsed = parsed.ok_or_else(|| format!("--host takes a name, not `{name}`"))?;
        hosts.push(host(&parsed));
    }
    hosts.dedup();
    let seconds = Duration::from_secs;
    Ok(Options {
        start,
        has_https,
        serve: flags.serve,
        scope: Scope { hosts, prefixes: flags.prefix, depth: flags.depth.map(|depth| depth.get() as i64) },
        rate: flags.rate.map_or(NonZeroU32::new(10), |RateLimit(rate)| rate),
        per_host: flags.per_host.map_or(4, |n| n.get() as usize),
        timeout: flags.timeout.map_or(seconds(30), |Time(time)| time),
        max_body: flags.max_body.map_or(32 << 20, |bytes| bytes.get() as usize),
        max_redirects: flags.max_redirects.map_or(5, |n| n.get() as usize),
        ignore: Ignore::new(&flags.ignore)?,
        obeys_robots: !flags.no_robots,
        store: flags.store.unwrap_or(Choice::Auto),
        stdout_is_taken,
        json: flags.json,
        report: flags.report,
        log: flags.log,
        inspect: dumps::address(flags.inspect, flags.inspect_public)?,
        grace: flags.grace.map_or(seconds(10), |Time(time)| time),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Options, Refused> {
        parse(line.split_whitespace().map(OsString::from).collect(), true)
    }

    #[test]
    fn a_program_without_https_says_how_to_build_it() {
        let refused = parse(vec!["https://h/".into()], false).unwrap_err();
        assert_eq!(refused.to_string(), format!("url: {NO_HTTPS}"));
        assert!(!parse(vec!["http://h/".into()], false).unwrap().has_https);
    }

    #[test]
    fn a_url_is_enough() {
        let options = options("http://u:p@H.example:80/a/../b#c").unwrap();
        assert_eq!(options.start.as_str(), "http://h.example/b");
        assert_eq!(
            (options.scope.hosts.as_slice(), options.scope.depth),
            (&["h.example".to_owned()][..], None)
        );
        assert_eq!((options.rate, options.per_host), (NonZeroU32::new(10), 4));
        assert_eq!((options.timeout, options.obeys_robots), (Duration::from_secs(30), true));
    }

    #[test]
    fn bad_values_are_told_in_one_line() {
        for line in [
            "",
            "ftp://h/",
            "nonsense",
            "http://h/ --rate 0",
            "http://h/ --rate x",
            "http://h/ --per-host 0",
            "http://h/ --depth -1",
            "http://h/ --prefix std",
            "http://h/ --host a/b",
            "http://h/ --ignore (",
            "http://h/ --timeout soon",
            "http://h/ --store mysql://h",
            "http://h/ http://i/",
        ] {
            assert_eq!(options(line).unwrap_err().to_string().lines().count(), 1, "{line}");
        }
    }

    #[test]
    fn mistakes_are_answered_with_what_was_meant() {
        for (line, said) in [
            (
                "localhost:8080",
                "url takes http://… or https://…, not `localhost:8080`; did you mean http://localhost:8080?",
            ),
            (
                "docs.example/x",
                "url takes http://… or https://…, not `docs.example/x`; did you mean https://docs.example/x?",
            ),
            ("ftp://h/", "url takes http://… or https://…, not `ftp://h/`"),
            ("http://h:x/", "url takes an address with a port from 0 to 65535, not `http://h:x/`"),
            ("--depth 1", "url is missing"),
            ("http://h/ --deth 1", "there is no flag --deth; did you mean --depth?"),
            ("http://h/ --depth -1", "--depth takes a number from 0 to 4294967295, not `-1`"),
            ("http://h/ --per-host=0", "--per-host takes a number from 1 to 4294967295, not `0`"),
            ("http://h/ --rate 0", "--rate takes a number from 1 to 4294967295, or unlimited, not `0`"),
            ("http://h/ --timeout 1h", "--timeout takes a time like 10, 10s, 500ms or 2m, not `1h`"),
            (
                "http://h/ --prefix std",
                "--prefix takes a path that begins with /, not `std`; did you mean /std?",
            ),
            (
                "http://h/ --store x.db",
                "--store takes auto, sqlite:PATH or postgres:URL, not `x.db`; did you mean sqlite:x.db?",
            ),
            ("http://h/ --log no/such/file", "--log: there is no folder `no/such`"),
            ("http://h/ --serve no/such", "--serve: there is no folder `no/such`"),
            ("http://h/ --inspect-public", "--inspect-public does nothing without --inspect"),
            ("http://h/ --json - --log -", "--json and --log cannot both be written to stdout"),
        ] {
            assert_eq!(options(line).unwrap_err().to_string(), said, "{line}");
        }
        assert_eq!(options("--version").unwrap_err().to_string(), "crawl 0.1.0");
        assert!(options("http://h/ --log -").unwrap().stdout_is_taken);
    }

    #[test]
    fn the_job_is_what_is_stored_and_not_how_fast() {
        let job = |line| options(line).unwrap().job();
        assert_eq!(job("http://h/ --rate 5"), job("http://h/ --per-host 9 --json x --ignore y"));
        for other in [
            "http://h/x",
            "http://h/ --depth 3",
            "http://h/ --prefix /x",
            "http://h/ --host i",
            "http://h/ --no-robots",
        ] {
            assert_ne!(job("http://h/"), job(other), "{other}");
        }
    }

    #[test]
    fn hosts_have_their_port() {
        let hosts = options("http://h:81/ --host I.example --host j:8080").unwrap().scope.hosts;
        assert_eq!(hosts, ["h:81", "i.example", "j:8080"]);
    }
}
