//! Reads the `use` items of a file: their paths, whether they are public, and the inline modules around them.

use super::rust::{is_word, tokens};

/// One `use` item.
#[derive(Debug)]
pub(super) struct Use<'a> {
    /// The byte offset of `use`.
    pub(super) at: usize,
    /// The visibility: empty, `pub` or `pub(crate)`, without blanks.
    pub(super) visibility: String,
    /// Stands behind an attribute, such as `#[cfg(..)]`.
    pub(super) attributed: bool,
    /// Continues the items before it: only blanks, comments and attributes lie between.
    pub(super) follows: bool,
    /// The inline modules around it, from the outermost in.
    pub(super) scope: Vec<&'a str>,
    /// Stands in the body of a function or of another block.
    pub(super) nested: bool,
    pub(super) imports: Vec<Import<'a>>,
}

/// One leaf of a `use` tree.
#[derive(Debug)]
pub(super) struct Import<'a> {
    /// The whole path; the last segment of a glob is `*`, and a last `self` is left out.
    pub(super) path: Vec<&'a str>,
    /// The name in this file; `_` and `*` are none.
    pub(super) name: &'a str,
}

/// Returns the `use` items of a text without comments and literals.
pub(super) fn uses(bare: &str) -> Vec<Use<'_>> {
    let tokens: Vec<(usize, &str)> = tokens(bare);
    let word = |at: usize| tokens.get(at).map_or("", |&(_, token)| token);
    let mut found: Vec<Use<'_>> = Vec::new();
    // The inline modules and the other blocks that are open: a name, or nothing.
    let mut open: Vec<Option<&str>> = Vec::new();
    let (mut start, mut at, mut follows) = (0, 0, false);
    let (mut attributed, mut visibility) = (false, String::new());
    while at < tokens.len() {
        match word(at) {
            "#" => {
                at = closing(&tokens, at + 1 + usize::from(word(at + 1) == "!"));
                attributed = true;
                start = at + 1;
            }
            "pub" if at == start => {
                let end = if word(at + 1) == "(" { closing(&tokens, at + 1) } else { at };
                visibility = (at..=end).map(word).collect();
                at = end;
                start = at + 1;
            }
            "use" if at == start => {
                let (mut imports, from) = (Vec::new(), tokens[at].0);
                at = tree(&tokens, at + 1, &mut Vec::new(), &mut imports);
                let nested = open.iter().any(Option::is_none);
                let scope = open.iter().copied().flatten().collect();
                let visibility = std::mem::take(&mut visibility);
                found.push(Use { at: from, visibility, attributed, follows, scope, nested, imports });
                (attributed, follows, start) = (false, true, at + 1);
            }
            end @ ("{" | "}" | ";") => {
                match end {
                    "{" => {
                        let module = at >= 2 && word(at - 2) == "mod";
                        open.push(module.then(|| word(at - 1)));
                    }
                    "}" => drop(open.pop()),
                    _ => {}
                }
                (attributed, follows, start) = (false, false, at + 1);
                visibility.clear();
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Returns the index of the token that closes the bracket at `at`.
fn closing(tokens: &[(usize, &str)], mut at: usize) -> usize {
    let mut depth = 0;
    while at < tokens.len() {
        match tokens[at].1 {
            "[" | "(" => depth += 1,
            "]" | ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        at += 1;
    }
    at
}

/// Reads one tree from `at` on, and returns the index of the `;`, `,` or `}` behind it.
fn tree<'a>(
    tokens: &[(usize, &'a str)],
    mut at: usize,
    prefix: &mut Vec<&'a str>,
    imports: &mut Vec<Import<'a>>,
) -> usize {
    let (before, mut name) = (prefix.len(), None);
    while let Some(&(_, token)) = tokens.get(at) {
        match token {
            ";" | "," | "}" => break,
            "{" => {
                while !matches!(tokens.get(at), None | Some(&(_, "}" | ";"))) {
                    at = tree(tokens, at + 1, prefix, imports);
                }
                at += 1;
                prefix.truncate(before);
                return at;
            }
            "as" => {
                name = tokens.get(at + 1).map(|&(_, name)| name);
                at += 1;
            }
            "*" => prefix.push(token),
            _ if token.starts_with(is_word) => prefix.push(token),
            _ => {}
        }
        at += 1;
    }
    if prefix.len() > before || name.is_some() {
        let mut path = prefix.clone();
        if path.len() > 1 && path.last() == Some(&"self") {
            path.pop();
        }
        let name = name.or(path.last().copied()).unwrap_or_default();
        imports.push(Import { path, name });
    }
    prefix.truncate(before);
    at
}

#[cfg(test)]
mod tests {
    use super::uses;

    #[test]
    fn trees_become_paths() {
        let text =
            "use a::{self, b::{C, d as e}, f::*,};\n#[cfg(x)]\npub(in crate::g) use crate::h as _;\nuse ::i;";
        let found = uses(text);
        let paths = |at: usize| -> Vec<String> {
            found[at]
                .imports
                .iter()
                .map(|import| format!("{} {}", import.path.join("::"), import.name))
                .collect()
        };
        assert_eq!(paths(0), ["a a", "a::b::C C", "a::b::d e", "a::f::* *"]);
        assert_eq!(paths(1), ["crate::h _"]);
        assert_eq!((found[1].visibility.as_str(), found[1].attributed), ("pub(incrate::g)", true));
        assert_eq!(paths(2), ["i i"]);
        assert!(!found[0].follows && found[1].follows && found[2].follows && !found[2].attributed);
    }

    #[test]
    fn the_place_of_an_item_is_known() {
        let text =
            "use a::A;\nmod m {\n    use b::B;\n    fn f() { use c::C; }\n}\npub fn g() {}\nuse d::D;\n";
        let found: Vec<_> =
            uses(text).iter().map(|item| (item.scope.join("::"), item.nested, item.follows)).collect();
        let expected = [("", false), ("m", false), ("m", true), ("", false)];
        assert_eq!(found, expected.map(|(scope, nested)| (scope.to_owned(), nested, false)));
    }
}
