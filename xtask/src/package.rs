//! `cargo xtask package`: each package builds from the files that would be published.
//!
//! Cargo serves these packages to each other from a registry in the target folder. It takes a version of a registry for
//! one that never changes: the sources that an earlier run unpacked, and what was compiled of them, would be used again
//! as long as the version is the same. So both are removed first.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Result,
    outcome::Outcome,
    packages::{public, selection},
    project::{Project, run_with},
};

pub(crate) fn run(project: &Project) -> Result<Outcome> {
    let published = public(project)?;
    // Set by the variable, the folder is shared by all of them, and their dependencies are built once.
    let folder = project.target().join("packaged");
    let names: Vec<_> = published.iter().map(|package| package.name.as_str()).collect();
    remove_copies(&folder.join("debug/.fingerprint"), &names)?;
    for registry in local_registries()? {
        remove_copies(&registry, &names)?;
    }
    // The packages are built to be thrown away, so changes that are not committed yet do no harm.
    let command = project.cargo("package").arg("--allow-dirty").args(selection(&published));
    run_with(&[("CARGO_TARGET_DIR", &folder.to_string_lossy())], command)?;
    Ok(Outcome::Done)
}

/// Returns the folders of unpacked sources that come from a registry in a folder: cargo names a registry by its host and
/// a hash, and such a one has no host.
fn local_registries() -> io::Result<Vec<PathBuf>> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let Some(home) = home.or_else(|| Some(env::home_dir()?.join(".cargo"))) else { return Ok(Vec::new()) };
    let mut registries = entries(&home.join("registry/src"))?;
    registries.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('-')));
    Ok(registries)
}

/// Removes the entries of a folder that are named `NAME-…` after one of these packages.
fn remove_copies(folder: &Path, packages: &[&str]) -> io::Result<()> {
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_copy = |package: &&str| name.strip_prefix(*package).is_some_and(|rest| rest.starts_with('-'));
        if packages.iter().any(is_copy) {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// Returns the paths in a folder; none if it does not exist.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_copies_of_our_packages_are_removed() {
        let folder = env::temp_dir().join(format!("evenkeel-package-{}", std::process::id()));
        for name in ["ours-0.1.0", "ours-too-0.1.0", "oursly-0.1.0", "theirs-0.1.0"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        remove_copies(&folder, &["ours"]).unwrap();
        let mut left = entries(&folder).unwrap();
        left.sort();
        assert_eq!(left, ["oursly-0.1.0", "theirs-0.1.0"].map(|name| folder.join(name)));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(entries(&folder).unwrap(), [] as [PathBuf; 0]);
    }
}
