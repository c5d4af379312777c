//! The comparison of a timeline with a committed one.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::Timeline;

const VARIABLE: &str = "EVENKEEL_UPDATE";

/// Asserts that a timeline is the one of a file, or writes the file if `EVENKEEL_UPDATE` is set.
///
/// `package` is the folder of the package, and `source` the path of the test as the compiler has it.
///
/// # Panics
///
/// If they differ, if there is no such file, or if it cannot be written.
#[track_caller]
pub fn assert_committed(timeline: &Timeline, name: &str, package: &str, source: &str) {
    let path = file(name, package, source);
    let drawn = timeline.to_committed();
    if is_update() {
        write(&path, &drawn);
        return;
    }
    let committed = match fs::read_to_string(&path) {
        // A checkout may have other ends of lines.
        Ok(text) => text.replace("\r\n", "\n"),
        Err(error) => {
            panic!("no timeline to compare with ({error}): {}\nwrite it with {VARIABLE}=1", path.display())
        }
    };
    assert!(
        committed == drawn,
        "the timeline is not that of {}\n{}\naccept it with {VARIABLE}=1",
        path.display(),
        difference(&committed, &drawn)
    );
}

fn is_update() -> bool {
    env::var(VARIABLE).is_ok_and(|value| !matches!(&*value, "" | "0" | "no" | "false"))
}

#[track_caller]
fn write(path: &Path, text: &str) {
    let is_same = fs::read_to_string(path).is_ok_and(|known| known == text);
    if is_same {
        return;
    }
    let folder = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    if let Err(error) = written {
        panic!("the timeline cannot be written to {}: {error}", path.display());
    }
}

/// Returns the file: in the folder `timelines` beside the source of the test.
#[track_caller]
fn file(name: &str, package: &str, source: &str) -> PathBuf {
    assert!(
        !name.is_empty()
            && name.chars().all(|char| char.is_alphanumeric() || matches!(char, '-' | '_' | '.')),
        "a timeline is a file: its name has letters, digits, '-', '_' and '.', and not {name:?}"
    );
    // The compiler has a path that begins at the workspace, which is the package or around it.
    let package = Path::new(package);
    let found = package.ancestors().map(|folder| folder.join(source)).find(|path| path.exists());
    let source = found.unwrap_or_else(|| package.join(source));
    source.parent().unwrap_or(package).join("timelines").join(format!("{name}.txt"))
}

/// Returns the lines that differ, with some around them.
fn difference(committed: &str, drawn: &str) -> String {
    const AROUND: usize = 2;
    let (old, new): (Vec<_>, Vec<_>) = (committed.lines().collect(), drawn.lines().collect());
    let same_begin = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let rest = old.len().min(new.len()) - same_begin;
    let same_end =
        old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
    let from = same_begin.saturating_sub(AROUND);
    let mut lines = Vec::new();
    lines.extend(old[from..same_begin].iter().map(|line| format!("  {line}")));
    lines.extend(old[same_begin..old.len() - same_end].iter().map(|line| format!("- {line}")));
    lines.extend(new[same_begin..new.len() - same_end].iter().map(|line| format!("+ {line}")));
    lines.extend(new[new.len() - same_end..].iter().take(AROUND).map(|line| format!("  {line}")));
    lines.join("\n")
}
