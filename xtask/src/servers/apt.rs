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

/// Unpacks packages of another suite of Debian than the system's, each with its version, without what they need.
///
/// Returns why it cannot be had here, if the system is without Debian's archive, or if that has a newer version: it keeps no
/// other one. All else that goes wrong is an error.
pub(crate) fn fetch_of_suite(
    suite: &str,
    packages: &[(&str, &str)],
    home: &Path,
    root: &Path,
) -> Result<Result<(), String>, String> {
    if !is_there() {
        return Ok(Err(format!("no apt-get and dpkg-deb, for packages of {suite}")));
    }
    let failed = |error: io::Error| format!("{}: {error}", home.display());
    let apt = Apt::new(home).map_err(failed)?;
    let printed = process::read(apt.command("apt-get").args(["update", "--print-uris"]))?;
    let Some(mirror) = mirror(&printed) else {
        return Ok(Err("apt has no source of Debian's main archive".to_owned()));
    };
    apt.look_at(&format!("deb [signed-by={KEYS}] {mirror} {suite} main\n")).map_err(failed)?;
    let debs = home.join("debs");
    make_empty(&debs).map_err(failed)?;
    // Without the option a source that does not answer is a warning.
    process::read(apt.command("apt-get").args(["-o", "APT::Update::Error-Mode=any", "update"]))?;
    let names = packages.iter().map(|(name, _)| name);
    let offered = process::read(apt.command("apt-cache").arg("madison").args(names))?;
    if let Some((name, version)) = packages.iter().find(|package| !is_offered(&offered, **package)) {
        return Ok(Err(format!("{suite} has no {name} {version} any more: name its new version")));
    }
    let packages = packages.iter().map(|(name, version)| format!("{name}={version}"));
    process::read(apt.command("apt-get").current_dir(&debs).arg("download").args(packages))?;
    unpack(&debs, root).map(Ok)
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

/// Returns whether a package is there in this version, as `madison` prints them.
fn is_offered(printed: &str, (name, version): (&str, &str)) -> bool {
    printed.lines().any(|line| {
        let mut columns = line.split('|').map(str::trim);
        columns.next() == Some(name) && columns.next() == Some(version)
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
    let mut is_empty = true;
    for entry in fs::read_dir(debs).map_err(failed)? {
        let deb = entry.map_err(failed)?.path();
        if deb.extension().is_some_and(|extension| extension == "deb") {
            process::read(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&part))?;
            is_empty = false;
        }
    }
    if is_empty {
        return Err(format!("{}: no package was downloaded", debs.display()));
    }
    fs::rename(&part, root).and_then(|()| fs::remove_dir_all(debs)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::{fs, is_offered, make_empty, mirror, planned, unpack};

    #[test]
    fn the_mirror_is_the_one_of_the_main_archive() {
        let printed = "Reading...\n'http://a/debian-security/dists/one/InRelease' a_InRelease 0\n\
            'http://b/debian/dists/one/InRelease' b_InRelease 0 \n'http://c/debian/dists/two/InRelease' c 0\n";
        assert_eq!(mirror(printed), Some("http://b/debian"));
        assert_eq!(mirror("'http://a/ubuntu/dists/one/InRelease' a 0"), None);
    }

    #[test]
    fn a_version_that_the_suite_has_dropped_is_not_offered() {
        let printed = " golang-a-dev | 5.0.3-4 | http://b/debian sid/main amd64 Packages\n\
            golang-b-dev | 1.0-1 | http://b/debian sid/main amd64 Packages\n";
        assert!(is_offered(printed, ("golang-a-dev", "5.0.3-4")));
        assert!(!is_offered(printed, ("golang-a-dev", "5.0.3-3")));
        assert!(!is_offered(printed, ("golang-a-dev", "1.0-1")));
        assert!(!is_offered("", ("golang-a-dev", "5.0.3-4")));
    }

    #[test]
    fn a_download_without_a_package_installs_nothing() {
        let home = std::env::temp_dir().join(format!("evenkeel-apt-{}", std::process::id()));
        let (debs, root) = (home.join("debs"), home.join("root"));
        make_empty(&debs).expect("the folder can be made");
        fs::write(debs.join("golang-a-dev.deb.FAILED"), "").expect("the file can be written");
        let unpacked = unpack(&debs, &root);
        let is_there = root.exists();
        fs::remove_dir_all(&home).expect("the folder can be removed");
        assert!(unpacked.is_err_and(|why| why.contains("no package")) && !is_there);
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
