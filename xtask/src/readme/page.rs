//! The first lines of a README: dependencies, a program, its output, and the answers to rustc.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::Result;

/// A dependency on a crate of ours, until there is a release.
const GIT: &str = "git = \"https://github.com/evenkeel/evenkeel\"";

/// Precedes the line that a statement prints.
const PRINTS: &str = "// prints ";

/// The head of the table of answers.
const ANSWERS: &str = "| where rustc says | add |";

#[derive(Debug)]
pub(crate) struct Page {
    /// The name of its project.
    pub(super) name: String,
    pub(super) path: PathBuf,
    dependencies: String,
    pub(super) program: String,
    /// The block of text behind the program, if the page says that it is printed.
    output: Option<String>,
    pub(super) answers: Vec<Answer>,
}

/// A row of the table: the words of rustc, and the feature of a dependency or the dependency that is missing then.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) says: String,
    feature: Option<String>,
    dependency: String,
}

impl Page {
    pub(super) fn read(name: &str, path: &Path) -> Result<Page> {
        let text = fs::read_to_string(path)?;
        Page::parse(name, path, &text).map_err(|reason| format!("{}: {reason}", path.display()).into())
    }

    pub(crate) fn parse(name: &str, path: &Path, text: &str) -> std::result::Result<Page, String> {
        let mut blocks = blocks(text);
        // The front page has the commands of this repository above all.
        blocks.retain(|block| block.language != "sh");
        let [first, second, rest @ ..] = &blocks[..] else {
            return Err("begin with two blocks: [dependencies], and a program".to_owned());
        };
        let dependencies = first.code.strip_prefix("[dependencies]\n").filter(|_| first.language == "toml");
        let dependencies =
            dependencies.ok_or("begin with a block of toml that begins with [dependencies]")?;
        let is_program = second.language.split(',').next() == Some("rust")
            && second.code.lines().any(|line| line.contains("fn main("));
        if !is_program {
            return Err("the second block is a whole program in Rust, with `fn main`".to_owned());
        }
        let hidden = blocks.iter().filter(|block| block.language.starts_with("rust")).find_map(|block| {
            block.code.lines().find(|line| *line == "#" || line.trim_start().starts_with("# "))
        });
        if let Some(hidden) = hidden {
            return Err(format!(
                "`{hidden}` is hidden in the documentation, and seen here: show it there, too"
            ));
        }
        let output =
            rest.first().filter(|block| block.language == "text" && block.before.ends_with("prints"));
        let output = output.map(|block| block.code.clone());
        let table = text.lines().skip_while(|line| *line != ANSWERS).skip(2);
        let answers = table.take_while(|line| line.starts_with('|')).map(answer).collect::<Option<Vec<_>>>();
        Ok(Page {
            name: name.to_owned(),
            path: path.to_owned(),
            dependencies: dependencies.to_owned(),
            program: second.code.clone(),
            output,
            answers: answers
                .ok_or("an answer is ``words`` and `FEATURE` to the features of `CRATE`, or `CRATE = …`")?,
        })
    }

    /// The manifest of its project; our crates are those of this folder.
    pub(super) fn manifest(&self, crates: &Path) -> String {
        let mut text = format!(
            "[package]\nname = {:?}\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n[dependencies]\n",
            self.name
        );
        for line in self.dependencies.lines() {
            let name = line.split([' ', '=']).next().unwrap_or_default();
            let path = format!("path = {:?}", crates.join(name));
            text += &line.replace(GIT, &path);
            text.push('\n');
        }
        text
    }

    /// The lines that the page says are printed, and that are not there in this order.
    pub(super) fn missing_output(&self, stdout: &str) -> impl Iterator<Item = String> {
        let inline =
            self.program.lines().filter_map(|line| line.split_once(PRINTS)).map(|(_, printed)| printed);
        let block = self.output.as_deref().unwrap_or_default().lines();
        let mut printed = stdout.lines();
        let missing: Vec<String> = inline
            .chain(block)
            .filter(|expected| !printed.any(|line| line.trim_end() == *expected))
            .map(str::to_owned)
            .collect();
        // The ones behind it are not looked for any more.
        missing.into_iter().take(1)
    }
}

impl Answer {
    /// The manifest without it; `None` if it has not got it.
    pub(super) fn taken_from(&self, manifest: &str) -> Option<String> {
        let begin = format!("{} =", self.dependency);
        let line = manifest.lines().find(|line| line.starts_with(&begin))?;
        let Some(feature) = &self.feature else {
            return Some(manifest.replacen(&format!("{line}\n"), "", 1));
        };
        let less = [format!("{feature:?}, "), format!(", {feature:?}"), format!("{feature:?}")]
            .iter()
            .find(|feature| line.contains(feature.as_str()))
            .map(|feature| line.replacen(feature, "", 1))?;
        Some(manifest.replacen(line, &less, 1))
    }
}

