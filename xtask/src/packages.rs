//! The packages of the workspace and of its dependency graph, as `cargo metadata` tells them.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use command_line::{Refused, closest};
use serde_json::Value;

use crate::{
    Result,
    project::{Project, read},
};

/// The profile of this workspace, for a manifest of another one below the target folder: what is compiled here already is used
/// there.
pub(crate) const PROFILE: &str =
    "[profile.dev]\ndebug = \"line-tables-only\"\n\n[profile.dev.package.\"*\"]\ndebug = false\n";

/// The facts of one package that the commands need.
#[derive(Debug)]
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// The folder of its manifest.
    pub(crate) folder: PathBuf,
    /// The registry or repository; `None` for a package of this workspace.
    pub(crate) source: Option<String>,
    pub(crate) rust_version: Option<String>,
    /// May be published.
    pub(crate) public: bool,
    /// Each feature with the features that it switches on.
    pub(crate) features: Vec<(String, Vec<String>)>,
    /// The names of its integration tests.
    pub(crate) tests: Vec<String>,
    /// Has documentation tests.
    pub(crate) doctests: bool,
    /// The targets with tests, as flags of cargo: `--lib`, `--bin=NAME`, `--test=NAME`.
    pub(crate) tested: Vec<String>,
    /// Has tests at all. A program without any is not built for those of others, which would have its features.
    pub(crate) is_tested: bool,
}

/// The packages of this workspace; nothing is resolved or downloaded for them.
pub(crate) fn members(project: &Project) -> Result<Vec<Package>> {
    let metadata = read(project.cargo("metadata").args(["--no-deps", "--format-version", "1"]))?;
    packages(&serde_json::from_str(&metadata)?)
}

/// The packages of this workspace that are published.
pub(crate) fn public(project: &Project) -> Result<Vec<Package>> {
    Ok(members(project)?.into_iter().filter(|package| package.public).collect())
}

/// The package of this name; `retry` finds `evenkeel-retry`.
pub(crate) fn find<'a>(packages: &'a [Package], name: &str) -> Result<&'a Package> {
    let long = format!("evenkeel-{name}");
    let named = |name: &str| packages.iter().find(|package| package.name == name);
    if let Some(package) = named(name).or_else(|| named(&long)) {
        return Ok(package);
    }
    let names = packages.iter().map(|package| package.name.as_str());
    let short = names.clone().filter_map(|name| name.strip_prefix("evenkeel-"));
    let meant = closest(name, names.chain(short)).map(|name| format!("; did you mean `{name}`?"));
    Err(Refused::wrong(format!("there is no package `{name}`{}", meant.unwrap_or_default())).into())
}

/// `-p NAME` for each package.
pub(crate) fn selection<'a>(packages: impl IntoIterator<Item = &'a Package>) -> Vec<&'a str> {
    packages.into_iter().flat_map(|package| ["-p", package.name.as_str()]).collect()
}

/// The whole dependency graph, all features on, for all platforms.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) packages: Vec<Package>,
    /// From a package to one that its library, program or build script needs.
    edges: Vec<(String, String)>,
}

impl Graph {
    pub(crate) fn read(project: &Project) -> Result<Graph> {
        let metadata = read(project.cargo("metadata").args(["--all-features", "--format-version", "1"]))?;
        Graph::parse(&metadata)
    }

    pub(crate) fn parse(metadata: &str) -> Result<Graph> {
        let metadata: Value = serde_json::from_str(metadata)?;
        let mut edges = Vec::new();
        let resolved = metadata["resolve"].as_object().ok_or("cargo metadata resolved nothing")?;
        for node in resolved.get("nodes").map_or(&[][..], list) {
            for dependency in list(&node["deps"]).iter().filter(|dependency| is_shipped(dependency)) {
                edges.push((field(node, "id")?, field(dependency, "pkg")?));
            }
        }
        Ok(Graph { packages: packages(&metadata)?, edges })
    }

    /// Returns `roots`, and the packages that are built with one of them, its tests aside.
    pub(crate) fn shipped(&self, roots: impl Fn(&Package) -> bool) -> Vec<&Package> {
        let mut open: Vec<&str> = self
            .packages
            .iter()
            .filter(|package| roots(package))
            .map(|package| package.id.as_str())
            .collect();
        let mut reached: HashSet<&str> = open.iter().copied().collect();
        while let Some(from) = open.pop() {
            for (_, to) in self.edges.iter().filter(|(id, _)| id == from) {
                if reached.insert(to) {
                    open.push(to);
                }
            }
        }
        self.packages.iter().filter(|package| reached.contains(package.id.as_str())).collect()
    }
}

/// Whether a dependency is more than a dev-dependency.
fn is_shipped(dependency: &Value) -> bool {
    list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev")
}

