//! The kind of machine that was measured, without its name, and the code that it ran.

use std::{collections::BTreeMap, fs, path::Path, process::Command, thread};

use crate::results::Build;

pub(crate) fn describe() -> BTreeMap<String, String> {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    BTreeMap::from([
        ("processor".to_owned(), processor().unwrap_or_else(|| "unknown".to_owned())),
        ("cores".to_owned(), cores.to_string()),
        ("system".to_owned(), format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("rustc".to_owned(), output("rustc", &["--version"]).unwrap_or_default()),
    ])
}

/// Linux lists the models of x86, `lscpu` knows those of Arm, and macOS has a program for both.
fn processor() -> Option<String> {
    let value = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(key)?.split_once(':'));
        line.map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty() && value != "-")
    };
    let listed = fs::read_to_string("/proc/cpuinfo").ok();
    listed
        .and_then(|text| value(&text, "model name"))
        .or_else(|| value(&output("lscpu", &[])?, "Model name"))
        .or_else(|| output("sysctl", &["-n", "machdep.cpu.brand_string"]))
}

/// Returns the folder of a machine: the model of its processor and the number of cores.
pub(crate) fn folder(machine: &BTreeMap<String, String>) -> String {
    let part = |key: &str| machine.get(key).map_or("unknown", String::as_str);
    let processor = part("processor").to_lowercase().replace("(r)", " ").replace("(tm)", " ");
    let words = processor.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.chain([part("cores")]).collect::<Vec<_>>().join("-")
}

/// Returns the last commit that changed measured code, with `+changes` if there are some beside it.
pub(crate) fn build() -> Build {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let git = |command: &[&str]| {
        let code = ["--", "crates/*/src", "benches/src", "benches/python", "Cargo.lock"];
        output("git", &[&["-C", &*root.to_string_lossy()], command, &code].concat())
    };
    let last = git(&["log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd %h"]);
    let Some((time, commit)) = last.as_deref().and_then(|last| last.split_once(' ')) else {
        return Build { time: String::new(), commit: "unknown".to_owned() };
    };
    let changes = if git(&["status", "--porcelain"]).is_some() { "+changes" } else { "" };
    Build { time: time.to_owned(), commit: format!("{commit}{changes}") }
}

/// Returns what a program printed, if it succeeded and printed something.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).env("TZ", "UTC").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Some(text).filter(|text| output.status.success() && !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_the_model_and_the_cores() {
        let named = |processor: &str, cores: &str| {
            let pairs = [("processor", processor), ("cores", cores)];
            folder(&pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into())
        };
        assert_eq!(named("AMD EPYC", "2"), "amd-epyc-2");
        assert_eq!(named("Intel(R) Xeon(R) CPU @ 2.20GHz", "8"), "intel-xeon-cpu-2-20ghz-8");
        assert_eq!(named("../..", "2"), "2");
        assert_eq!(folder(&BTreeMap::new()), "unknown-unknown");
    }

    #[test]
    fn a_machine_says_what_it_is() {
        let machine = describe();
        for key in ["processor", "cores", "system"] {
            assert!(machine.get(key).is_some_and(|value| !value.is_empty()), "{key}: {machine:?}");
        }
    }
}
