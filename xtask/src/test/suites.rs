//! The suites: how they are built, found and run.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use xshell::Cmd;

use super::{
    SOAK,
    libtest::{self, Counts},
    report::{Suite, Tier},
};
use crate::{
    Result,
    packages::{Package, selection},
    project::{Project, cleaned, read},
};

/// No suite of ours comes near it.
const LIMIT: Duration = Duration::from_secs(600);

/// Cargo compiles all that they stand on in this time, too, where nothing is built yet.
const DOCTESTS_LIMIT: Duration = Duration::from_secs(1200);

/// The packages whose tests draw timelines. Those of the others would record theirs for nothing, as the feature of the test kit is
/// on for all, and would take up to five times as long.
const DRAW: [&str; 3] = ["cookbook", "evenkeel-testkit", "evenkeel-testkit-pg"];

/// The suites that take longest. They begin first, as one that began last would have a core for itself at the end.
const LONG: [(&str, &str); 7] = [
    ("evenkeel-tests", "conformance"),
    ("evenkeel-simulate", "it"),
    ("evenkeel-pipeline", "it"),
    ("evenkeel-tck", "it"),
    ("evenkeel-postgres", "real"),
    ("evenkeel-pipeline", "real"),
    ("harvest", "real"),
];

/// A test binary.
#[derive(Debug)]
pub(crate) struct Binary {
    pub(crate) package: String,
    /// The folder of the package, where its tests run.
    folder: PathBuf,
    /// `unit` of a library, `bin` of a program, or the name of an integration test.
    pub(crate) target: String,
    path: PathBuf,
}

/// Builds the test binaries of the packages, but for those of `cargo xtask soak`, which is the only one to run them.
pub(crate) fn build(project: &Project, selected: &[&Package], packages: &[Package]) -> Result<Vec<Binary>> {
    let soak = format!("--test={SOAK}");
    let tested = selected.iter().flat_map(|package| &package.tested).filter(|flag| **flag != soak);
    let tested: BTreeSet<&String> = tested.collect();
    if tested.is_empty() {
        return Ok(Vec::new());
    }
    let command = project.cargo("test").args(["--no-run", "--all-features"]).args(tested);
    let command = command.args(selection(selected.iter().copied()));
    let messages = read(command.arg("--message-format=json-render-diagnostics"))?;
    let binaries = messages.lines().filter_map(|line| binary(line, packages).transpose());
    let mut binaries = binaries.collect::<Result<Vec<Binary>>>()?;
    binaries.sort_by(|one, other| one.turn().cmp(&other.turn()));
    Ok(binaries)
}

/// The test binary in one message of cargo.
fn binary(message: &str, packages: &[Package]) -> Result<Option<Binary>> {
    let message: serde_json::Value = serde_json::from_str(message)?;
    let (Some(path), true) = (message["executable"].as_str(), message["profile"]["test"] == true) else {
        return Ok(None);
    };
    let folder = message["manifest_path"].as_str().and_then(|manifest| Path::new(manifest).parent());
    let package = packages.iter().find(|package| Some(package.folder.as_path()) == folder);
    let package = package.ok_or("cargo built a test of a package that is not ours")?;
    let target = &message["target"];
    let is = |kind: &str| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|is| is == kind));
    let name = if is("test") {
        target["name"].as_str().unwrap_or_default()
    } else if is("bin") {
        "bin"
    } else {
        "unit"
    };
    Ok(Some(Binary {
        package: package.name.clone(),
        folder: package.folder.clone(),
        target: name.to_owned(),
        path: path.into(),
    }))
}

impl Binary {
    /// By which it comes before others: the longest ones, then by name.
    fn turn(&self) -> (usize, &str, &str) {
        let is_it = |long: &(&str, &str)| *long == (&*self.package, &*self.target);
        let long = LONG.iter().position(is_it).unwrap_or(LONG.len());
        (long, &self.package, &self.target)
    }

    /// Whether there is anything to run. One that cannot be asked is run, to fail visibly.
    pub(crate) fn has_tests(&self) -> bool {
        let list = cleaned(Command::new(&self.path)).args(["--list", "--format", "terse"]).output();
        list.map_or(true, |list| {
            !list.status.success() || libtest::lists_tests(&String::from_utf8_lossy(&list.stdout))
        })
    }

