//! Rules for the text of every file.

use super::{
    rust::{has_word, is_word},
    tree::Tree,
};

const LONGEST: usize = 400;

pub(super) fn files_stay_short(tree: &Tree) -> Vec<String> {
    let lines_of_code = |text: &str| text.lines().filter(|line| !line.trim().is_empty()).count();
    let lengths = tree.rust_files().map(|file| (file, lines_of_code(&file.code)));
    let long = lengths.filter(|&(_, lines)| lines > LONGEST);
    long.map(|(file, lines)| {
        format!(
            "{}: {lines} lines of code, more than {LONGEST}: split it by the things that live in it",
            file.path
        )
    })
    .collect()
}

pub(super) fn lines_end_cleanly(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in &tree.files {
        for (index, line) in file.text.split_terminator('\n').enumerate() {
            if line.ends_with('\r') {
                found.push(file.finding(index + 1, "carriage return: save the file with Unix line ends"));
            } else if line.ends_with([' ', '\t']) {
                found.push(file.finding(index + 1, "trailing whitespace: remove it"));
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            found.push(format!("{}: the last line does not end: add a line break", file.path));
        }
    }
    found
}

/// A path of somebody's machine in a file is a leak, and wrong on every other machine.
pub(super) fn no_private_paths(tree: &Tree) -> Vec<String> {
    let roots = ["work", "root", "home", "Users"].map(|name| format!("/{name}/"));
    let mut found = Vec::new();
    for file in &tree.files {
        for (index, line) in file.text.lines().enumerate() {
            let private = |root: &&String| {
                line.match_indices(root.as_str()).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| is_word(c) || matches!(c, '.' | '-' | '~' | '}' | '*'))
                })
            };
            if let Some(root) = roots.iter().find(private) {
                let message =
                    format!("a path under `{root}` of one machine: make it relative, or leave it out");
                found.push(file.finding(index + 1, &message));
            }
        }
    }
    found
}

pub(super) fn nothing_is_left_to_do(tree: &Tree) -> Vec<String> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let macros = [concat!("todo", "!("), concat!("unimplemented", "!(")];
    let mut found = Vec::new();
    for file in tree.rust_files() {
        for (index, line) in file.text.lines().enumerate() {
            let mut marked = marks.iter().filter(|mark| has_word(line, mark, is_word));
            let mut unwritten = macros.iter().filter(|call| line.contains(*call));
            if let Some(mark) = marked.next().or(unwritten.next()) {
                found.push(file.finding(index + 1, &format!("`{mark}`: finish it, or open an issue")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, files_stay_short, lines_end_cleanly, no_private_paths, nothing_is_left_to_do};
    use crate::tidy::tree::findings;

    #[test]
    fn only_code_counts_as_length() {
        let long = "x;\n".repeat(LONGEST + 1);
        let fits = "/// Text.\n\nx; // text\n/* more\n   text */\n".repeat(LONGEST);
        let found = findings(files_stay_short, &[("a.rs", &long), ("b.rs", &fits), ("c.md", &long)]);
        assert_eq!(found, ["a.rs: 401 lines of code, more than 400: split it by the things that live in it"]);
    }

    #[test]
    fn bad_line_ends_are_found() {
        let files = [
            ("a.md", "good\n\nbad \nbad\t\n"),
            ("b.txt", "bad\r\ngood\n"),
            ("c.rs", "fn f() {}"),
            ("d.rs", "fn f() {}\n"),
            ("empty", ""),
        ];
        let found = findings(lines_end_cleanly, &files);
        let expected = [
            "a.md:3: trailing whitespace: remove it",
            "a.md:4: trailing whitespace: remove it",
            "b.txt:1: carriage return: save the file with Unix line ends",
            "c.rs: the last line does not end: add a line break",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn private_paths_are_found() {
        let bad = format!("see {}x\n", concat!("/ro", "ot/"));
        let good = "https://example.com/root/a ./work/b target/work/c /rooted/ /etc/x\n";
        let found = findings(no_private_paths, &[("bad.md", &bad), ("good.md", good)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("bad.md:1: a path under"));
    }

    #[test]
    fn unfinished_work_is_found() {
        let bad = format!("// {} later\nfn f() {{ {}) }}\n", concat!("TO", "DO"), concat!("todo", "!("));
        let good = "fn todo() { methodology(); } // mktemp XXXXXX\n";
        let found =
            findings(nothing_is_left_to_do, &[("bad.rs", &bad), ("good.rs", good), ("free.md", &bad)]);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("bad.rs:1: ") && found[1].starts_with("bad.rs:2: "));
    }
}
