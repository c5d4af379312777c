//! `cargo xtask book`: the book, checked, and built by mdBook.

mod check;
mod expand;
mod html;
mod links;
mod markdown;
mod place;
mod preprocess;
mod rules;
mod verdicts;
mod walkthrough;

use std::{env, path::Path};

use crate::{
    Result, flags,
    outcome::Outcome,
    project::{Project, read, run as execute},
};

const VERSION: &str = "0.5.4";

/// The folder of the book, from the root.
const BOOK: &str = "docs/book";

pub(crate) fn run(project: &Project, flags: &flags::Book) -> Result<Outcome> {
    if flags.preprocess {
        return preprocess::run(&project.root);
    }
    if flags.follow {
        return walkthrough::run(project);
    }
    let checked = check(project)?;
    if flags.check || matches!(checked, Outcome::Failed(_)) {
        return Ok(checked);
    }
    let program = match project.install("mdbook", "mdbook", VERSION) {
        Ok(program) => program,
        Err(error) => return Ok(Outcome::Skipped(format!("mdbook cannot be installed: {error}"))),
    };
    let built = project.target().join("evenkeel/book");
    // Another cargo may hold its lock: by way of it the pages would wait until that is done, and nobody would see why.
    let preprocessor = format!("'{}' book --preprocess", env::current_exe()?.display());
    let mdbook = |command: &str| {
        let command = project.program(&program).arg(command).arg(BOOK).arg("--dest-dir").arg(&built);
        command.env("MDBOOK_PREPROCESSOR__EVENKEEL__COMMAND", &preprocessor)
    };
    execute(mdbook("build"))?;
    let (broken, links) = html::broken(&built)?;
    say!("{}: {links} links, {} broken", built.join("index.html").display(), broken.len());
    let outcome = Outcome::of_findings(&broken);
    if matches!(outcome, Outcome::Done) && flags.serve {
        execute(mdbook("serve").args(flags.open.then_some("--open")))?;
    } else if flags.open {
        execute(mdbook("build").arg("--open"))?;
    }
    Ok(outcome)
}

/// Checks the pages, without mdBook.
pub(crate) fn check(project: &Project) -> Result<Outcome> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"];
    let files = read(project.program(Path::new("git")).args(list))?;
    let exists = |path: &&str| project.root.join(path).is_file();
    let files: Vec<String> = files.split_terminator('\0').filter(exists).map(str::to_owned).collect();
    let mut found = check::findings(&project.root, &files)?;
    found.sort();
    Ok(Outcome::of_findings(&found))
}
