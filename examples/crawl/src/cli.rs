//! The command line: flags and their defaults.

use std::{
    ffi::OsString,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use reqwest::Url;

use crate::{
    canonical::canonical,
    ignore::Ignore,
    scope::{Scope, host},
    store::Choice,
};

mod flags {
    use std::{num::NonZeroUsize, path::PathBuf};

    use super::{Choice, RateLimit, Time};

    xflags::xflags! {
        /// Visits all pages of a site and reports broken links. Exits with 1 if there are any, and with 3 if it was
        /// stopped.
        cmd crawl {
            /// The first page: http://host/path or https://host/path.
            required url: String
            /// Serve the files of this folder at the URL, whose host is this machine, and crawl that.
            optional --serve dir: PathBuf
            /// Another host to crawl, with its port if it is not the default one.
            repeated --host name: String
            /// Follow only links on pages whose path begins with this; links to other paths of the host are checked.
            repeated --prefix path: String
            /// Visit pages that are up to this many links away from the first one [all].
            optional --depth n: u32
            /// Requests per second to each host, or unlimited [10].
            optional --rate n: RateLimit
            /// Requests to each host at the same time [4].
            optional --per-host n: NonZeroUsize
            /// Time for one attempt to load a page [30s].
            optional --timeout time: Time
            /// The maximum size of a page in bytes [33554432].
            optional --max-body bytes: NonZeroUsize
            /// The maximum number of redirects behind a link [5].
            optional --max-redirects n: usize
            /// Do not report links that match this regular expression, fragment included.
            repeated --ignore pattern: String
            /// Do not ask for robots.txt: for a server of your own.
            optional --no-robots
            /// Where to store: sqlite:PATH, postgres:URL, or auto, which is a file in the user's cache directory
            /// [auto].
            optional --store store: Choice
            /// Write the report to this file as JSON, too.
            optional --json file: PathBuf
            /// Write the report to this file as a page, too.
            optional --report file: PathBuf
            /// Write a line for each request to this file: microseconds since the start, and the URL.
            optional --log file: PathBuf
            /// How long work in flight may take to end after Ctrl-C or SIGTERM: 10, 10s, 500ms, 2m [10s].
            optional --grace time: Time
        }
    }
}

/// The options of a run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The first page, canonical.
    pub(crate) start: Url,
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
    pub(crate) json: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
    pub(crate) log: Option<PathBuf>,
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
pub(crate) fn parse(args: Vec<OsString>) -> xflags::Result<Options> {
    let flags = flags::Crawl::from_vec(args)?;
    let error = |text: String| xflags::Error::new(text);
    let url =
        Url::parse(&flags.url).map_err(|reason| error(format!("{:?} is no URL: {reason}", flags.url)))?;
    let start = canonical(&url)
        .ok_or_else(|| error(format!("a crawl takes http and https, not {}", url.scheme())))?;
    let mut hosts = vec![host(&start)];
    for name in &flags.host {
        let parsed = Url::parse(&format!("http://{name}/")).ok().filter(|url| url.path() == "/");
        let parsed = parsed.ok_or_else(|| error(format!("--host takes a name, not {name:?}")))?;
        hosts.push(host(&parsed));
    }
    hosts.dedup();
    if let Some(prefix) = flags.prefix.iter().find(|prefix| !prefix.starts_with('/')) {
        return Err(error(format!("--prefix takes a path that begins with /, not {prefix:?}")));
    }
    let seconds = Duration::from_secs;
    Ok(Options {
        start,
        serve: flags.serve,
        scope: Scope { hosts, prefixes: flags.prefix, depth: flags.depth.map(i64::from) },
        rate: flags.rate.map_or(NonZeroU32::new(10), |RateLimit(rate)| rate),
        per_host: flags.per_host.map_or(4, NonZeroUsize::get),
        timeout: flags.timeout.map_or(seconds(30), |Time(time)| time),
        max_body: flags.max_body.map_or(32 << 20, NonZeroUsize::get),
        max_redirects: flags.max_redirects.unwrap_or(5),
        ignore: Ignore::new(&flags.ignore).map_err(error)?,
        obeys_robots: !flags.no_robots,
        store: flags.store.unwrap_or(Choice::Auto),
        json: flags.json,
        report: flags.report,
        log: flags.log,
        grace: flags.grace.map_or(seconds(10), |Time(time)| time),
    })
}

/// The value of `--rate`.
#[derive(Clone, Copy, Debug)]
struct RateLimit(Option<NonZeroU32>);

impl FromStr for RateLimit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "unlimited" => Ok(Self(None)),
            text => text.parse().map(|rate| Self(Some(rate))).map_err(|_| "it is a number, or unlimited"),
        }
    }
}

/// A time with its unit.
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
