//! The workspace that the commands work on, and how they run programs in it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use xshell::{Cmd, Shell};

use crate::Result;

/// The root of the workspace, with a shell there.
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    shell: Shell,
}

impl Project {
    pub(crate) fn open() -> Result<Project> {
        // Cargo's variable of this run comes first: a target folder that was moved holds a program that was built
        // elsewhere.
        let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&xtask).parent().ok_or("xtask lies at the root")?.to_owned();
        let shell = Shell::new()?;
        shell.change_dir(&root);
        Ok(Project { root, shell })
    }

    /// `cargo SUBCOMMAND`, at the root.
    pub(crate) fn cargo(&self, subcommand: &str) -> Cmd<'_> {
        self.program(Path::new("cargo")).arg(subcommand)
    }

    /// `git WORDS`, at the root.
    pub(crate) fn git(&self, words: &[&str]) -> Cmd<'_> {
        self.program(Path::new("git")).args(words)
    }

    /// Finds a program that may be missing, on the path or in `target/tools`, where those of this project alone are installed.
    pub(crate) fn tool(&self, name: &str) -> Option<Cmd<'_>> {
        let file = format!("{name}{}", env::consts::EXE_SUFFIX);
        let path = env::var_os("PATH").unwrap_or_default();
        let mut folders = env::split_paths(&path).chain([self.root.join("target/tools/bin")]);
        let program = folders.find_map(|folder| Some(folder.join(&file)).filter(|path| path.is_file()))?;
        Some(self.program(&program))
    }

    /// Returns the path of a program that was installed for this project alone, if it is this version.
    pub(crate) fn installed(&self, program: &str, version: &str) -> Option<PathBuf> {
        let file = format!("{program}{}", env::consts::EXE_SUFFIX);
        let path = self.root.join("target/tools/bin").join(file);
        self.is_of_version(&path, version).then_some(path)
    }

    /// Whether a program runs here, and says that it is this version.
    pub(crate) fn is_of_version(&self, program: &Path, version: &str) -> bool {
        let told = self.program(program).arg("--version").ignore_stderr().read();
        told.is_ok_and(|told| is_version(&told, version))
    }

    /// Installs a program of a package for this project alone, if it is missing or another version, and returns its path.
    pub(crate) fn install(&self, package: &str, program: &str, version: &str) -> Result<PathBuf> {
        // Cargo alone would look into the registry each time.
        if let Some(path) = self.installed(program, version) {
            return Ok(path);
        }
        let tools = self.root.join("target/tools");
        // It runs for seconds: optimization would take longer than it saves.
        let install = self.cargo("install").args(["--quiet", "--locked", "--debug", "--version"]);
        let install = install.arg(format!("={version}")).arg("--root").arg(&tools).arg(package);
        run_with(&[("CARGO_PROFILE_DEV_DEBUG", "0")], install)?;
        Ok(tools.join("bin").join(format!("{program}{}", env::consts::EXE_SUFFIX)))
    }

    /// Returns the command of any program, at the root.
    ///
    /// Without the variables that the outer `cargo run` set for this one: build scripts watch some of them,
    /// and their crates would be built again each time xtask and plain cargo take turns.
    pub(crate) fn program(&self, program: &Path) -> Cmd<'_> {
        foreign_variables().fold(self.shell.cmd(program).quiet(), Cmd::env_remove)
    }

    /// The folder of cargo's output.
    pub(crate) fn target(&self) -> PathBuf {
        self.root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
    }
}

/// Whether a program, by what it says of itself, is this version: `mdbook v0.5.4`, `typos-cli 1.52.0`.
fn is_version(told: &str, version: &str) -> bool {
    told.split_whitespace().nth(1).is_some_and(|word| word.trim_start_matches('v') == version)
}

/// Removes the variables of [`foreign_variables`] from a command.
pub(crate) fn cleaned(mut command: Command) -> Command {
    for name in foreign_variables() {
        command.env_remove(name);
    }
    command
}

/// The variables that cargo sets for one package's programs and that mean nothing to another's.
fn foreign_variables() -> impl Iterator<Item = String> {
    env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| is_foreign(name))
}

fn is_foreign(name: &str) -> bool {
    name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_BIN_")
        || matches!(name, "CARGO_MANIFEST_DIR" | "CARGO_MANIFEST_PATH" | "CARGO_CRATE_NAME")
        || matches!(name, "CARGO_PRIMARY_PACKAGE" | "OUT_DIR")
}

/// Prints the command line, then runs it with the terminal's output streams.
pub(crate) fn run(command: Cmd<'_>) -> Result {
    run_with(&[], command)
}

/// Runs as [`run`] does, with variables, which the printed command line shows, too.
pub(crate) fn run_with(variables: &[(&str, &str)], command: Cmd<'_>) -> Result {
    let typed: String = variables.iter().map(|(name, value)| format!("{name}={value:?} ")).collect();
    tell!("$ {typed}{command}");
    Ok(command.envs(variables.iter().copied()).run()?)
}

/// Prints the command line and returns the command's standard output; its diagnostics go to the terminal.
pub(crate) fn read(command: Cmd<'_>) -> Result<String> {
    tell!("$ {command}");
    Ok(command.read()?)
}

#[cfg(test)]
mod tests {
    use super::{is_foreign, is_version};

    #[test]
    fn a_program_of_the_version_is_not_installed_again() {
        for told in ["mdbook v0.5.4", "cargo-deny 0.5.4", "tool 0.5.4 (abcdef 2026-01-01)\n"] {
            assert!(is_version(told, "0.5.4"), "{told}");
        }
        for told in ["", "mdbook", "mdbook v0.5.40", "mdbook 0.5", "0.5.4"] {
            assert!(!is_version(told, "0.5.4"), "{told}");
        }
    }

    #[test]
    fn only_the_package_variables_are_foreign() {
        for name in ["CARGO_PKG_NAME", "CARGO_PKG_VERSION_MAJOR", "CARGO_MANIFEST_DIR", "CARGO_BIN_NAME"] {
            assert!(is_foreign(name), "{name}");
        }
        for name in
            ["CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_TERM_COLOR", "PATH", "RUSTUP_TOOLCHAIN"]
        {
            assert!(!is_foreign(name), "{name}");
        }
    }
}
