//! The archives that would be published, unpacked into a workspace.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    Result,
    packages::{PROFILE, Package, selection},
    project::{Project, read, run as execute, run_with},
};

/// Packages the crates, unpacks them, and returns the manifest of the workspace.
pub(super) fn unpacked(project: &Project, packages: &[Package]) -> Result<PathBuf> {
    let folder = project.target().join("packaged");
    // They are made to be thrown away, so changes that are not committed yet do no harm.
    let command = project.cargo("package").args(["--quiet", "--no-verify", "--allow-dirty"]);
    run_with(&[("CARGO_TARGET_DIR", &folder.to_string_lossy())], command.args(selection(packages)))?;
    let fresh = folder.join("fresh");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(&fresh)?;
    let metadata = read(project.cargo("metadata").args(["--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    for package in packages {
        let name = format!("{}-{}", package.name, package.version);
        let archive = folder.join("package").join(format!("{name}.crate"));
        execute(project.program(Path::new("tar")).arg("-xzf").arg(archive).arg("-C").arg(&fresh))?;
        let to = fresh.join(&package.name);
        fs::rename(fresh.join(name), &to)?;
        // The lock file of a library is nobody's, and the manifest as we wrote it is not what cargo reads.
        for file in ["Cargo.lock", "Cargo.toml.orig"] {
            fs::remove_file(to.join(file))?;
        }
        let manifest = to.join("Cargo.toml");
        let stripped = dev_dependencies(&metadata, &package.name)?;
        fs::write(&manifest, fs::read_to_string(&manifest)? + &stripped)?;
    }
    let workspace = folder.join("workspace");
    fs::write(fresh.join("Cargo.toml"), manifest_of(packages))?;
    fs::copy(project.root.join("Cargo.lock"), fresh.join("Cargo.lock"))?;
    synchronize(&fresh, &workspace)?;
    Ok(workspace.join("Cargo.toml"))
}

/// The manifest of the workspace. Its packages stand in for those of the registry.
fn manifest_of(packages: &[Package]) -> String {
    let names = packages.iter().map(|package| package.name.as_str());
    let members = names.clone().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    let mut text = format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\n[patch.crates-io]\n");
    for name in names {
        let _ = writeln!(text, "{name} = {{ path = {name:?} }}");
    }
    text + "\n" + PROFILE
}

/// The packages of ours that the tests of one need. Cargo leaves them out of the archive, as they have no version; its doc tests
/// are run with those of the other archives.
fn dev_dependencies(metadata: &Value, package: &str) -> Result<String> {
    let packages = metadata["packages"].as_array().ok_or("cargo metadata told no packages")?;
    let package = packages.iter().find(|other| other["name"] == package).ok_or("a package is not there")?;
    let mut text = String::new();
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        if dependency["kind"] == "dev" && dependency["path"].is_string() {
            let (name, features) = (dependency["name"].as_str().unwrap_or_default(), &dependency["features"]);
            let default = &dependency["uses_default_features"];
            // With a version, as those of its library are: the archives stand in for the registry.
            let _ = write!(
                text,
                "\n[dev-dependencies.{name}]\nversion = \"*\"\nfeatures = {features}\ndefault-features = {default}\n"
            );
        }
    }
    Ok(text)
}

/// Makes one folder like another, and leaves files alone that have not changed: cargo compiles again what is newer.
fn synchronize(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut kept = BTreeSet::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        kept.insert(entry.file_name());
        if source.is_dir() {
            synchronize(&source, &target)?;
        } else {
            let text = fs::read(&source)?;
            if fs::read(&target).ok().as_ref() != Some(&text) {
                fs::write(&target, text)?;
            }
        }
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !kept.contains(&entry.file_name()) {
            let path = entry.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{env, process, time::SystemTime};

    use super::*;

    #[test]
    fn only_changes_are_written() {
        let folder = env::temp_dir().join(format!("evenkeel-archives-{}", process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        for (path, text) in [("same", "1"), ("sub/changed", "new"), ("sub/added", "3")] {
            fs::create_dir_all(from.join(path).parent().unwrap()).unwrap();
            fs::write(from.join(path), text).unwrap();
        }
        for (path, text) in [("same", "1"), ("sub/changed", "old"), ("gone/file", "4"), ("gone.rs", "5")] {
            fs::create_dir_all(to.join(path).parent().unwrap()).unwrap();
            fs::write(to.join(path), text).unwrap();
        }
        let old = SystemTime::UNIX_EPOCH;
        fs::File::options().write(true).open(to.join("same")).unwrap().set_modified(old).unwrap();
        synchronize(&from, &to).unwrap();
        assert_eq!(fs::metadata(to.join("same")).unwrap().modified().unwrap(), old);
        for (path, text) in [("same", "1"), ("sub/changed", "new"), ("sub/added", "3")] {
            assert_eq!(fs::read_to_string(to.join(path)).unwrap(), text);
        }
        assert!(!to.join("gone").exists() && !to.join("gone.rs").exists());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn dev_dependencies_of_ours_are_those_of_the_archives() {
        let metadata = r#"{"packages": [{"name": "a", "dependencies": [
            {"name": "tokio", "kind": "dev", "features": []},
            {"name": "b", "kind": null, "path": "/w/b", "features": []},
            {"name": "kit", "kind": "dev", "path": "/w/kit", "features": ["x", "y"], "uses_default_features": true}]}]}"#;
        let metadata = serde_json::from_str(metadata).unwrap();
        let expected =
            "\n[dev-dependencies.kit]\nversion = \"*\"\nfeatures = [\"x\",\"y\"]\ndefault-features = true\n";
        assert_eq!(dev_dependencies(&metadata, "a").unwrap(), expected);
        assert!(dev_dependencies(&metadata, "c").is_err());
    }
}
