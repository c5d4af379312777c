//! The kind of machine that was measured, without its name.

use std::{collections::BTreeMap, fs, process::Command, thread};

pub(crate) fn describe() -> BTreeMap<String, String> {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let rustc =
        Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    BTreeMap::from([
        ("processor".to_owned(), processor.unwrap_or("unknown").to_owned()),
        ("cores".to_owned(), cores.to_string()),
        ("system".to_owned(), format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("rustc".to_owned(), String::from_utf8_lossy(&rustc).trim().to_owned()),
    ])
}
