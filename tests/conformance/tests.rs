//! The claims of the scoreboard still hold, and the rules can fail.

use std::process::Command;

fn conformance(command: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_conformance"))
        .args(command.split(' '))
        .output()
        .expect("cargo has built it");
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}{errors}");
}

#[test]
fn the_scoreboard_is_as_committed_and_evenkeel_keeps_every_rule() {
    conformance("check");
}

#[test]
fn ours_has_the_same_verdicts_and_virtual_times_in_process_and_through_the_protocol() {
    conformance("parity");
}

#[test]
fn every_rule_is_failed_by_a_fault_and_every_fault_is_caught_by_its_rule() {
    conformance("faults");
}
