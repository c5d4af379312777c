//! Errors of the compiler that lead on: what a user sees who writes `compile_errors/first_guesses.rs.in`.
//!
//! One run of rustc for all of them, against the library of this package, which cargo has built for this test. The text of
//! rustc differs between its versions, and ours does not: only the lines that a section names are looked for.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use serde_json::Value;

/// A part of the program, which must not compile.
struct Section<'a> {
    name: &'a str,
    lines: std::ops::Range<usize>,
    expected: Vec<&'a str>,
}

impl<'a> Section<'a> {
    /// Cuts a program at its `//# name` lines, which are counted from 1.
    fn all(program: &'a str) -> Vec<Self> {
        let mut sections: Vec<Self> = Vec::new();
        for (index, line) in program.lines().enumerate() {
            if let Some(name) = line.strip_prefix("//# ") {
                sections.push(Self { name, lines: index + 1..index + 1, expected: Vec::new() });
            }
            let Some(section) = sections.last_mut() else { continue };
            section.lines.end = index + 2;
            section.expected.extend(line.strip_prefix("//~ "));
        }
        sections
    }
}

/// Finds the library of this package beside the test, the newest where there are several.
fn library(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).expect("a folder").map(|file| file.expect("its files").path());
    let libraries = files.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libevenkeel_tests-") && name.ends_with(".rlib")
    });
    let built =
        |path: &PathBuf| path.metadata().and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    libraries.max_by_key(built).expect("cargo has built it for this test")
}

/// Returns the errors of a program: the lines of the program that each is about, and its text.
fn errors(program: &Path) -> Vec<(Vec<usize>, String)> {
    let test = env::current_exe().expect("a test is a file");
    let folder = test.parent().expect("in a folder");
    let mut dependencies = std::ffi::OsString::from("dependency=");
    dependencies.push(folder);
    let mut library_of_tests = std::ffi::OsString::from("evenkeel_tests=");
    library_of_tests.push(library(folder));
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args([
        "--edition=2024",
        "--crate-name=first_guesses",
        "--crate-type=lib",
        "--emit=metadata",
        "--error-format=json",
        "--cap-lints=allow",
    ]);
    command.args(["--out-dir", env!("CARGO_TARGET_TMPDIR")]); // also for long names of types
    command.arg("-L").arg(dependencies).arg("--extern").arg(library_of_tests).arg(program);
    // The paths of the crates, whose lines are quoted, begin here.
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let output = command.output().expect("rustc is where cargo is");
    let told = String::from_utf8(output.stderr).expect("rustc tells in UTF-8");
    let diagnostics = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // The last one is about no line: it counts the others.
    let of_errors = diagnostics.filter(|error| error["level"] == "error" && error["spans"][0].is_object());
    let errors: Vec<_> = of_errors.map(|error| (lines(&error["spans"]), text(&error))).collect();
    assert!(!errors.is_empty(), "{told}");
    errors
}

/// Returns the lines of the program that an error is about: those of its primary spans.
fn lines(spans: &Value) -> Vec<usize> {
    let primary = spans.as_array().expect("a list of spans").iter().filter(|span| span["is_primary"] == true);
    primary.filter_map(|span| usize::try_from(span["line_start"].as_u64()?).ok()).collect()
}

/// Returns the text of an error as rustc prints it.
fn text(error: &Value) -> String {
    error["rendered"].as_str().unwrap_or_default().to_owned()
}

#[test]
#[ignore = "real tier"]
fn errors_of_first_guesses_name_the_way() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("compile_errors/first_guesses.rs.in");
    let program = fs::read_to_string(&path).unwrap();
    let sections = Section::all(&program);
    assert!(sections.len() >= 15, "{} sections", sections.len());
    let errors = errors(&path);
    for (lines, text) in &errors {
        let is_known = sections.iter().any(|section| lines.iter().any(|line| section.lines.contains(line)));
        assert!(is_known, "an error outside of the sections, at {lines:?}:\n{text}");
    }
    for Section { name, lines: range, expected } in &sections {
        assert!(!expected.is_empty(), "{name} expects nothing");
        let own = errors.iter().filter(|(lines, _)| lines.iter().any(|line| range.contains(line)));
        let seen: String = own.map(|(_, text)| &**text).collect();
        assert!(!seen.is_empty(), "it compiles, so that it is no compile error: {name}");
        for line in expected {
            assert!(seen.contains(line), "{name}: the user does not see\n  {line}\nbut\n{seen}");
        }
    }
}
