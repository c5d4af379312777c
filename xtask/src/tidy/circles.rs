//! Circles of files inside one crate.
//!
//! The modules of one folder, each a file with all that lies in its own folder, have an edge from one to the other when a
//! `use` in the one names an item that the other declares. A circle is a largest set of them in which each reaches each
//! other. The workspace may have [`MOST`] of them, and none of more than [`LARGEST`] modules: a future and its owner.
//!
//! - A name that is re-exported for the crate alone (`use`, `pub(crate) use`) is followed to the file that declares it. One
//!   that is re-exported for everybody (`pub use`) leads to the module that re-exports it and no further: public types name
//!   each other in their signatures, as an operation and its policy do.
//! - A file and the files of its folder are one module to the others, and among themselves no circle: a parent declares its
//!   child and re-exports from it, and a child may use its parent's items, which Rust makes visible to it alone. Two
//!   children of one parent are two modules of one folder.
//! - `mod child;` is no edge, and neither are paths in the code that are not imported. A `use` of a module is an edge to that
//!   module, and so is a glob.
//! - Left out are `use` items in inline modules named `tests`, and behind an attribute that names `test` or `doc`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    tree::{File, Tree},
    uses::{Import, Use, uses},
};

const MOST: usize = 3;
const LARGEST: usize = 4;

pub(super) fn files_make_few_circles(tree: &Tree) -> Vec<String> {
    let circles: Vec<Vec<&str>> =
        tree.published().flat_map(|package| Sources::of(tree, &package.path("src/")).circles()).collect();
    let report = |circle: &Vec<&str>, why: &str| {
        format!("{}: a circle of {} modules, {why}: {}", circle[0], circle.len(), circle.join(", "))
    };
    let large = circles.iter().filter(|circle| circle.len() > LARGEST);
    let mut found: Vec<String> =
        large.map(|circle| report(circle, &format!("more than {LARGEST}"))).collect();
    if circles.len() > MOST {
        let many = format!("one of {} in the workspace, more than {MOST}", circles.len());
        found.extend(circles.iter().map(|circle| report(circle, &many)));
    }
    found
}

/// The path of a module, from the root of its crate; empty for the root.
type Module<'a> = Vec<&'a str>;

/// The modules of one crate that are files.
struct Sources<'a> {
    files: BTreeMap<Module<'a>, (&'a File, Vec<Use<'a>>)>,
}

impl<'a> Sources<'a> {
    fn of(tree: &'a Tree, folder: &str) -> Self {
        let mut files = BTreeMap::new();
        for file in tree.rust_files() {
            let module = file.path.strip_prefix(folder).and_then(module);
            if let Some(module) = module {
                // The library of a package comes before its program, by name.
                files.entry(module).or_insert_with(|| (file, uses(&file.bare)));
            }
        }
        Self { files }
    }

