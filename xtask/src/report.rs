//! `cargo xtask report`: the committed results of the benchmarks as a page, as tables and pictures, and where pages
//! quote them.

use std::{fs, path::Path};

use crate::{
    Result,
    outcome::Outcome,
    project::{Project, run as execute},
    tidy::measurements,
};

pub(crate) fn run(project: &Project, open: bool) -> Result<Outcome> {
    let page = project.target().join("evenkeel/report.html");
    let command = project.cargo("run").args(["--release", "--package", "evenkeel-bench", "--", "report"]);
    execute(command.arg("benches/results").arg(&page))?;
    for (path, text) in measurements::outdated(&project.root)? {
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        say!("{} quotes the results of today", path.display());
    }
    if open { shown(project, &page) } else { Ok(Outcome::Done) }
}

/// Hands the page to the desktop's own opener.
fn shown(project: &Project, page: &Path) -> Result<Outcome> {
    let opener = ["xdg-open", "open"].into_iter().find_map(|name| project.tool(name));
    let Some(opener) = opener else {
        return Ok(Outcome::Skipped(format!("nothing to open {} with", page.display())));
    };
    execute(opener.arg(page))?;
    Ok(Outcome::Done)
}
