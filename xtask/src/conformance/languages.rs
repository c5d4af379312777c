//! Libraries of other languages: each language is installed below `target/languages`, its driver is tested, and then
//! the rules are run.

mod go;

use std::{
    fs,
    path::{Path, PathBuf},
};

use xshell::Cmd;

use crate::{
    Result, flags,
    outcome::Outcome,
    project::{Project, run as execute, run_with},
};

/// The place of a language, or why it is left out: something is missing here that no package manager of a language installs.
type Place = std::result::Result<PathBuf, String>;

struct Language {
    name: &'static str,
    /// The variable in which the rules look for its place.
    variable: &'static str,
    /// Installs what is pinned. An installation that fails ends all.
    install: fn(&Project) -> Result<Place>,
    /// The tests of the driver: first of its clock.
    tests: for<'a> fn(&'a Project, &Path) -> Vec<Cmd<'a>>,
}

const PYTHON_DRIVER: &str = "crates/evenkeel-tck/drivers/python";

const LANGUAGES: [Language; 3] = [
    Language {
        name: "Python",
        variable: "EVENKEEL_CONFORMANCE_PYTHON",
        install: python,
        tests: |project, python| {
            let test = |file| project.program(python).arg("-B").arg(Path::new(PYTHON_DRIVER).join(file));
            ["clock", "kit", "requests", "tasks", "streams", "pools"]
                .map(|name| test(format!("test_{name}.py")))
                .into()
        },
    },
    Language {
        name: "Node",
        variable: "EVENKEEL_CONFORMANCE_NODE",
        install: node,
        tests: |project, _| {
            let node = || project.program(Path::new("node"));
            let test = |file| node().arg(Path::new("crates/evenkeel-tck/drivers/node").join(file));
            ["clock", "kit", "requests", "streams", "pools"]
                .map(|name| test(format!("test_{name}.mjs")))
                .into()
        },
    },
    Language {
        name: "Go",
        variable: "EVENKEEL_CONFORMANCE_GO",
        install: go::install,
        tests: |project, go| vec![go::clock(project, go)],
    },
];

pub(super) fn run(project: &Project, flags: &flags::Conformance, mut command: Cmd<'_>) -> Result<Outcome> {
    if let Some(peer) = &flags.peer {
        command = command.args(["--peer", peer]);
    }
    if flags.save {
        command = command.arg("--save");
    }
    let (mut places, mut missing) = (Vec::new(), Vec::new());
    for language in &LANGUAGES {
        match (language.install)(project)? {
            Ok(place) => {
                (language.tests)(project, &place).into_iter().try_for_each(execute)?;
                places.push((language.variable, place.to_string_lossy().into_owned()));
            }
            Err(why) => missing.push(format!("{}: {why}", language.name)),
        }
    }
    let variables: Vec<_> = places.iter().map(|(name, place)| (*name, place.as_str())).collect();
    run_with(&variables, command)?;
    Ok(if missing.is_empty() { Outcome::Done } else { Outcome::Partly(missing.join("; ")) })
}

fn there_is_no(tool: &str) -> Result<Place> {
    Ok(Err(format!("there is no {tool}")))
}

/// The interpreter of an environment with the pinned packages.
fn python(project: &Project) -> Result<Place> {
    let Some(python3) = project.tool("python3") else { return there_is_no("python3") };
    let folder = project.target().join("languages/python");
    let python = folder.join("bin/python");
    if !python.is_file() {
        execute(python3.args(["-m", "venv"]).arg(&folder))?;
    }
    execute(pip(project.program(&python)).args(["-r", "tests/languages/python/requirements.txt"]))?;
    Ok(Ok(python))
}

/// `pip install` of this interpreter.
fn pip(python: Cmd<'_>) -> Cmd<'_> {
    python.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
    ])
}

/// A folder with the driver, the adapters and the pinned packages.
fn node(project: &Project) -> Result<Place> {
    if project.tool("node").is_none() {
        return there_is_no("node");
    }
    let Some(npm) = project.tool("npm") else { return there_is_no("npm") };
    let folder = project.target().join("languages/node");
    fs::create_dir_all(&folder)?;
    for driver in ["evenkeel_tck.mjs", "evenkeel_tck_kit.mjs"] {
        fs::copy(project.root.join("crates/evenkeel-tck/drivers/node").join(driver), folder.join(driver))?;
    }
    for file in fs::read_dir(project.root.join("tests/languages/node"))? {
        let file = file?;
        fs::copy(file.path(), folder.join(file.file_name()))?;
    }
    execute(npm.args(["ci", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder))?;
    Ok(Ok(folder))
}
