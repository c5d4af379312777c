//! Toxics without a meaning are refused.

use evenkeel_testkit::net::Toxics;

use crate::MS;

#[test]
#[should_panic = "a bandwidth of zero"]
fn a_bandwidth_of_zero_is_refused() {
    let _ = Toxics::new().bandwidth(0);
}

#[test]
#[should_panic = "slices of zero bytes"]
fn slices_of_zero_bytes_are_refused() {
    let _ = Toxics::new().slicer(0, 0, MS);
}

#[test]
#[should_panic = "slices that vary by more than their size"]
fn slices_of_negative_size_are_refused() {
    let _ = Toxics::new().slicer(1, 2, MS);
}
