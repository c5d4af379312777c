//! The tracked files of the workspace, read once for all rules.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{manifest::Manifest, rust};

pub(super) struct Tree {
    pub(super) root: PathBuf,
    pub(super) files: Vec<File>,
    pub(super) packages: Vec<Package>,
}

/// A text file; `path` is relative to the root, with slashes.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
    /// Of a Rust file: without comments.
    pub(super) code: String,
    /// Of a Rust file: without comments and without the insides of literals.
    pub(super) bare: String,
}

pub(super) struct Package {
    pub(super) name: String,
    /// Relative to the root.
    pub(super) dir: String,
    pub(super) manifest: Manifest,
    pub(super) published: bool,
}

impl Tree {
    pub(super) fn read(root: &Path) -> io::Result<Tree> {
        let paths = if root.join(".git").exists() { tracked(root)? } else { walk(root)? };
        let mut files: Vec<File> = paths.into_iter().filter_map(|path| File::read(root, path)).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let packages = files.iter().filter_map(Package::of).collect();
        Ok(Tree { root: root.to_owned(), files, packages })
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok().map(|index| &self.files[index])
    }

    pub(super) fn rust_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    pub(super) fn published(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.published)
    }
}

impl File {
    /// Nothing for a binary file, and for one that git still lists but that is gone.
    fn read(root: &Path, path: String) -> Option<File> {
        let text = fs::read_to_string(root.join(&path)).ok()?;
        let mut file = File { path, text, code: String::new(), bare: String::new() };
        if file.is_rust() {
            (file.code, file.bare) = rust::strip(&file.text);
        }
        Some(file)
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The folder it lies in; empty for the root.
    pub(super) fn dir(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(dir, _)| dir)
    }

    pub(super) fn finding(&self, line: usize, message: &str) -> String {
        format!("{}:{line}: {message}", self.path)
    }
}

impl Package {
    fn of(file: &File) -> Option<Package> {
        let dir = file.path.strip_suffix("/Cargo.toml")?;
        let manifest = Manifest::parse(&file.text);
        let name = manifest.get("package", "name")?.to_owned();
        let published = dir.starts_with("crates/") && manifest.get("package", "publish") != Some("false");
        Some(Package { name, dir: dir.to_owned(), manifest, published })
    }

    /// Whether it is a workspace of its own, which takes nothing from ours.
    pub(super) fn is_alone(&self) -> bool {
        self.manifest.get("workspace", "resolver").is_some()
    }

    pub(super) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    pub(super) fn finding(&self, line: usize, message: &str) -> String {
        format!("{}/Cargo.toml:{line}: {message}", self.dir)
    }
}

/// The files that git tracks, or would track once added.
fn tracked(root: &Path) -> io::Result<Vec<String>> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").current_dir(root).args(list).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).split_terminator('\0').map(str::to_owned).collect())
}

fn walk(root: &Path) -> io::Result<Vec<String>> {
    let (mut paths, mut pending) = (Vec::new(), vec![String::new()]);
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(root.join(&dir))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if dir.is_empty() { name.clone() } else { format!("{dir}/{name}") };
            match entry.file_type()?.is_dir() {
                true if name == "target" || name == ".git" => {}
                true => pending.push(path),
                false => paths.push(path),
            }
        }
    }
    Ok(paths)
}

/// The findings of a rule in a tree of these files, written to a temporary folder.
#[cfg(test)]
pub(super) fn findings(rule: super::Rule, files: &[(&str, &str)]) -> Vec<String> {
    in_tree(files, rule)
}

/// Calls `read` with a tree of these files, which are removed afterwards.
#[cfg(test)]
pub(super) fn in_tree<T>(files: &[(&str, &str)], read: impl FnOnce(&Tree) -> T) -> T {
    use std::sync::atomic::{AtomicU32, Ordering};

    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("evenkeel-tidy-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let root = std::env::temp_dir().join(name);
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let found = read(&Tree::read(&root).unwrap());
    fs::remove_dir_all(root).unwrap();
    found
}

#[cfg(test)]
mod tests {
    use super::findings;

    #[test]
    fn build_results_and_binary_files_are_not_read() {
        let list = |tree: &super::Tree| tree.files.iter().map(|file| file.path.clone()).collect();
        let files = [("a/b.txt", ""), ("target/x.txt", ""), ("a/target/y.txt", ""), ("c.rs", "")];
        assert_eq!(findings(list, &files), ["a/b.txt", "c.rs"]);
    }

    #[test]
    fn packages_are_the_manifests_with_a_name() {
        let list = |tree: &super::Tree| {
            tree.packages.iter().map(|p| format!("{} {} {}", p.name, p.dir, p.published)).collect()
        };
        let files = [
            ("Cargo.toml", "[workspace]\n"),
            ("crates/a/Cargo.toml", "[package]\nname = \"a\"\n"),
            ("crates/b/Cargo.toml", "[package]\nname = \"b\"\npublish = false\n"),
            ("tests/Cargo.toml", "[package]\nname = \"t\"\n"),
        ];
        assert_eq!(findings(list, &files), ["a crates/a true", "b crates/b false", "t tests false"]);
    }
}
