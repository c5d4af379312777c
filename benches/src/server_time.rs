//! The processor time of a PostgreSQL server, as far as the operating system shows it.

use std::{fs, time::Duration};

/// A tick of the counters of `/proc`: a hundredth of a second on all that Linux runs on.
const TICK: Duration = Duration::from_millis(10);

/// Returns the processor time of a process, of its children, and of those that it has waited for; zero where there is no `/proc`.
pub(crate) fn server_time(postmaster: u32) -> Duration {
    let Ok(processes) = fs::read_dir("/proc") else { return Duration::ZERO };
    let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let ticks = ids.filter_map(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name of the program stands in parentheses, and may have any in it.
        let fields: Vec<u64> = stat
            .rsplit_once(')')?
            .1
            .split_whitespace()
            .skip(1)
            .map_while(|field| field.parse().ok())
            .collect();
        let (parent, user, system) = (fields.first()?, fields.get(10)?, fields.get(11)?);
        let of_ended = fields.get(12)? + fields.get(13)?;
        match (id == postmaster, *parent == u64::from(postmaster)) {
            (true, _) => Some(user + system + of_ended),
            (false, true) => Some(user + system),
            (false, false) => None,
        }
    });
    TICK * u32::try_from(ticks.sum::<u64>()).unwrap_or(u32::MAX)
}
