//! The program `evenkeel-count`: one entrant's work, for callgrind. `cargo xtask bench --instructions` starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    evenkeel_bench::count()
}
