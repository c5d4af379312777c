//! Rules for sentences in comments and documents.

use super::{
    rust::is_word,
    tree::{File, Tree},
};

/// Clauses as subjects, which hide the subject of the sentence.
const OPENINGS: [&str; 4] = ["What", "Who", "Whoever", "Those"];

/// No line of a comment or a document begins with one of [`OPENINGS`], inside a paragraph either; a heading that asks may.
pub(super) fn sentences_have_subjects(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in &tree.files {
        let code = file.code.lines().chain(std::iter::repeat(""));
        for (index, (line, code)) in file.text.lines().zip(code).enumerate() {
            let Some(prose) = prose(file, line, code) else { continue };
            let heading = prose.trim_start().starts_with('#') && prose.trim_end().ends_with('?');
            let words = prose.trim_start_matches(|c: char| !c.is_alphabetic());
            let first = words.split(|c| !is_word(c)).next().unwrap_or_default();
            if !heading && OPENINGS.contains(&first) {
                let message =
                    format!("a line that begins with `{first}`: begin with a verb or a named subject");
                found.push(file.finding(index + 1, &message));
            }
        }
    }
    found
}

/// Returns the part of a line that is prose: a document's line, or the comment of a program or a configuration.
fn prose<'a>(file: &File, line: &'a str, code: &str) -> Option<&'a str> {
    match file.path.rsplit_once('.')?.1 {
        "md" => Some(line),
        // Comments are blank in the code; literals are not, so that a URL begins none.
        "rs" if code.trim().is_empty() => Some(line.trim_start_matches([' ', '/', '!', '*'])),
        "rs" => {
            let comment = line.match_indices("//").find(|(at, _)| code[*at..].trim().is_empty());
            comment.map(|(at, _)| line[at..].trim_start_matches(['/', '!']))
        }
        "sh" | "toml" | "yaml" | "yml" => line.trim_start().strip_prefix('#'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::sentences_have_subjects;
    use crate::tidy::tree::findings;

    #[test]
    fn lines_that_begin_with_a_clause_are_found() {
        let code = "//! What one.\n/// - Who two.\n    // Whoever three.\nlet x = 1; // Those four.\n/// | Those | five |\n\
                    ///     // What six.\n/* x\n * What seven. */\n";
        let text = "# What seven\n\n> Those eight.\n1. **Who** nine.\nfirst,\nWhat ten.\n";
        let files =
            [("a.md", text), ("b.rs", code), ("c.toml", "# What eleven.\n"), ("d.sh", "  # Who twelve\n")];
        let found = findings(sentences_have_subjects, &files);
        let places: Vec<&str> = found.iter().map(|finding| finding.split(": ").next().unwrap()).collect();
        let a = ["a.md:1", "a.md:3", "a.md:4", "a.md:6"];
        let b = ["b.rs:1", "b.rs:2", "b.rs:3", "b.rs:4", "b.rs:5", "b.rs:6", "b.rs:8"];
        assert_eq!(places, [a.as_slice(), &b, &["c.toml:1", "d.sh:1"]].concat());
        assert_eq!(found[0], "a.md:1: a line that begins with `What`: begin with a verb or a named subject");
    }

    #[test]
    fn questions_and_code_may() {
        let code = "/// # What does it cost?\n// Whatever, Whose and a line with What inside.\nWhat::new();\n\
                    let url = \"http://What\";\nlet text = \"\n// What\";\n";
        let files = [("a.md", "## Who needs it?\n- Whole, and what\n"), ("b.rs", code), ("c.txt", "What\n")];
        assert_eq!(findings(sentences_have_subjects, &files), [""; 0]);
    }
}
