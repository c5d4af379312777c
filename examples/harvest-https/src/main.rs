//! The program `harvest` with TLS: rustls, by ring, with the certificates of the system.

use std::process::ExitCode;

fn main() -> ExitCode {
    // It is the first one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    harvest::main_with_https()
}