/// A row of the table of answers.
fn answer(row: &str) -> Option<Answer> {
    let (says, add) = row.strip_prefix("| ``")?.split_once("`` | ")?;
    let mut quoted = add.split('`').skip(1).step_by(2);
    let (first, second) = (quoted.next()?, quoted.next());
    let (feature, dependency) = match second {
        Some(dependency) => (Some(first.to_owned()), dependency),
        None => (None, first.split(' ').next()?),
    };
    Some(Answer { says: says.trim().to_owned(), feature, dependency: dependency.to_owned() })
}

/// A block of code, and the line of text before it.
struct Block {
    language: String,
    before: String,
    code: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut open, mut before): (Option<Block>, &str) = (None, "");
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => blocks.push(block),
            (Some(language), None) => {
                let before = before.trim_end_matches([':', '.']).to_owned();
                open = Some(Block { language: language.to_owned(), before, code: String::new() });
            }
            (None, Some(mut block)) => {
                block.code += line;
                block.code.push('\n');
                open = Some(block);
            }
            (None, None) if !line.trim().is_empty() => before = line,
            (None, None) => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a\n\nDoes it.\n\n```toml\n[dependencies]\n\
        evenkeel-a = { git = \"https://github.com/evenkeel/evenkeel\", features = [\"x\"] } # x\n\
        tokio = { version = \"1\", features = [\"macros\", \"rt\"] }\nfutures = \"0.3\"\n```\n\n\
        ```rust\nfn main() {\n    println!(\"1\"); // prints 1\n    println!(\"2\"); // prints 2\n}\n```\n\n\
        It prints\n\n```text\n3\n4\n```\n\n| where rustc says | add |\n|---|---|\n\
        | ``the `rt` feature`` | `rt` to the features of `tokio` |\n| ``no `futures` `` | `futures = \"0.3\"` |\n\n| other | table |\n";

    fn parse(text: &str) -> std::result::Result<Page, String> {
        Page::parse("readme-a", Path::new("README.md"), text)
    }

    #[test]
    fn the_first_lines_become_a_project() {
        let manifest = parse(TEXT).unwrap().manifest(Path::new("/w/crates"));
        let expected = "[package]\nname = \"readme-a\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n[dependencies]\n\
            evenkeel-a = { path = \"/w/crates/evenkeel-a\", features = [\"x\"] } # x\n\
            tokio = { version = \"1\", features = [\"macros\", \"rt\"] }\nfutures = \"0.3\"\n";
        assert_eq!(manifest, expected);
    }

    #[test]
    fn output_is_compared_in_its_order() {
        let page = parse(TEXT).unwrap();
        let missing = |stdout: &str| page.missing_output(stdout).next();
        assert_eq!(missing("0\n1\n2\n\n3\n4\n"), None);
        assert_eq!(missing("2\n1\n3\n4\n"), Some("2".to_owned()));
        assert_eq!(missing("1\n2\n3\n"), Some("4".to_owned()));
        assert_eq!(missing(""), Some("1".to_owned()));
    }

    #[test]
    fn an_answer_is_tried_by_taking_it_away() {
        let page = parse(TEXT).unwrap();
        let manifest = page.manifest(Path::new("/w/crates"));
        let [rt, futures] = &page.answers[..] else { panic!("{:?}", page.answers) };
        assert_eq!((rt.says.as_str(), futures.says.as_str()), ("the `rt` feature", "no `futures`"));
        assert!(rt.taken_from(&manifest).unwrap().contains("features = [\"macros\"]"));
        assert!(!futures.taken_from(&manifest).unwrap().contains("futures"));
        assert_eq!(rt.taken_from("tokio = { features = [] }\n"), None);
        assert_eq!(
            rt.taken_from("tokio = { features = [\"rt\"] }\n").unwrap(),
            "tokio = { features = [] }\n"
        );
    }

    #[test]
    fn pages_that_cannot_be_pasted_are_told() {
        for (from, to, said) in [
            ("```toml\n[dependencies]", "```toml\n[features]", "begins with [dependencies]"),
            ("```toml", "```rust", "begin with a block of toml"),
            ("```rust\nfn main", "```rust\nfn other", "a whole program"),
            ("```rust\n", "```rust\n# hidden\n", "`# hidden` is hidden"),
            ("| ``the", "| the", "an answer is"),
        ] {
            let error = parse(&TEXT.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(said), "{from}: {error}");
        }
        assert!(parse("# a\n").unwrap_err().contains("two blocks"));
    }
}
