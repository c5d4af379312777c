//! A dump of a large program under load, and the page in a browser. It prints figures, and is run by `cargo xtask soak`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the figures are what a soak is for")]
#![allow(dead_code, reason = "it uses a part of what other tiers have")]

// The same browser as that of harvest's page.
#[path = "../../../../examples/harvest/tests/real/browser.rs"]
mod browser;
mod large;
mod page;
#[path = "../it/units.rs"]
mod units;
mod workdir;
