//! How the manifests write their dependencies.

use super::{manifest::Manifest, tree::Tree};

pub(super) const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// External crates without default features that would matter.
const WITHOUT_FEATURES: [&str; 5] = ["async-trait", "httpdate", "pin-project-lite", "xflags", "xshell"];

/// With a version, cargo publishes the dependency too, and packaging fails until that crate is out.
pub(super) fn our_dev_dependencies_are_paths(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for package in &tree.packages {
        let ours = package.manifest.dependencies("dev-dependencies").into_iter().filter(|d| d.is_ours());
        let wrong = ours.filter(|d| !d.has("path") || d.has("version") || d.has("workspace"));
        found.extend(wrong.map(|d| {
            let message = format!("write `{} = {{ path = \"...\" }}`, without version or workspace", d.name);
            package.finding(d.line, &message)
        }));
    }
    found
}

pub(super) fn external_versions_are_stated_once(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for package in tree.packages.iter().filter(|package| !package.is_alone()) {
        // The test kit states a newer tokio than the libraries need.
        let own_floor = |name: &str| package.name == "evenkeel-testkit" && name == "tokio";
        let external = TABLES.iter().flat_map(|table| package.manifest.dependencies(table));
        let wrong = external.filter(|d| !d.is_ours() && !d.is("workspace", "true") && !own_floor(&d.name));
        found.extend(wrong.map(|d| {
            let message = format!("write `{0}.workspace = true`, and declare {0} at the root", d.name);
            package.finding(d.line, &message)
        }));
    }
    found
}

pub(super) fn default_features_are_off(tree: &Tree) -> Vec<String> {
    let Some(root) = tree.file("Cargo.toml") else { return Vec::new() };
    let external = Manifest::parse(&root.text).dependencies("workspace.dependencies").into_iter();
    let wrong = external
        .filter(|d| !d.is_ours() && !d.is("default-features", "false"))
        .filter(|d| !WITHOUT_FEATURES.contains(&d.name.as_str()));
    wrong
        .map(|d| {
            let message = format!("{}: add `default-features = false`: members name what they use", d.name);
            root.finding(d.line, &message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::findings;

    #[test]
    fn our_dev_dependencies_with_a_version_are_found() {
        let manifest = "[package]\nname = \"a\"\n[dev-dependencies]\nevenkeel-a.workspace = true\n\
            evenkeel-b = { path = \"../b\", version = \"1\" }\nevenkeel-c = \"1\"\nevenkeel-d = { path = \"../d\" }\n";
        let expected = [
            "a/Cargo.toml:4: write `evenkeel-a = { path = \"...\" }`, without version or workspace",
            "a/Cargo.toml:5: write `evenkeel-b = { path = \"...\" }`, without version or workspace",
            "a/Cargo.toml:6: write `evenkeel-c = { path = \"...\" }`, without version or workspace",
        ];
        assert_eq!(findings(our_dev_dependencies_are_paths, &[("a/Cargo.toml", manifest)]), expected);
    }

    #[test]
    fn versions_in_members_are_found() {
        let bad = "[package]\nname = \"a\"\n[dependencies]\ntokio = \"1\"\n[dev-dependencies]\nproptest.workspace = true\n\
            [build-dependencies]\ncc = { version = \"1\" }\n";
        let kit = "[package]\nname = \"evenkeel-testkit\"\n[dependencies]\ntokio = { version = \"1.53\" }\nhyper = \"1\"\n";
        let alone = "[workspace]\nresolver = \"3\"\n[package]\nname = \"w\"\n[dependencies]\ntokio = \"1\"\n";
        let files = [("a/Cargo.toml", bad), ("k/Cargo.toml", kit), ("w/Cargo.toml", alone)];
        let expected = [
            "a/Cargo.toml:4: write `tokio.workspace = true`, and declare tokio at the root",
            "a/Cargo.toml:8: write `cc.workspace = true`, and declare cc at the root",
            "k/Cargo.toml:5: write `hyper.workspace = true`, and declare hyper at the root",
        ];
        assert_eq!(findings(external_versions_are_stated_once, &files), expected);
    }

    #[test]
    fn default_features_at_the_root_are_found() {
        let root = "[workspace.dependencies]\nevenkeel-a = { path = \"a\" }\nxshell = \"0.2\"\n\
            tokio = { version = \"1\", default-features = false }\nserde = \"1\"\n";
        let expected = ["Cargo.toml:5: serde: add `default-features = false`: members name what they use"];
        assert_eq!(findings(default_features_are_off, &[("Cargo.toml", root)]), expected);
    }
}
