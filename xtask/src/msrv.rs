//! `cargo xtask msrv`: the Rust version that the published crates declare is enough for them.

use crate::{
    Result,
    outcome::Outcome,
    packages::{Graph, Package, public, selection},
    project::{Project, read, run as execute},
};

pub(crate) fn run(project: &Project) -> Result<Outcome> {
    let published = public(project)?;
    let declared = published.iter().filter_map(|package| package.rust_version.as_deref());
    let oldest = declared.min_by_key(|version| release(version)).ok_or("no crate declares a rust-version")?;
    let graph = Graph::read(project)?;
    let shipped = graph.shipped(|package| package.source.is_none() && package.public);
    say!("{} packages are shipped with the published crates, for Rust {oldest}", shipped.len());
    let findings: Vec<String> = shipped.into_iter().filter_map(|package| too_new(package, oldest)).collect();
    if !findings.is_empty() {
        return Ok(Outcome::of_findings(&findings));
    }
    let skipped = |why: &str| Ok(Outcome::Partly(format!("building on Rust {oldest}: {why}")));
    let (Some(list), Some(rustup)) = (project.tool("rustup"), project.tool("rustup")) else {
        return skipped("there is no rustup");
    };
    let installed = read(list.args(["toolchain", "list"]))?;
    let Some(toolchain) = toolchain(&installed, oldest) else {
        return skipped(&format!("rustup toolchain install {oldest} --profile minimal"));
    };
    let build = rustup.args(["run", toolchain, "cargo", "check", "--lib", "--all-features"]);
    execute(build.args(selection(&published)))?;
    Ok(Outcome::Done)
}

fn too_new(package: &Package, oldest: &str) -> Option<String> {
    let needed = package.rust_version.as_deref().filter(|needed| release(needed) > release(oldest))?;
    Some(format!("{} {} needs Rust {needed}, newer than {oldest}", package.name, package.version))
}

/// A version in numbers; parts that are not written are zero.
fn release(version: &str) -> [u32; 3] {
    let mut parts = version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

/// The installed toolchain of this version, in the list that rustup prints.
fn toolchain<'a>(installed: &'a str, version: &str) -> Option<&'a str> {
    let mut names = installed.lines().filter_map(|line| line.split_whitespace().next());
    let same = |name: &&str| {
        name.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
    };
    names.rfind(same)
}

#[cfg(test)]
mod tests {
    use super::{release, toolchain};

    #[test]
    fn versions_compare_by_their_numbers() {
        assert!(release("1.9") < release("1.89"));
        assert!(release("1.89.1") > release("1.89"));
        assert!(release("1.100.0") > release("1.99.9"));
        assert_eq!(release("1.89"), release("1.89.0"));
        assert_eq!(release("1.89.0-nightly"), [1, 89, 0]);
    }

    #[test]
    fn a_toolchain_is_found_by_its_version() {
        let installed =
            "stable-x86_64 (active, default)\n1.8-x86_64\n1.89.0-x86_64-unknown-linux-gnu\n1.890-x\n";
        assert_eq!(toolchain(installed, "1.89"), Some("1.89.0-x86_64-unknown-linux-gnu"));
        assert_eq!(toolchain(installed, "1.90"), None);
    }
}
