//! `cargo xtask floor`: the oldest versions that the manifests of the published crates allow are enough for them.
//!
//! A throw-away package below the target folder depends on the libraries, with all features, and on each direct dependency of
//! theirs in exactly the version that the manifests begin with. All else has the versions of our lock file, so that the answer
//! is the same tomorrow. Cargo's own `-Z direct-minimal-versions` needs a nightly, and takes the newest of all else. Libraries
//! that begin with different versions of one dependency get packages of their own.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt::Write as _,
    fs,
};

use serde_json::Value;

use crate::{
    Result,
    outcome::Outcome,
    packages::{PROFILE, Package, find, public},
    project::{Project, read},
};

/// The oldest version of each dependency, in numbers.
type Floors = BTreeMap<String, [u64; 3]>;

pub(crate) fn run(project: &Project, wanted: Option<&str>) -> Result<Outcome> {
    let published = public(project)?;
    let selected = match wanted {
        Some(name) => vec![find(&published, name)?],
        None => published.iter().collect(),
    };
    let metadata = read(project.cargo("metadata").args(["--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let mut libraries = Vec::new();
    for package in selected {
        let mut floors = Floors::new();
        add_floors(&metadata, &package.name, &mut floors)?;
        libraries.push((package, floors));
    }
    let mut findings = Vec::new();
    for (number, (libraries, floors)) in groups(libraries).into_iter().enumerate() {
        let folder = project.target().join(format!("floor/{}", number + 1));
        fs::create_dir_all(folder.join("src"))?;
        fs::write(folder.join("Cargo.toml"), manifest(&libraries, &floors))?;
        fs::write(folder.join("src/lib.rs"), "")?;
        // Cargo takes away all that is not needed, and changes the versions that are told and no others.
        fs::copy(project.root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
        let command = project.cargo("check").arg("--manifest-path").arg(folder.join("Cargo.toml"));
        let command = command.arg("--target-dir").arg(project.target()).env("CARGO_INCREMENTAL", "0");
        let list: Vec<_> =
            floors.iter().map(|(name, version)| format!("{name} {}", written(version))).collect();
        tell!("$ {command}\n{}", list.join(", "));
        if command.run().is_err() {
            let names: Vec<_> = libraries.iter().map(|package| package.name.as_str()).collect();
            findings.push(format!("with the oldest versions that they allow: {} fail", names.join(", ")));
        }
    }
    Ok(Outcome::of_findings(&findings))
}

/// Adds the dependencies of a library that are not ours, and those of our libraries below it.
fn add_floors(metadata: &Value, library: &str, floors: &mut Floors) -> Result {
    let packages = metadata["packages"].as_array().ok_or("cargo metadata told no packages")?;
    let package = packages.iter().find(|other| other["name"] == library).ok_or("a package is not there")?;
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    for dependency in dependencies.filter(|dependency| dependency["kind"] != "dev") {
        let name = dependency["name"].as_str().unwrap_or_default();
        if dependency["path"].is_string() {
            add_floors(metadata, name, floors)?;
            continue;
        }
        let requirement = dependency["req"].as_str().unwrap_or_default();
        let version = oldest(requirement)
            .ok_or_else(|| format!("{library}: {name} {requirement:?} has no oldest version"))?;
        match floors.entry(name.to_owned()) {
            Entry::Vacant(entry) => _ = entry.insert(version),
            Entry::Occupied(mut entry) => *entry.get_mut() = version.max(*entry.get()),
        }
    }
    Ok(())
}

/// The oldest version that a requirement allows, if it begins with one: `^1.2` with 1.2.0.
fn oldest(requirement: &str) -> Option<[u64; 3]> {
    let version = requirement.strip_prefix(['^', '~', '='])?;
    let mut parts = version.split('.');
    let mut numbers = [0; 3];
    for (number, part) in numbers.iter_mut().zip(&mut parts) {
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Puts libraries together that begin with the same versions.
fn groups(libraries: Vec<(&Package, Floors)>) -> Vec<(Vec<&Package>, Floors)> {
    let mut groups: Vec<(Vec<&Package>, Floors)> = Vec::new();
    for (package, floors) in libraries {
        let fits = |(_, known): &&mut (_, Floors)| {
            floors.iter().all(|(name, version)| known.get(name).is_none_or(|other| other == version))
        };
        match groups.iter_mut().find(fits) {
            Some((packages, known)) => {
                packages.push(package);
                known.extend(floors);
            }
            None => groups.push((vec![package], floors)),
        }
    }
    groups
}

/// The manifest of the throw-away package.
fn manifest(libraries: &[&Package], floors: &Floors) -> String {
    let mut text = format!(
        "[workspace]\n\n[package]\nname = \"floor\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n{PROFILE}\n[dependencies]\n"
    );
    for Package { name, folder, features, .. } in libraries {
        let features: Vec<&str> = features.iter().map(|(feature, _)| feature.as_str()).collect();
        let _ = writeln!(text, "{name} = {{ path = {folder:?}, features = {features:?} }}");
    }
    for (name, version) in floors {
        let _ =
            writeln!(text, "{name} = {{ version = \"={}\", default-features = false }}", written(version));
    }
    text
}

fn written([major, minor, patch]: &[u64; 3]) -> String {
    format!("{major}.{minor}.{patch}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::Graph;

    const METADATA: &str = r#"{"packages": [{
        "id": "limit", "name": "limit", "version": "0.1.0", "manifest_path": "/w/limit/Cargo.toml",
        "features": {"http": ["dep:httpdate"], "redis": []}, "targets": [], "dependencies": [
            {"name": "base", "kind": null, "path": "/w/base", "req": "^0.1.0"},
            {"name": "httpdate", "kind": null, "req": "^1.0.3", "optional": true},
            {"name": "cc", "kind": "build", "req": "~1.1"},
            {"name": "proptest", "kind": "dev", "req": "^1.9"}]}, {
        "id": "base", "name": "base", "version": "0.1.0", "manifest_path": "/w/base/Cargo.toml",
        "features": {}, "targets": [], "dependencies": [{"name": "tokio", "kind": null, "req": "^1.51"}]}, {
        "id": "kit", "name": "kit", "version": "0.1.0", "manifest_path": "/w/kit/Cargo.toml",
        "features": {}, "targets": [], "dependencies": [
            {"name": "base", "kind": null, "path": "/w/base", "req": "^0.1.0"},
            {"name": "tokio", "kind": null, "req": "^1.53.3"}]}, {
        "id": "range", "name": "range", "version": "0.1.0", "manifest_path": "/w/range/Cargo.toml",
        "features": {}, "targets": [], "dependencies": [{"name": "url", "kind": null, "req": ">=2, <3"}]}],
        "resolve": {"nodes": []}}"#;

    fn floors(library: &str) -> Result<Floors> {
        let mut floors = Floors::new();
        add_floors(&serde_json::from_str(METADATA)?, library, &mut floors)?;
        Ok(floors)
    }

    #[test]
    fn the_oldest_version_is_what_a_requirement_begins_with() {
        for (requirement, version) in [
            ("^1.51", Some([1, 51, 0])),
            ("^0.7.20", Some([0, 7, 20])),
            ("~1.1", Some([1, 1, 0])),
            ("=2", Some([2, 0, 0])),
            ("*", None),
            ("", None),
            (">=1.2, <3", None),
            ("^1.2.3-rc.1", None),
            ("^1.2, <1.9", None),
            ("^1.2.3.4", None),
        ] {
            assert_eq!(oldest(requirement), version, "{requirement}");
        }
        assert!(floors("range").unwrap_err().to_string().contains("url \">=2, <3\" has no oldest version"));
        assert!(floors("gone").is_err());
    }

    #[test]
    fn a_library_needs_what_those_below_it_need() {
        let limit = [("cc", [1, 1, 0]), ("httpdate", [1, 0, 3]), ("tokio", [1, 51, 0])];
        assert_eq!(floors("limit").unwrap(), limit.map(|(name, version)| (name.to_owned(), version)).into());
        assert_eq!(floors("kit").unwrap(), [("tokio".to_owned(), [1, 53, 3])].into());
    }

    #[test]
    fn libraries_are_built_together_unless_their_versions_differ() {
        let graph = Graph::parse(METADATA).unwrap();
        let [limit, base, kit, _] = &graph.packages[..] else { panic!() };
        let all = [limit, kit, base].map(|package| (package, floors(&package.name).unwrap()));
        let groups = groups(all.into());
        let names: Vec<Vec<_>> = groups
            .iter()
            .map(|(packages, _)| packages.iter().map(|package| package.name.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["limit", "base"], vec!["kit"]]);
        let text = manifest(&groups[0].0, &groups[0].1);
        let (_, dependencies) = text.split_once("[dependencies]\n").unwrap();
        assert_eq!(
            dependencies,
            "limit = { path = \"/w/limit\", features = [\"http\", \"redis\"] }\n\
             base = { path = \"/w/base\", features = [] }\n\
             cc = { version = \"=1.1.0\", default-features = false }\n\
             httpdate = { version = \"=1.0.3\", default-features = false }\n\
             tokio = { version = \"=1.51.0\", default-features = false }\n"
        );
    }
}