    /// Returns the circles of each folder, as the paths of files.
    fn circles(&self) -> Vec<Vec<&'a str>> {
        let mut folders: BTreeMap<&[&str], Edges<'a>> = BTreeMap::new();
        for (module, (file, uses)) in &self.files {
            let counted = uses.iter().filter(|item| !is_test(file, item));
            for (item, import) in
                counted.flat_map(|item| item.imports.iter().map(move |import| (item, import)))
            {
                let inner = [module.as_slice(), &item.scope].concat();
                let Some(other) = self.origin(&inner, import, &mut BTreeSet::new()) else { continue };
                let common = module.iter().zip(&other).take_while(|(a, b)| a == b).count();
                // One of them is the other, or a parent of it.
                if common == module.len().min(other.len()) {
                    continue;
                }
                let room = |module: &[&'a str]| {
                    self.files.get(&module[..=common]).map(|(file, _)| file.path.as_str())
                };
                if let (Some(from), Some(to)) = (room(module), room(&other)) {
                    let edges = folders.entry(&module[..common]).or_default();
                    edges.entry(from).or_default().insert(to);
                }
            }
        }
        folders.values().flat_map(circles).collect()
    }

    /// Returns the module of the file that declares the item; nothing for an item of another crate.
    fn origin(
        &self,
        from: &[&'a str],
        import: &Import<'a>,
        seen: &mut BTreeSet<Module<'a>>,
    ) -> Option<Module<'a>> {
        let mut at = from.to_vec();
        match *import.path.first()? {
            "crate" => at.clear(),
            "self" | "super" => {}
            child if self.files.contains_key(&[from, &[child]].concat()) => {}
            _ => return None,
        }
        for &name in &import.path {
            let child = [at.as_slice(), &[name]].concat();
            match name {
                "crate" | "self" => {}
                "super" => drop(at.pop()),
                _ if self.files.contains_key(&child) => at = child,
                _ => {
                    let (module, uses) = self.around(&at)?;
                    let here =
                        |item: &&Use<'_>| !item.nested && item.scope.is_empty() && item.visibility != "pub";
                    let mut names = uses.iter().filter(here).flat_map(|item| &item.imports);
                    return match names.find(|import| import.name == name && name != "*") {
                        Some(import) if seen.insert(child) => self.origin(&module, import, seen),
                        _ => Some(module),
                    };
                }
            }
        }
        self.around(&at).map(|(module, _)| module)
    }

    /// Returns the innermost module around this one that is a file, with its `use` items.
    fn around(&self, module: &[&'a str]) -> Option<(Module<'a>, &[Use<'a>])> {
        let mut outward = (0..=module.len()).rev().map(|length| &module[..length]);
        outward.find_map(|module| self.files.get(module).map(|(_, uses)| (module.to_vec(), uses.as_slice())))
    }
}

/// Returns the path of the module in a file, which is relative to the sources; nothing for a program beside the crate.
fn module(path: &str) -> Option<Module<'_>> {
    let stem = path.strip_suffix(".rs")?;
    if stem == "lib" || stem == "main" {
        return Some(Vec::new());
    }
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    (!stem.starts_with("bin/")).then(|| stem.split('/').collect())
}

fn is_test(file: &File, item: &Use<'_>) -> bool {
    let line = file.bare[..item.at].rfind('\n').map_or(0, |at| at + 1);
    let attribute = file.bare[..line].lines().next_back().unwrap_or_default();
    let left_out = ["(test", "(doc"].iter().any(|name| attribute.contains(name));
    item.scope.contains(&"tests") || (item.attributed && left_out)
}

/// The modules of one folder, by the paths of their files, with those that each uses.
type Edges<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

fn circles<'a>(edges: &Edges<'a>) -> Vec<Vec<&'a str>> {
    let reached: Edges<'_> = edges.keys().map(|&from| (from, reach(edges, from))).collect();
    let together = |a: &str, b: &str| reached[a].contains(b) && reached[b].contains(a);
    let circle = |file: &str| reached.keys().copied().filter(|other| together(file, other)).collect();
    let circles: BTreeSet<Vec<&str>> =
        reached.keys().filter(|file| together(file, file)).map(|file| circle(file)).collect();
    circles.into_iter().collect()
}

