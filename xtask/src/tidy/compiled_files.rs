//! A Rust file that no target reaches is never compiled: it rots unseen.

use std::collections::BTreeSet;

use super::{
    rust,
    tree::{File, Package, Tree},
};

pub(super) fn every_rust_file_is_compiled(tree: &Tree) -> Vec<String> {
    let mut reached = BTreeSet::new();
    let mut pending: Vec<(String, bool)> =
        tree.packages.iter().flat_map(|package| targets(tree, package)).map(|path| (path, true)).collect();
    while let Some((path, owns_dir)) = pending.pop() {
        let Some(file) = tree.file(&path) else { continue };
        if reached.insert(path) {
            pending.extend(modules(file, owns_dir));
        }
    }
    let lost = tree.rust_files().filter(|file| !reached.contains(&file.path));
    let message = "no target reaches this file: declare it with `mod` in its parent, name it in Cargo.toml, or delete it";
    lost.map(|file| format!("{}: {message}", file.path)).collect()
}

/// The files that cargo compiles first: named in the manifest, or found by itself.
fn targets(tree: &Tree, package: &Package) -> Vec<String> {
    let kinds = ["lib", "bin", "test", "example", "bench"];
    let named = kinds.iter().flat_map(|kind| package.manifest.all(kind, "path"));
    let usual = ["src/lib.rs", "src/main.rs", "build.rs"].into_iter();
    let mut found: Vec<String> = named.chain(usual).map(|path| package.path(path)).collect();
    for folder in ["src/bin/", "tests/", "examples/", "benches/"] {
        let folder = package.path(folder);
        let own = |file: &&File| {
            let inner = file.path.strip_prefix(&folder).unwrap_or("/");
            !inner.contains('/') || (inner.ends_with("/main.rs") && inner.matches('/').count() == 1)
        };
        found.extend(tree.rust_files().filter(own).map(|file| file.path.clone()));
    }
    found
}

/// Where the `mod name;` of a file may lead, and whether the file there owns its folder, as a mod.rs does.
fn modules(file: &File, owns_dir: bool) -> Vec<(String, bool)> {
    let stem = file.path.trim_end_matches(".rs");
    let base = if owns_dir { file.dir() } else { stem };
    let (mut found, mut path, mut inline) = (Vec::new(), None, Vec::new());
    let mut depth = 0;
    let mut tokens = rust::tokens(&file.bare);
    tokens.extend([(0, ""); 3]);
    for window in tokens.windows(4) {
        let [(_, first), (_, name), (open, third), (close, _)] = *window else { continue };
        match (first, third) {
            ("path", "\"") if name == "=" => path = Some(&file.text[open + 1..close]),
            ("mod", ";") => {
                let dirs = inline.iter().map(|(dir, _)| dir).chain([&name]);
                let child = dirs.fold(base.to_owned(), |dir, name| join(&dir, name));
                match path.take() {
                    Some(path) if inline.is_empty() => found.push((join(file.dir(), path), true)),
                    Some(path) => found.push((join(&join(&child, ".."), path), true)),
                    None => found.extend([(format!("{child}.rs"), false), (format!("{child}/mod.rs"), true)]),
                }
            }
            ("mod", "{") => inline.push((name, depth)),
            ("{", _) => depth += 1,
            ("}", _) => {
                depth -= 1;
                inline.retain(|&(_, outside)| outside < depth);
            }
            (";", _) => path = None,
            _ => {}
        }
    }
    found
}

fn join(dir: &str, path: &str) -> String {
    let mut parts: Vec<&str> = dir.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| *part != ".") {
        match part {
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::every_rust_file_is_compiled;
    use crate::tidy::tree::findings;

    const PACKAGE: &str = "[package]\nname = \"a\"\n[[test]]\npath = \"suite/all.rs\"\n";

    #[test]
    fn modules_are_followed() {
        let files = [
            ("a/Cargo.toml", PACKAGE),
            (
                "a/src/lib.rs",
                "mod one;\n#[cfg(unix)]\npub(crate) mod two;\nmod three { mod deep; #[path = \"odd.rs\"] mod p; }\n\
                 static S: &str = { let path = \"x\"; path };\nmod four;\n",
            ),
            ("a/src/one.rs", "#[path = \"odd/name.rs\"]\nmod odd;\nmod below;\n"),
            ("a/src/one/below.rs", ""),
            ("a/src/odd/name.rs", "mod beside;"),
            ("a/src/odd/beside.rs", ""),
            ("a/src/two/mod.rs", "mod x;"),
            ("a/src/two/x.rs", ""),
            ("a/src/three/deep.rs", ""),
            ("a/src/three/odd.rs", ""),
            ("a/src/four.rs", "mod inline { fn f() { } } mod last;"),
            ("a/src/four/last.rs", ""),
            ("a/src/bin/tool.rs", ""),
            ("a/suite/all.rs", "mod part;"),
            ("a/suite/part.rs", ""),
            ("a/tests/it/main.rs", "mod part;"),
            ("a/tests/it/part.rs", ""),
            ("a/examples/show.rs", ""),
        ];
        assert_eq!(findings(every_rust_file_is_compiled, &files), [""; 0]);
    }

    #[test]
    fn what_nothing_declares_is_found() {
        let files = [
            ("a/Cargo.toml", PACKAGE),
            ("a/src/lib.rs", "// mod comment;\nconst S: &str = \"mod string;\";\nmod one { }\n"),
            ("a/src/comment.rs", ""),
            ("a/src/one.rs", ""),
            ("a/src/string.rs", ""),
            ("a/tests/it/part.rs", ""),
            ("script.rs", ""),
        ];
        let found = findings(every_rust_file_is_compiled, &files);
        let paths: Vec<&str> = found.iter().filter_map(|finding| finding.split(':').next()).collect();
        let lost = ["a/src/comment.rs", "a/src/one.rs", "a/src/string.rs", "a/tests/it/part.rs", "script.rs"];
        assert_eq!(paths, lost);
        assert!(found[0].contains("declare it with `mod`"));
    }
}
