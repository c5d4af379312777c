//! Limits and memory of this process, on systems with `/proc`.

use std::fs;

use evenkeel_base::Random;

/// Returns the name of this machine, or an empty text.
pub(crate) fn hostname() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// Returns a text that no other call returns, in this process or another one.
pub(crate) fn unique() -> String {
    format!("{:016x}", Random::new().number(0))
}

/// Returns the maximum number of open file descriptors.
pub(crate) fn descriptor_limit() -> Option<usize> {
    soft_limit(&fs::read_to_string("/proc/self/limits").ok()?, "Max open files")
}

/// Returns the maximum size of a file that this process writes, in bytes.
pub(crate) fn file_size_limit() -> Option<usize> {
    soft_limit(&fs::read_to_string("/proc/self/limits").ok()?, "Max file size")
}

/// Returns the peak of the resident memory, in bytes.
pub(crate) fn peak_rss() -> Option<u64> {
    high_water_mark(&fs::read_to_string("/proc/self/status").ok()?)
}

/// Returns a limit, or `None` if it is unlimited or unknown.
fn soft_limit(limits: &str, name: &str) -> Option<usize> {
    let rest = limits.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn high_water_mark(status: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_the_first_number() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             94971                94971                processes \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(soft_limit(limits, "Max open files"), Some(1024));
        let unlimited = "Max file size             unlimited            unlimited            bytes\n";
        assert_eq!(soft_limit(unlimited, "Max file size"), None);
        assert_eq!(soft_limit("", "Max file size"), None);
    }

    #[test]
    fn the_high_water_mark_is_in_kibibytes() {
        assert_eq!(high_water_mark("VmPeak:\t  999999 kB\nVmHWM:\t   51234 kB\n"), Some(51_234 * 1024));
        assert_eq!(high_water_mark("VmRSS:\t 1 kB\n"), None);
    }
}
