//! Faults that are planted in a copy of our crates: the simulation has to find each of them.
//!
//! # How it works
//!
//! A mutant is a text of a source file and another one in its place, which asks `evenkeel_base::mutant` whether it is the
//! one of this run. The sources are copied to `target/mutants`, all mutants are written into them, and the program is built
//! there once. The sources themselves know nothing of it. A text that is not there any more, or twice, is a failure: the
//! mutant has to follow the code.

mod table;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use self::table::MUTANTS;
use crate::{
    Result,
    outcome::Outcome,
    project::{Project, cleaned, run as execute},
    table::Table,
};

/// The seeds within which each mutant has to be found.
const SEEDS: &str = "2000";

/// The packages of the copy.
const MEMBERS: &str = r#""command-line", "crates/*", "examples/harvest", "tests/simulate""#;

/// A fault of ours that was planted.
#[derive(Debug)]
struct Mutant {
    /// Its name, and what is wrong with it.
    name: &'static str,
    /// The program that finds it.
    subject: &'static str,
    file: &'static str,
    /// The text that it replaces.
    from: &'static str,
    /// Its own text, in which `MUTANT` stands for whether it is switched on.
    to: &'static str,
}

/// The function in the copy that switches mutants on.
const SWITCH: &str = "
/// Returns whether this mutant is switched on.
#[doc(hidden)]
pub fn mutant(name: &str) -> bool {
    static NAME: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::env::var(\"EVENKEEL_MUTANT\").ok()).as_deref() == Some(name)
}
";

/// Builds the copy with all mutants, and lets the simulation look for each of them.
pub(crate) fn run(project: &Project, subject: Option<&str>) -> Result<Outcome> {
    let program = build(project)?;
    let mut table = Table::new(["mutant", "found by", "seeds", "broken promise"]);
    let mut missed = 0;
    let chosen = |mutant: &&Mutant| subject.is_none_or(|subject| subject == mutant.subject);
    for mutant in MUTANTS.iter().filter(chosen) {
        let found = look_for(&program, mutant)?;
        missed += usize::from(found.is_none());
        let (seeds, promise) = found.unwrap_or_else(|| (format!("not in {SEEDS}"), "NOT FOUND".to_owned()));
        table.row([mutant.name.to_owned(), mutant.subject.to_owned(), seeds, promise]);
    }
    say!("{}", table.render());
    Ok(if missed == 0 { Outcome::Done } else { Outcome::Failed(format!("{missed} mutants were not found")) })
}

/// Returns the seeds until a failure, and the promise that was broken.
fn look_for(program: &Path, mutant: &Mutant) -> Result<Option<(String, String)>> {
    let mut command = cleaned(Command::new(program));
    command.args([mutant.subject, "--seeds", SEEDS, "--first"]);
    let output = command.env("EVENKEEL_MUTANT", mutant.name).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(None);
    }
    let seeds = text
        .lines()
        .find_map(|line| line.split_once(" seeds from").and_then(|(before, _)| before.split(": ").nth(1)));
    let promise = text.lines().skip_while(|line| !line.starts_with("FAILED")).nth(1);
    let died = || format!("the program ended with {}", output.status);
    let promise = promise.map_or_else(died, |promise| promise.trim().chars().take(70).collect());
    Ok(Some((seeds.unwrap_or("?").to_owned(), promise)))
}

/// Copies the sources, plants all mutants, and builds the program.
fn build(project: &Project) -> Result<PathBuf> {
    let copy = project.target().join("mutants");
    for folder in ["command-line", "crates", "examples/harvest", "tests/simulate"] {
        copy_folder(&project.root.join(folder), &copy.join(folder))?;
    }
    fs::copy(project.root.join("Cargo.lock"), copy.join("Cargo.lock"))?;
    let manifest = fs::read_to_string(project.root.join("Cargo.toml"))?;
    // A mutant may leave something unused.
    let manifest =
        manifest.replacen("[workspace.lints.rust]\n", "[workspace.lints.rust]\nwarnings = \"allow\"\n", 1);
    fs::write(copy.join("Cargo.toml"), with_members(&manifest, MEMBERS)?)?;
    for mutant in MUTANTS {
        let path = copy.join(mutant.file);
        fs::write(&path, planted(mutant, &fs::read_to_string(&path)?)?)?;
    }
    let base = copy.join("crates/evenkeel-base/src/lib.rs");
    fs::write(&base, fs::read_to_string(&base)? + SWITCH)?;

    let command = project.cargo("build").args([
        "--quiet",
        "--profile=simulate",
        "-p",
        "evenkeel-simulate",
        "--bin",
        "simulate",
    ]);
    let command = command.arg("--manifest-path").arg(copy.join("Cargo.toml"));
    execute(command.arg("--target-dir").arg(copy.join("target")))?;
    Ok(copy.join("target/simulate").join(format!("simulate{}", std::env::consts::EXE_SUFFIX)))
}

fn with_members(manifest: &str, members: &str) -> Result<String> {
    let start = manifest.find("members = [").ok_or("the workspace has members")?;
    let end = manifest[start..].find(']').ok_or("the list of members ends")? + start;
    Ok(format!("{}members = [{members}{}", &manifest[..start], &manifest[end..]))
}

/// Returns the text of a file with a mutant.
fn planted(mutant: &Mutant, text: &str) -> Result<String> {
    let Mutant { name, file, from, to, .. } = mutant;
    match text.matches(from).count() {
        1 => Ok(text.replace(from, &to.replace("MUTANT", &format!("evenkeel_base::mutant(\"{name}\")")))),
        count => {
            Err(format!("{file}: the mutant \"{name}\" replaces a text that is there {count} times:\n{from}")
                .into())
        }
    }
}

/// Copies a folder, and leaves files alone that have not changed, so that they are not compiled again.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (path, to) = {
            let entry = entry?;
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy_folder(&path, &to)?;
        } else {
            fs::copy(&path, &to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{MUTANTS, planted, with_members};

    #[test]
    fn each_mutant_replaces_a_text_that_is_there_once() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies at the root");
        let mut lost = Vec::new();
        for mutant in MUTANTS {
            let text = fs::read_to_string(root.join(mutant.file))
                .unwrap_or_else(|error| panic!("{}: {error}", mutant.file));
            match planted(mutant, &text) {
                Ok(planted) => assert!(
                    planted.contains(&format!("evenkeel_base::mutant(\"{}\")", mutant.name)),
                    "{}",
                    mutant.name
                ),
                Err(error) => lost.push(error.to_string()),
            }
        }
        assert!(lost.is_empty(), "{}", lost.join("\n"));
        let mut names: Vec<_> = MUTANTS.iter().map(|mutant| mutant.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MUTANTS.len());
    }

    #[test]
    fn members_are_replaced() {
        let manifest =
            "[workspace]\nmembers = [\"a\", \"b\"]\n[workspace.dependencies]\nx = { features = [\"y\"] }\n";
        let expected = manifest.replace("\"a\", \"b\"", "\"c\"");
        assert_eq!(with_members(manifest, "\"c\"").ok(), Some(expected));
        assert!(with_members("[workspace]\n", "\"c\"").is_err());
    }
}
