//! The program `crawl` with TLS: rustls, by ring, with the certificates of the system.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    // It is the first one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    crawl::main_with_https(env::args_os().skip(1).collect())
}
