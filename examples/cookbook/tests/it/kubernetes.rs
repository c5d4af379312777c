//! The service for Kubernetes beside its manifest.

use tokio::net::TcpListener;

use crate::examples::g03_kubernetes::{GRACE, PORT, PRE_STOP, program};

const MANIFEST: &str = include_str!("../../../kubernetes/deployment.yaml");

/// Returns the number of a key that stands once in the manifest.
fn number(key: &str) -> u64 {
    let values =
        |line: &'static str| line.trim_start_matches([' ', '-']).strip_prefix(key)?.strip_prefix(": ");
    let mut found = MANIFEST.lines().filter_map(values);
    let number = found.next().and_then(|number| number.parse().ok()).expect("it is in the manifest");
    assert!(found.next().is_none(), "{key} stands there twice");
    number
}

#[test]
fn the_manifest_leaves_the_time_that_the_program_needs() {
    assert_eq!(GRACE.as_secs() + 2, number("terminationGracePeriodSeconds"));
    let probe = number("periodSeconds") * number("failureThreshold");
    assert!(probe < PRE_STOP.as_secs(), "it is not noticed in time");
    assert_eq!(u64::from(PORT), number("containerPort"));
}

#[tokio::test]
async fn the_times_that_are_reserved_fit_into_the_grace_period() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    drop(program(listener).run());
}
