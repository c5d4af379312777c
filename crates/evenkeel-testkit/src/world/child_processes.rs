//! Child processes of the test: no virtual clock waits for them.

use std::fs;

/// Describes the child processes of this thread for the message of a world that fails. Empty if there are none, and on
/// systems other than Linux.
pub(super) fn describe() -> String {
    let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    match children.split_whitespace().count() {
        0 => String::new(),
        number => {
            format!("; {number} child process(es) of the test live, and no virtual clock waits for them")
        }
    }
}
