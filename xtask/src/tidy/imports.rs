//! Imports in one style: nested, one `use` for each root.

use super::{
    tree::{File, Tree},
    uses::{Use, uses},
};

/// In one block of `use` items each root stands once: `use std::{fmt, io};`.
///
/// A block ends at any other item. An item behind an attribute, and one of another visibility, is for itself.
pub(super) fn imports_are_nested(tree: &Tree) -> Vec<String> {
    tree.rust_files().flat_map(in_file).collect()
}

fn in_file(file: &File) -> Vec<String> {
    let (mut found, mut block): (_, Vec<Use<'_>>) = (Vec::new(), Vec::new());
    for item in uses(&file.bare) {
        if !item.follows {
            block.clear();
        }
        let root = |item: &Use<'_>| item.imports.first().map(|import| import.path[0].to_owned());
        let alike = |other: &Use<'_>| root(other) == root(&item) && other.visibility == item.visibility;
        if !item.attributed && block.iter().any(alike) {
            let line = file.bare[..item.at].matches('\n').count() + 1;
            let root = root(&item).unwrap_or_default();
            let message = format!("a second `use {root}::..` in one block: write `use {root}::{{.., ..}};`");
            found.push(file.finding(line, &message));
        }
        if !item.attributed {
            block.push(item);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::imports_are_nested;
    use crate::tidy::tree::findings;

    #[test]
    fn a_root_that_stands_twice_is_found() {
        let bad = "use std::fmt;\n\nuse tokio::time;\n// why\nuse std::{io, thread};\nfn f() {\n    use a::B;\n    use a::C;\n}\n";
        let good = "use std::fmt;\n#[cfg(x)]\nuse std::io;\npub use std::time;\nuse crate::a;\nmod b;\nuse crate::c;\n\
                    mod d {\n    use std::fmt;\n}\nfn f() { use std::fmt; }\n// use std::io;\n";
        let found = findings(imports_are_nested, &[("a/bad.rs", bad), ("a/good.rs", good)]);
        assert_eq!(
            found,
            [
                "a/bad.rs:5: a second `use std::..` in one block: write `use std::{.., ..};`",
                "a/bad.rs:8: a second `use a::..` in one block: write `use a::{.., ..};`",
            ]
        );
    }
}
