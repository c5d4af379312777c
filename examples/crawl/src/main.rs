//! Visits all pages of a site and reports broken links: `crawl --help`.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    crawl::main(env::args_os().skip(1).collect())
}
