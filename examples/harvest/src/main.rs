//! The program, which is the library's [`main`](harvest::main).

use std::process::ExitCode;

fn main() -> ExitCode {
    harvest::main()
}
