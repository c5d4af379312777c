//! A part of the rules of pipelines, on each real server, all of which `cargo xtask conformance --real` runs; and the errors of the
//! compiler at first guesses.
#![cfg(unix)]

mod compile_errors;

use std::{io::Write as _, process::Command};

#[test]
#[ignore = "real tier"]
fn pipelines_keep_the_quick_rules_on_each_server() {
    let mut conformance = Command::new(env!("CARGO_BIN_EXE_conformance"));
    let output =
        conformance.args(["real", "--peer", "evenkeel", "--quick"]).output().expect("cargo has built it");
    let told = String::from_utf8_lossy(&output.stdout);
    // The servers that are missing are among it.
    let _ = std::io::stderr().write_all(told.as_bytes());
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
}
