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
        let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(1);
        // A process without a terminal has a group of -1 there.
        let fields: Vec<i64> = fields.map_while(|field| field.parse().ok()).collect();
        let (parent, user, system) = (fields.first()?, fields.get(10)?, fields.get(11)?);
        let of_ended = fields.get(12)? + fields.get(13)?;
        match (id == postmaster, *parent == i64::from(postmaster)) {
            (true, _) => Some(user + system + of_ended),
            (false, true) => Some(user + system),
            (false, false) => None,
        }
    });
    TICK * u32::try_from(ticks.sum::<i64>()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    #[test]
    fn the_time_of_this_process_is_read_where_there_is_proc() {
        let mut sum = 0_u64;
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(100) {
            sum = std::hint::black_box(sum.wrapping_mul(31) + 1);
        }
        assert!(server_time(process::id()) > Duration::ZERO || !fs::exists("/proc/self/stat").unwrap());
    }
}
