//! The flags, and which of them need or exclude each other. `cargo xtask demo` reads them, too, before it builds the program:
//! the types of values that mean something to this package alone are those of the file that includes this one.

use std::{path::PathBuf, str::FromStr};

use command_line::{Address, Number, Time, WebUrl, folders_are_there, one_at_most_is_stdout, one_of};

use super::{Choice, QueueChoice};

/// A number from zero.
type FromZero = Number<0, { u64::MAX }>;
/// A number from one.
type FromOne = Number<1, { u64::MAX }>;
type Rate = Number<1, { u32::MAX as u64 }>;
type Concurrency = Number<1, 100_000>;
/// Each worker has up to seven connections to the database, and a server has a hundred by default.
type Workers = Number<1, 12>;

xflags::xflags! {
    /// Reads a paginated HTTP API, enriches every user with two more calls, stores all in a database.
    /// Without --url it starts a server of such an API in this process, with faults, and reads that.
    cmd harvest {
        /// Read this API instead of the embedded one: http://host/path or https://host/path.
        optional --url base: WebUrl
        /// HTTP calls in flight at most, pages included [100, with --url 8].
        optional --concurrency n: Concurrency
        /// HTTP calls started per second at most [no limit].
        optional --rate n: Rate
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
        optional --workers n: Workers
        /// With --workers: start another one in the place of one that died.
        optional --restart
        /// With --workers: kill one half-way, with no moment to clean up, and start another one.
        optional --kill
        /// Stop, as by SIGTERM, when stdin ends: the workers of --workers do.
        optional --stop-with-stdin
        /// Say that the store goes away after this run, and not how to look at it.
        optional --temporary-store
        /// Write the report to this file as JSON, too; - is stdout, and all else goes to stderr then.
        optional --json file: PathBuf
        /// Write a page to this file, or to - for stdout, that shows the run: what was called when, what failed, what had to
        /// wait.
        optional --report file: PathBuf
        /// Show the run on a live page at this address of this machine, 127.0.0.1:0 or a port. Others can read it
        /// only if the address is one that they reach.
        optional --page address: Address
        /// Tell which task waits for what, and who holds it, at this address of this machine, 127.0.0.1:0 or a port;
        /// and on stderr at SIGUSR1.
        optional --inspect address: Address
        /// With --inspect: its address may be one that others reach, who can read all of it.
        optional --inspect-public
        /// How long work in flight may take to end after Ctrl-C or SIGTERM: 10, 10s, 500ms, 2m [10s].
        optional --grace time: Time
        /// Exit with 1 if any document failed.
        optional --strict
        /// Embedded server: it alone, for other processes, at this address: 127.0.0.1:8080, with port 0 a free one.
        optional --serve address: Address
        /// Embedded server: how many users it has [1000].
        optional --users n: FromZero
        /// Embedded server: users on a page [100].
        optional --page-size n: FromOne
        /// Embedded server: milliseconds until it answers a call [200].
        optional --latency ms: FromZero
        /// Embedded server: which faults it has, none or default [default].
        optional --faults plan: Faults
        /// Embedded server: it, the store and the network between them misbehave.
        optional --chaos
        /// Embedded server: where its data and faults are drawn from [1].
        optional --seed n: FromZero
    }
}

impl Harvest {
    /// Checks that no flag is without one that it needs, or beside one that it excludes, and that the files of the reports can
    /// be written; returns whether one of them goes to stdout.
    pub(crate) fn check(&self) -> Result<bool, String> {
        let of_all = [
            ("--lease", self.lease.is_some(), "--queue", self.queue.is_some()),
            ("--restart", self.restart, "--workers", self.workers.is_some()),
            ("--kill", self.kill, "--workers", self.workers.is_some()),
            ("--quota", self.quota.is_some(), "--rate", self.rate.is_some()),
            ("--inspect-public", self.inspect_public, "--inspect", self.inspect.is_some()),
        ];
        if let Some((flag, .., needed, _)) = of_all.iter().find(|(_, is_given, _, has)| *is_given && !*has) {
            return Err(format!("{flag} does nothing without {needed}"));
        }
        let of_the_embedded = [
            ("--users", self.users.is_some()),
            ("--page-size", self.page_size.is_some()),
            ("--latency", self.latency.is_some()),
            ("--faults", self.faults.is_some()),
            ("--chaos", self.chaos),
            ("--seed", self.seed.is_some()),
            ("--serve", self.serve.is_some()),
        ];
        if let Some((flag, _)) = of_the_embedded.iter().find(|(_, is_given)| *is_given && self.url.is_some())
        {
            return Err(format!("{flag} is for the embedded server, it does nothing with --url"));
        }
        let of_one = [
            ("--report", self.report.is_some()),
            ("--serve", self.serve.is_some()),
            ("--inspect", self.inspect.is_some()),
        ];
        if let Some((flag, _)) = of_one.iter().find(|(_, is_given)| *is_given && self.workers.is_some()) {
            return Err(format!("{flag} is of one process, it does not go with --workers"));
        }
        if self.chaos && self.faults.is_some() {
            return Err("--chaos has faults of its own, give it without --faults".to_owned());
        }
        let reports = [("--json", self.json.as_deref()), ("--report", self.report.as_deref())];
        folders_are_there(&reports)?;
        one_at_most_is_stdout(&reports)
    }
}

/// The value of `--faults`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults(pub(crate) bool);

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        one_of(text, &["none", "default"]).map(|plan| Self(plan == "default"))
    }
}
