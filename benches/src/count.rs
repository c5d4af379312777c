//! One entrant's work, to be run under callgrind: `cargo xtask bench --instructions` starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    evenkeel_bench::count()
}
