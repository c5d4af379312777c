//! `cargo xtask readme`: the first lines of each README, pasted into an empty project, build, run, and print what they say.
//!
//! Each README begins with the dependencies and a whole program. The projects are members of one workspace below the target
//! folder, which has our lock file; each is built on its own, so that none has a feature that only another one asks for. The
//! git dependencies are replaced by the folders of this workspace.

mod page;

use std::{
    fs,
    path::{Path, PathBuf},
};

use command_line::{Refused, one_of};

pub(crate) use self::page::Page;
use crate::{
    Result, flags,
    outcome::Outcome,
    packages::{Package, public},
    project::Project,
    servers::Server,
    test::Servers,
};

/// The program of the page needs the PostgreSQL server that this variable names.
const DATABASE: &str = "DATABASE_URL";

/// Begins the name of each project.
const NAME: &str = "readme";

/// The name of the front page.
const ROOT: &str = "root";

pub(crate) fn run(project: &Project, flags: &flags::Readme) -> Result<Outcome> {
    let published = public(project)?;
    let mut pages = vec![Page::read(&format!("{NAME}-{ROOT}"), &project.root.join("README.md"))?];
    for package in &published {
        pages.push(Page::read(&format!("{NAME}-{}", package.name), &package.folder.join("README.md"))?);
    }
    let wanted = flags.package.as_ref().map(|name| named(name, &published)).transpose()?;
    let is_wanted =
        |page: &&Page| wanted.as_ref().is_none_or(|wanted| page.name == format!("{NAME}-{wanted}"));
    let needs_database = pages.iter().filter(is_wanted).any(|page| page.program.contains(DATABASE));
    let servers = needs_database.then(|| Servers::start_only(project, &[Server::Postgres], false));
    let database =
        servers.as_ref().and_then(|servers| servers.variables.first()).map(|(_, url)| url.as_str());

    let folder = project.target().join("readme");
    write(&folder, &project.root, &pages)?;
    let cargo = |subcommand: &str, page: &Page| {
        let command = project.cargo(subcommand).args(["--quiet", "-p", &page.name]);
        // Some of the dependencies are compiled there already. Incremental builds are for programs that change.
        let command = command.arg("--target-dir").arg(project.target()).env("CARGO_INCREMENTAL", "0");
        command.arg("--manifest-path").arg(folder.join("Cargo.toml"))
    };
    let mut findings = Vec::new();
    let mut left_out = Vec::new();
    for page in pages.iter().filter(is_wanted) {
        let shown = page.path.strip_prefix(&project.root).unwrap_or(&page.path).display().to_string();
        if page.program.contains(DATABASE) && database.is_none() {
            let built = cargo("build", page);
            tell!("$ {built}");
            if built.run().is_err() {
                findings.push(format!("{shown}: the first lines do not build"));
            }
            left_out.push(format!("{shown} is built and not run: there is no PostgreSQL server"));
            continue;
        }
        let command = cargo("run", page).envs(database.map(|url| (DATABASE, url)));
        tell!("$ {command}");
        let output = command.ignore_status().output()?;
        // The project is alone for its reader, and one of many here.
        let stdout = String::from_utf8_lossy(&output.stdout).replace(&format!("{}/src/", page.name), "src/");
        let stderr = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            findings
                .push(format!("{shown}: the first lines do not build or run: {}\n{stderr}", output.status));
        }
        let missing = page.missing_output(&stdout);
        findings.extend(
            missing.map(|line| format!("{shown}: the program does not print `{line}`, but:\n{stdout}")),
        );
        if flags.answers {
            findings
                .extend(answers(&folder, page, &cargo)?.iter().map(|finding| format!("{shown}: {finding}")));
        }
    }
    match Outcome::of_findings(&findings) {
        Outcome::Done if !left_out.is_empty() => Ok(Outcome::Partly(left_out.join("; "))),
        outcome => Ok(outcome),
    }
}

/// Returns the whole name of a page.
fn named(name: &str, packages: &[Package]) -> Result<String> {
    let whole = packages.iter().map(|package| package.name.as_str()).chain([ROOT]).collect::<Vec<_>>();
    let long = format!("evenkeel-{name}");
    let found = whole.iter().find(|whole| **whole == name || **whole == long);
    let found =
        found.map(|found| Ok((*found).to_owned())).unwrap_or_else(|| one_of(name, &whole).map(str::to_owned));
    found.map_err(|why| Refused::wrong(format!("package {why}")).into())
}

/// Takes away what each answer of a page adds, and returns a line for each that rustc does not ask for in these words.
fn answers<'a>(
    folder: &Path,
    page: &Page,
    cargo: &impl Fn(&str, &Page) -> xshell::Cmd<'a>,
) -> Result<Vec<String>> {
    let manifest = folder.join(&page.name).join("Cargo.toml");
    let whole = fs::read_to_string(&manifest)?;
    let mut findings = Vec::new();
    for answer in &page.answers {
        let Some(less) = answer.taken_from(&whole) else {
            findings.push(format!("`{}` adds nothing that the dependencies have", answer.says));
            continue;
        };
        fs::write(&manifest, less)?;
        let command = cargo("check", page);
        tell!("$ {command} # for `{}`", answer.says);
        let said = String::from_utf8_lossy(&command.ignore_status().output()?.stderr).into_owned();
        if !said.contains(&answer.says) {
            findings.push(format!("rustc does not say `{}`, but:\n{said}", answer.says));
        }
    }
    fs::write(&manifest, whole)?;
    Ok(findings)
}

/// Writes the workspace; files that are as they were stay, so that nothing is built again.
fn write(folder: &Path, root: &Path, pages: &[Page]) -> Result {
    let members: Vec<_> = pages.iter().map(|page| format!("{:?}", page.name)).collect();
    let workspace = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{}]\n\n[profile.dev]\ndebug = false\n",
        members.join(", ")
    );
    update(&folder.join("Cargo.toml"), &workspace)?;
    // Cargo adds the packages of the workspace to it, and takes away all that is not needed.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    for page in pages {
        let package = folder.join(&page.name);
        update(&package.join("Cargo.toml"), &page.manifest(&root.join("crates")))?;
        update(&package.join("src/main.rs"), &page.program)?;
    }
    Ok(())
}

fn update(path: &PathBuf, text: &str) -> Result {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::create_dir_all(path.parent().ok_or("a file lies in no folder")?)?;
        fs::write(path, text)?;
    }
    Ok(())
}
