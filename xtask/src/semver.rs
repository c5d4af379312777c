//! `cargo xtask semver`: what a release would break, by cargo-semver-checks. It takes minutes to build once, so `ci` leaves it
//! out; run it before a release.

use command_line::Refused;

use crate::{
    Result,
    outcome::Outcome,
    packages::{public, selection},
    project::{Project, read, run as execute},
};

const VERSION: &str = "0.51.0";

/// Compares the published crates with a revision, or with the last release.
pub(crate) fn run(project: &Project, revision: Option<&str>) -> Result<Outcome> {
    let revision = match revision {
        Some(revision) => revision.to_owned(),
        None => match last_release(&read(project.git(&["tag", "--list", "v*", "--sort=version:refname"]))?) {
            Some(tag) => tag.to_owned(),
            None => return Ok(Outcome::Skipped(NO_RELEASE.to_owned())),
        },
    };
    let commit = format!("{revision}^{{commit}}");
    if project
        .git(&["rev-parse", "--quiet", "--verify", &commit])
        .ignore_stdout()
        .ignore_stderr()
        .run()
        .is_err()
    {
        return Err(Refused::wrong(format!("git knows no revision `{revision}`")).into());
    }
    let program = match project.install("cargo-semver-checks", "cargo-semver-checks", VERSION) {
        Ok(program) => program,
        Err(error) => {
            return Ok(Outcome::Skipped(format!("cargo-semver-checks cannot be installed: {error}")));
        }
    };
    let command =
        project.program(&program).args(["semver-checks", "--all-features", "--baseline-rev", &revision]);
    execute(command.args(selection(&public(project)?)))?;
    Ok(Outcome::Done)
}

const NO_RELEASE: &str = "there is no release to compare with, as no tag begins with v; `cargo xtask semver REVISION` takes any revision";

/// The last tag of a list that ascends, pre-releases aside.
fn last_release(tags: &str) -> Option<&str> {
    tags.lines().rfind(|tag| tag[1..].split('.').all(|part| part.parse::<u32>().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::last_release;

    #[test]
    fn the_last_release_is_the_baseline() {
        assert_eq!(last_release("v0.1.0\nv0.9.0\nv0.10.0\nv0.11.0-rc.1\nversions\n"), Some("v0.10.0"));
        assert_eq!(last_release(""), None);
    }
}
