//! What runs beside a world and is no part of it, as far as the system tells.

use std::fs;

/// The child processes of this thread, in words for the message of a world that fails; nothing where there are none, or
/// where the system does not tell. Linux does.
pub(super) fn describe() -> String {
    let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    match children.split_whitespace().count() {
        0 => String::new(),
        number => {
            format!("; {number} child process(es) of the test live, and no virtual clock waits for them")
        }
    }
}