fn packages(metadata: &Value) -> Result<Vec<Package>> {
    list(&metadata["packages"]).iter().map(package).collect()
}

fn package(json: &Value) -> Result<Package> {
    let manifest = field(json, "manifest_path")?;
    let features = json["features"].as_object().into_iter().flatten();
    let targets = list(&json["targets"]);
    let is_test = |target: &&Value| list(&target["kind"]).iter().any(|kind| kind == "test");
    Ok(Package {
        id: field(json, "id")?,
        name: field(json, "name")?,
        version: field(json, "version")?,
        folder: Path::new(&manifest).parent().ok_or("a manifest lies in no folder")?.to_owned(),
        source: json["source"].as_str().map(str::to_owned),
        rust_version: json["rust_version"].as_str().map(str::to_owned),
        public: !json["publish"].is_array(),
        features: features.map(|(name, on)| (name.clone(), texts(on))).collect(),
        tests: targets
            .iter()
            .filter(is_test)
            .filter_map(|test| test["name"].as_str())
            .map(str::to_owned)
            .collect(),
        doctests: targets.iter().any(|target| target["doctest"] == true),
        tested: targets.iter().filter(|target| target["test"] == true).map(flag).collect(),
        is_tested: targets.iter().any(|target| target["doctest"] == true || target["test"] == true),
    })
}

/// By which cargo builds this target and no other one.
fn flag(target: &Value) -> String {
    let name = target["name"].as_str().unwrap_or_default();
    match target["kind"][0].as_str() {
        Some(kind @ ("bin" | "test" | "example" | "bench")) => format!("--{kind}={name}"),
        _ => "--lib".to_owned(),
    }
}

/// The elements; none if it is no list.
fn list(json: &Value) -> &[Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn texts(json: &Value) -> Vec<String> {
    list(json).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn field(json: &Value, key: &str) -> Result<String> {
    Ok(json[key].as_str().ok_or_else(|| format!("cargo metadata told no `{key}`"))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::Graph;

    const METADATA: &str = r#"{
        "packages": [
            {"id": "ours", "name": "ours", "version": "0.1.0", "manifest_path": "/w/ours/Cargo.toml", "publish": null,
             "source": null, "rust_version": "1.89", "features": {"full": ["dep:x", "a"], "a": []},
             "targets": [{"kind": ["lib"], "name": "ours", "doctest": true, "test": true}, {"kind": ["test"], "name": "it", "test": true}]},
            {"id": "tool", "name": "tool", "version": "0.0.0", "manifest_path": "/w/tool/Cargo.toml", "publish": [],
             "targets": [{"kind": ["bin"], "name": "tool", "doctest": false}]},
            {"id": "x", "name": "x", "version": "1.0.0", "manifest_path": "/r/x/Cargo.toml", "source": "registry"},
            {"id": "y", "name": "y", "version": "1.0.0", "manifest_path": "/r/y/Cargo.toml", "source": "registry"},
            {"id": "d", "name": "d", "version": "1.0.0", "manifest_path": "/r/d/Cargo.toml", "source": "registry"}
        ],
        "resolve": {"nodes": [
            {"id": "ours", "deps": [{"pkg": "x", "dep_kinds": [{"kind": "dev"}, {"kind": null}]},
                                    {"pkg": "d", "dep_kinds": [{"kind": "dev"}]}]},
            {"id": "x", "deps": [{"pkg": "y", "dep_kinds": [{"kind": "build"}]}]},
            {"id": "y", "deps": [{"pkg": "x", "dep_kinds": [{"kind": null}]}]},
            {"id": "tool", "deps": [{"pkg": "d", "dep_kinds": [{"kind": null}]}]}
        ]}}"#;

    #[test]
    fn what_ships_leaves_dev_dependencies_out() {
        let graph = Graph::parse(METADATA).unwrap();
        let names: Vec<_> = graph.shipped(|package| package.public && package.source.is_none());
        assert_eq!(names.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["ours", "x", "y"]);
        let names = graph.shipped(|package| package.name == "tool");
        assert_eq!(names.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["tool", "d"]);
    }

    #[test]
    fn a_package_is_read_whole() {
        let graph = Graph::parse(METADATA).unwrap();
        let (ours, tool) = (&graph.packages[0], &graph.packages[1]);
        assert_eq!(ours.folder, std::path::Path::new("/w/ours"));
        assert!(ours.features.contains(&("full".to_owned(), vec!["dep:x".to_owned(), "a".to_owned()])));
        assert_eq!((ours.tests.as_slice(), ours.doctests), (["it".to_owned()].as_slice(), true));
        assert!(ours.public && !tool.public && !tool.doctests);
        assert!(ours.is_tested && !tool.is_tested);
        assert_eq!(ours.tested, ["--lib", "--test=it"]);
    }
}
