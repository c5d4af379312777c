//! The command line: flags, what they default to, and which of them exclude each other.

use std::{ffi::OsString, num::NonZeroU32, num::NonZeroUsize, path::PathBuf, str::FromStr, time::Duration};

use reqwest::Url;

use crate::{
    server::{FaultPlan, Site},
    store::default_path,
};

mod flags {
    use super::{Faults, Grace, StorePath};
    use std::{num::NonZeroU32, num::NonZeroUsize, path::PathBuf};

    xflags::xflags! {
        /// Reads a paginated HTTP API, enriches every user with two more calls, stores all in a database.
        /// Without --url it starts a server of such an API in this process, with faults, and reads that.
        cmd harvest {
            /// Read this API instead of the embedded one: http://host/path or https://host/path.
            optional --url base: String
            /// HTTP calls in flight at most, pages included [100, with --url 8].
            optional --concurrency n: NonZeroUsize
            /// HTTP calls started per second at most [no limit].
            optional --rate n: NonZeroU32
            /// Where to store: sqlite:PATH [a file in the user's cache directory].
            optional --store store: StorePath
            /// Write the report to this file as JSON, too.
            optional --json file: PathBuf
            /// How long work in flight may take to end after Ctrl-C or SIGTERM: 10, 10s, 500ms, 2m [10s].
            optional --grace time: Grace
            /// Exit with 1 if any document failed.
            optional --strict
            /// Embedded server: how many users it has [1000].
            optional --users n: u64
            /// Embedded server: users on a page [100].
            optional --page-size n: NonZeroUsize
            /// Embedded server: milliseconds until it answers a call [200].
            optional --latency ms: u64
            /// Embedded server: which faults it has, none or default [default].
            optional --faults plan: Faults
            /// Embedded server: where its data and faults are drawn from [1].
            optional --seed n: u64
        }
    }
}

/// Few enough for servers that accept a handful of connections at a time.
const CONCURRENCY_OF_STRANGERS: usize = 8;
const CONCURRENCY: usize = 100;

/// What one run is to do.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) source: Source,
    pub(crate) concurrency: usize,
    pub(crate) rate: Option<NonZeroU32>,
    pub(crate) store: PathBuf,
    pub(crate) json: Option<PathBuf>,
    pub(crate) grace: Duration,
    pub(crate) strict: bool,
}

/// The API to read.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Embedded(Site),
    Url(Url),
}

/// Reads the flags, without the program's name in front.
pub(crate) fn parse(args: Vec<OsString>) -> xflags::Result<Options> {
    let flags = flags::Harvest::from_vec(args)?;
    let source = match &flags.url {
        None => Source::Embedded(site(&flags)),
        Some(_) if shapes_the_server(&flags) => {
            return Err(xflags::Error::new(
                "--users, --page-size, --latency, --faults and --seed are for the embedded server, not for --url",
            ));
        }
        Some(base) => Source::Url(base_url(base)?),
    };
    let concurrency = match (flags.concurrency, &source) {
        (Some(n), _) => n.get(),
        (None, Source::Embedded(_)) => CONCURRENCY,
        (None, Source::Url(_)) => CONCURRENCY_OF_STRANGERS,
    };
    Ok(Options {
        source,
        concurrency,
        rate: flags.rate,
        store: flags.store.map_or_else(default_path, |store| store.0),
        json: flags.json,
        grace: flags.grace.map_or(Duration::from_secs(10), |grace| grace.0),
        strict: flags.strict,
    })
}

fn site(flags: &flags::Harvest) -> Site {
    let seed = flags.seed.unwrap_or(1);
    Site {
        users: flags.users.unwrap_or(1000),
        page_size: flags.page_size.map_or(100, NonZeroUsize::get),
        latency: Duration::from_millis(flags.latency.unwrap_or(200)),
        seed,
        faults: flags.faults.unwrap_or(Faults::Default) == Faults::Default,
    }
}

const fn shapes_the_server(flags: &flags::Harvest) -> bool {
    flags.users.is_some()
        || flags.page_size.is_some()
        || flags.latency.is_some()
        || flags.faults.is_some()
        || flags.seed.is_some()
}
