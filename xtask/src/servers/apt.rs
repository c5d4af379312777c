//! Debian's packages, downloaded and unpacked but not installed: that needs no root and changes nothing else.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Server, process,
    programs::{make_empty, unpacked_root},
};

/// Large and not needed to run a server; or, as the C library, only good together with the system's loader.
const LEFT_OUT: [&str; 6] = ["libc6", "libllvm", "libperl", "libz3", "locales", "perl"];

/// The keys of all suites of Debian.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Unpacks the server and the libraries that are not installed here to where `Programs::find` looks.
pub(super) fn fetch(server: Server, home: &Path) -> Result<(), String> {
    if !is_there() {
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

/// Unpacks packages of another suite of Debian than the system's, each as `NAME=VERSION`, without what they need.
pub(crate) fn fetch_of_suite(suite: &str, packages: &[&str], home: &Path, root: &Path) -> Result<(), String> {
    if !is_there() {
        return Err(format!("no apt-get and dpkg-deb, for {}", packages.join(" and ")));
    }
    let failed = |error: io::Error| format!("{}: {error}", home.display());
    let apt = Apt::new(home).map_err(failed)?;
    let printed = process::read(apt.command("apt-get").args(["update", "--print-uris"]))?;
    let mirror = mirror(&printed).ok_or("apt has no source of Debian's main archive")?;
    apt.look_at(&format!("deb [signed-by={KEYS}] {mirror} {suite} main\n")).map_err(failed)?;
    let debs = home.join("debs");
    make_empty(&debs).map_err(failed)?;
    process::read(apt.command("apt-get").arg("update"))?;
    process::read(apt.command("apt-get").current_dir(&debs).arg("download").args(packages))?;
    unpack(&debs, root)
}

fn is_there() -> bool {
    let has = |program: &str| process::read(Command::new(program).arg("--version")).is_ok();
    has("apt-get") && has("dpkg-deb")
}

/// Where the system gets its own packages from, as `update --print-uris` says it.
fn mirror(printed: &str) -> Option<&str> {
    let mut uris = printed.lines().filter_map(|line| line.strip_prefix('\'')?.split('\'').next());
    uris.find_map(|uri| {
        uri.split_once("/dists/").map(|(mirror, _)| mirror).filter(|mirror| mirror.ends_with("/debian"))
    })
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

    /// Has these sources in place of the system's.
    fn look_at(&self, sources: &str) -> io::Result<()> {
        let list = self.dir.join("sources.list");
        fs::write(&list, sources)?;
        let config = fs::read_to_string(self.config())?;
        let other = format!(
            "Dir::Etc::sourcelist \"{}\";\nDir::Etc::sourceparts \"/dev/null\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n",
            list.display()
        );
        fs::write(self.config(), config + &other)
    }

    fn config(&self) -> PathBuf {
        self.dir.join("apt.conf")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").arg("-c").arg(self.config());
        command
    }

    /// Downloads the packages into a folder, and returns it.
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
        make_empty(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
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
    let part = root.with_added_extension("part");
    make_empty(&part).map_err(failed)?;
    for entry in fs::read_dir(debs).map_err(failed)? {
        let deb = entry.map_err(failed)?.path();
        if deb.extension().is_some_and(|extension| extension == "deb") {
            process::read(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&part))?;
        }
    }
    fs::rename(&part, root).and_then(|()| fs::remove_dir_all(debs)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::{mirror, planned};

    #[test]
    fn the_mirror_is_the_one_of_the_main_archive() {
        let printed = "Reading...\n'http://a/debian-security/dists/one/InRelease' a_InRelease 0\n\
            'http://b/debian/dists/one/InRelease' b_InRelease 0 \n'http://c/debian/dists/two/InRelease' c 0\n";
        assert_eq!(mirror(printed), Some("http://b/debian"));
        assert_eq!(mirror("'http://a/ubuntu/dists/one/InRelease' a 0"), None);
    }

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