/// Returns the files that can be reached by one step or more.
fn reach<'a>(edges: &Edges<'a>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = edges[from].iter().copied().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(edges.get(next).into_iter().flatten());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::{MOST, files_make_few_circles};
    use crate::tidy::tree::findings;

    const PACKAGE: (&str, &str) = ("crates/a/Cargo.toml", "[package]\nname = \"a\"\n");

    /// A ring of files, each of which uses the next.
    fn ring(package: &str, files: usize) -> Vec<(String, String)> {
        let file = |n: usize| {
            let next = (n + 1) % files;
            (format!("crates/{package}/src/f{n}.rs"), format!("use crate::f{next}::T;\npub struct T;\n"))
        };
        (0..files).map(file).chain([(format!("crates/{package}/src/lib.rs"), String::new())]).collect()
    }

    fn circles(files: &[(String, String)]) -> Vec<String> {
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        findings(files_make_few_circles, &[&[PACKAGE], files.as_slice()].concat())
    }

    #[test]
    fn a_large_circle_is_found_and_a_small_one_is_not() {
        assert_eq!(circles(&ring("a", 4)), [""; 0]);
        let files: Vec<String> = (0..5).map(|n| format!("crates/a/src/f{n}.rs")).collect();
        let expected = format!("{}: a circle of 5 modules, more than 4: {}", files[0], files.join(", "));
        assert_eq!(circles(&ring("a", 5)), [expected]);
    }

    #[test]
    fn many_small_circles_are_found() {
        let pairs = |count: usize| -> Vec<(String, String)> {
            (0..count)
                .flat_map(|n| {
                    let file = |own, other| {
                        (format!("crates/a/src/{own}{n}.rs"), format!("use crate::{other}{n}::T;\n"))
                    };
                    [file("x", "y"), file("y", "x")]
                })
                .collect()
        };
        assert_eq!(circles(&pairs(MOST)), [""; 0]);
        let found = circles(&pairs(MOST + 1));
        assert_eq!(found.len(), MOST + 1);
        assert_eq!(
            found[0],
            "crates/a/src/x0.rs: a circle of 2 modules, one of 4 in the workspace, more than 3: \
             crates/a/src/x0.rs, crates/a/src/y0.rs"
        );
    }

    /// Five modules, through all that a name can pass: an inner re-export, `super`, a nested tree, a glob, an alias, a block.
    #[test]
    fn names_are_followed_to_the_file_that_declares_them() {
        let files = [
            PACKAGE,
            (
                "crates/a/src/lib.rs",
                "mod one;\nmod two;\nmod three;\nmod four;\nmod five;\nuse one::inner::{One as First};\n",
            ),
            ("crates/a/src/one.rs", "mod inner;\npub(crate) use self::inner::One;\n"),
            ("crates/a/src/one/inner.rs", "use crate::{two::{self, Two}};\npub struct One;\n"),
            ("crates/a/src/two.rs", "use super::three::*;\npub struct Two;\n"),
            ("crates/a/src/three.rs", "mod part { use super::super::four::Four as F; }\npub struct Three;\n"),
            ("crates/a/src/four.rs", "fn f() { use crate::five; }\npub struct Four;\n"),
            ("crates/a/src/five.rs", "use std::fmt;\nuse crate::First;\n"),
        ];
        let names = ["five", "four", "one", "three", "two"];
        let list = names.map(|name| format!("crates/a/src/{name}.rs")).join(", ");
        let expected = format!("crates/a/src/five.rs: a circle of 5 modules, more than 4: {list}");
        assert_eq!(findings(files_make_few_circles, &files), [expected]);
    }

    /// One folder more than there may be circles, with two files each.
    #[test]
    fn only_modules_of_one_folder_make_a_circle() {
        let count = |parent: &str, child: &str, sibling: &str| {
            let folder = |n: usize| {
                let file = |name: String, text: &str| (format!("crates/a/src/{name}.rs"), text.to_owned());
                [
                    file(format!("p{n}"), parent),
                    file(format!("p{n}/child"), child),
                    file(format!("p{n}/sibling"), sibling),
                ]
            };
            circles(&(0..=MOST).flat_map(folder).collect::<Vec<_>>()).len()
        };
        let parent =
            "mod child;\nmod sibling;\npub use child::Child;\nuse self::sibling::Sibling;\nstruct Own;\n";
        assert_eq!(count(parent, "use super::Own;\npub struct Child;\n", ""), 0, "the parent's own item");
        assert_eq!(count(parent, "use super::sibling::Sibling;\n", "use super::child::Child;\n"), MOST + 1);
        assert_eq!(
            count(parent, "use super::Sibling;\n", "use super::child::Child;\n"),
            MOST + 1,
            "re-exported inside"
        );
        assert_eq!(
            count(parent, "use super::Sibling;\n", "use super::Child;\n"),
            0,
            "re-exported for everybody"
        );
        for left_out in ["#[cfg(test)]\n", "#[cfg(doc)]\n", "#[cfg(all(test, unix))]\n"] {
            let sibling = format!("{left_out}use super::child::Child;\n");
            assert_eq!(count(parent, "use super::Sibling;\n", &sibling), 0, "{left_out}");
        }
        assert_eq!(
            count(parent, "use super::Sibling;\n", "mod tests { use super::super::child::Child; }\n"),
            0
        );
    }
}
