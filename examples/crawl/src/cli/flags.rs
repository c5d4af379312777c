//! The flags. `cargo xtask crawl` reads them, too, before it builds the program: the type of the store, which means something
//! to this package alone, is that of the file that includes this one.

use std::{num::NonZeroU32, path::PathBuf, str::FromStr};

use command_line::{Address, Number, Time, WebUrl, folders_are_there, one_at_most_is_stdout};

use super::Choice;

type Depth = Number<0, { u32::MAX as u64 }>;
/// Sizes and counts in memory, on a machine of 32 bits, too.
type FromZero = Number<0, { u32::MAX as u64 }>;
type FromOne = Number<1, { u32::MAX as u64 }>;

xflags::xflags! {
    /// Visits all pages of a site and reports broken links. Exits with 1 if there are any, and with 3 if it was
    /// stopped.
    cmd crawl {
        /// The first page: http://host/path or https://host/path.
        required url: WebUrl
        /// Serve the files of this folder at the URL, whose host is this machine, and crawl that.
        optional --serve dir: PathBuf
        /// Another host to crawl, with its port if it is not the default one.
        repeated --host name: String
        /// Follow only links on pages whose path begins with this; links to other paths of the host are checked.
        repeated --prefix path: String
        /// Visit pages that are up to this many links away from the first one [all].
        optional --depth n: Depth
        /// Requests per second to each host, or unlimited [10].
        optional --rate n: RateLimit
        /// Requests to each host at the same time [4].
        optional --per-host n: FromOne
        /// Time for one attempt to load a page [30s].
        optional --timeout time: Time
        /// The maximum size of a page in bytes [33554432].
        optional --max-body bytes: FromOne
        /// The maximum number of redirects behind a link [5].
        optional --max-redirects n: FromZero
        /// Do not report links that match this regular expression, fragment included.
        repeated --ignore pattern: String
        /// Do not ask for robots.txt: for a server of your own.
        optional --no-robots
        /// Where to store: sqlite:PATH, postgres:URL, or auto, which is a file in the user's cache directory
        /// [auto].
        optional --store store: Choice
        /// Write the report to this file as JSON, too; - is stdout, and all else goes to stderr then.
        optional --json file: PathBuf
        /// Write the report to this file, or to - for stdout, as a page, too.
        optional --report file: PathBuf
        /// Write a line for each request to this file, or to - for stdout: microseconds since the start, and the URL.
        optional --log file: PathBuf
        /// Tell which task waits for what, and who holds it, at this address of this machine, 127.0.0.1:0 or a port;
        /// and on stderr at SIGUSR1.
        optional --inspect address: Address
        /// With --inspect: its address may be one that others reach, who can read all of it.
        optional --inspect-public
        /// How long work in flight may take to end after Ctrl-C or SIGTERM: 10, 10s, 500ms, 2m [10s].
        optional --grace time: Time
    }
}

impl Crawl {
    /// Checks that the flags go together, and that the files of the reports can be written; returns whether one of them goes to
    /// stdout.
    pub(crate) fn check(&self) -> Result<bool, String> {
        if let Some(prefix) = self.prefix.iter().find(|prefix| !prefix.starts_with('/')) {
            return Err(format!(
                "--prefix takes a path that begins with /, not `{prefix}`; did you mean /{prefix}?"
            ));
        }
        if self.inspect_public && self.inspect.is_none() {
            return Err("--inspect-public does nothing without --inspect".to_owned());
        }
        if let Some(folder) = self.serve.as_ref().filter(|folder| !folder.is_dir()) {
            return Err(format!("--serve: there is no folder `{}`", folder.display()));
        }
        let reports = [
            ("--json", self.json.as_deref()),
            ("--report", self.report.as_deref()),
            ("--log", self.log.as_deref()),
        ];
        folders_are_there(&reports)?;
        one_at_most_is_stdout(&reports)
    }
}

/// The value of `--rate`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit(pub(crate) Option<NonZeroU32>);

impl FromStr for RateLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |_| format!("takes a number from 1 to {}, or unlimited, not `{text}`", u32::MAX);
        if text == "unlimited" { Ok(Self(None)) } else { text.parse().map(Some).map(Self).map_err(wrong) }
    }
}