    /// Runs the suite as cargo would, in its package's folder.
    pub(crate) fn run(
        &self,
        root: &Path,
        logs: &Path,
        tier: Tier,
        arguments: &[&str],
        variables: &[(&str, String)],
    ) -> Suite {
        let shown = self.path.strip_prefix(root).unwrap_or(&self.path);
        tell!("$ {} {}", shown.display(), arguments.join(" "));
        let mut command = cleaned(Command::new(&self.path));
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .env("CARGO_PKG_NAME", &self.package)
            .envs(variables.iter().map(|(name, value)| (name, value)));
        if !DRAW.contains(&&*self.package) {
            command.env("EVENKEEL_TIMELINE", "0");
        }
        let name = format!("{} {}", self.package, self.target);
        let log = log(logs, &name);
        let start = Instant::now();
        let suite = match capture(command, &log, LIMIT) {
            Ok((output, status)) => match libtest::binary(&output) {
                Some(counts) if counts.failed > 0 || status.success() => {
                    let seconds = start.elapsed().as_secs_f64();
                    Suite::new(name, tier, Counts { seconds, ..counts }, &output)
                }
                _ => Suite::broken(name, tier, format!("{output}\nended without a result: {status}\n")),
            },
            Err(error) => Suite::broken(name, tier, error.to_string()),
        };
        suite.tell();
        suite
    }
}

/// Runs documentation tests, by `cargo test --doc` with some selection of packages and features; also returns the seconds of
/// compiling them, which rustdoc does as it runs. The log has a name.
///
/// Without `--show-output`, for which rustdoc would compile and link each of them alone.
pub(crate) fn doctests(project: &Project, command: Cmd<'_>, name: &str) -> Result<(Vec<Suite>, f64)> {
    let command = command.arg("--no-fail-fast").env("CARGO_TERM_COLOR", "never");
    tell!("$ {command}");
    let start = Instant::now();
    let (output, status) = capture(command.into(), &log(&logs(project), name), DOCTESTS_LIMIT)?;
    let all = start.elapsed().as_secs_f64();
    let suite = |(package, output): (String, &str)| {
        let name = format!("{package} doc");
        let suite = match libtest::doctests(output) {
            Some(counts) => Suite::new(name, Tier::Doc, counts, output),
            None => Suite::broken(name, Tier::Doc, output.to_owned()),
        };
        suite.tell();
        suite
    };
    let mut suites: Vec<Suite> = libtest::doctest_sections(&output).into_iter().map(suite).collect();
    if !status.success() && suites.iter().all(|suite| suite.counts.failed == 0) {
        suites.push(Suite::broken("doctests".to_owned(), Tier::Doc, output));
    }
    let running: f64 = suites.iter().map(|suite| suite.counts.seconds).sum();
    Ok((suites, all - running))
}

/// The folder of the logs.
pub(crate) fn logs(project: &Project) -> PathBuf {
    project.target().join("test-logs")
}

fn log(logs: &Path, name: &str) -> PathBuf {
    logs.join(format!("{}.log", name.replace(' ', "-")))
}

/// Runs a command with both output streams in one file, in the order of writing, and ends it if it hangs.
///
/// A pipe would stay open as long as any process that a test left behind.
fn capture(mut command: Command, log: &Path, limit: Duration) -> Result<(String, ExitStatus)> {
    fs::create_dir_all(log.parent().ok_or("a log lies in no folder")?)?;
    let file = File::create(log)?;
    let mut child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > limit {
            tell!("hangs: {} s are over", limit.as_secs());
            child.kill()?;
            break child.wait()?;
        }
        thread::sleep(Duration::from_millis(5));
    };
    Ok((String::from_utf8_lossy(&fs::read(log)?).into_owned(), status))
}

#[cfg(test)]
mod tests {
    use super::binary;
    use crate::packages::Graph;

    #[test]
    fn test_binaries_are_found_among_the_messages() {
        let metadata = r#"{"resolve": {}, "packages": [{"id": "p", "name": "p", "version": "0.1.0",
            "manifest_path": "/w/p/Cargo.toml", "source": null}]}"#;
        let packages = Graph::parse(metadata).unwrap().packages;
        let found = |kind: &str, name: &str, test: bool, executable: &str| {
            let message = format!(
                r#"{{"reason": "compiler-artifact", "manifest_path": "/w/p/Cargo.toml", "executable": {executable},
                     "target": {{"kind": ["{kind}"], "name": "{name}"}}, "profile": {{"test": {test}}}}}"#
            );
            binary(&message, &packages).unwrap().map(|binary| (binary.package, binary.target, binary.path))
        };
        let suite = |target: &str| Some(("p".to_owned(), target.to_owned(), "/t/x".into()));
        assert_eq!(found("lib", "p", true, "\"/t/x\""), suite("unit"));
        assert_eq!(found("bin", "p", true, "\"/t/x\""), suite("bin"));
        assert_eq!(found("test", "it", true, "\"/t/x\""), suite("it"));
        assert_eq!(found("bin", "p", false, "\"/t/x\""), None);
        assert_eq!(found("lib", "p", false, "null"), None);
        assert!(binary(r#"{"reason": "build-finished", "success": true}"#, &packages).unwrap().is_none());
        assert!(binary("warning: no message", &packages).is_err());
    }
}
