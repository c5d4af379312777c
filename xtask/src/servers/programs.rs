//! Where the servers' programs are.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Server, npm};

/// A folder with a server's programs, and the shared libraries unpacked with them.
pub(super) struct Programs {
    pub(super) bin: PathBuf,
    pub(super) libraries: Vec<PathBuf>,
}

impl Programs {
    /// Installed programs come before unpacked ones.
    pub(super) fn find(server: Server, home: &Path) -> Option<Programs> {
        if let Some(wheel) = server.wheel() {
            let programs = Programs { bin: wheel.bin(server, home), libraries: Vec::new() };
            return Some(programs).filter(|programs| programs.are_of(server));
        }
        if server == Server::Postgres18Tls {
            let programs = Programs { bin: npm::bin(home), libraries: Vec::new() };
            return Some(programs).filter(|programs| programs.are_of(server));
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path = env::split_paths(&path).filter(|dir| dir.is_absolute());
        let installed =
            on_path.chain(usual_places(Path::new("/"))).map(|bin| Programs { bin, libraries: Vec::new() });
        installed.chain(Programs::unpacked(server, home)).find(|programs| programs.are_of(server))
    }

    /// The folders of the packages that were unpacked for this server.
    pub(super) fn unpacked(server: Server, home: &Path) -> impl Iterator<Item = Programs> {
        let root = unpacked_root(server, home);
        let libraries = library_dirs(&root);
        usual_places(&root).into_iter().map(move |bin| Programs { bin, libraries: libraries.clone() })
    }

    pub(super) fn are_of(&self, server: Server) -> bool {
        let beside: &[&str] = if server.program() == "postgres" { &["initdb"] } else { &[] };
        beside.iter().chain([&server.program()]).all(|program| self.bin.join(program).is_file())
    }

    /// One of them, in `dir`; of the caller's environment, which may be set up for another server, only `PATH`.
    pub(super) fn command(&self, program: &str, dir: &Path) -> Command {
        let mut command = Command::new(self.bin.join(program));
        let path = env::var_os("PATH").unwrap_or_default();
        command.current_dir(dir).env_clear().env("PATH", path).env("HOME", dir).env("LC_ALL", "C");
        if !self.libraries.is_empty() {
            command.env("LD_LIBRARY_PATH", env::join_paths(&self.libraries).unwrap_or_default());
        }
        command
    }
}

pub(super) fn unpacked_root(server: Server, home: &Path) -> PathBuf {
    home.join("unpacked").join(server.name())
}

/// Makes a folder, without what an earlier attempt has left in it, which may be of other versions.
pub(super) fn make_empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(folder),
    }
}

/// Folders of programs, the newest PostgreSQL first, below a root that is not always the system's.
fn usual_places(root: &Path) -> Vec<PathBuf> {
    let fixed =
        ["usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "usr/local/pgsql/bin", "opt/homebrew/bin"];
    let numbered = [
        ("usr/lib/postgresql", ""),
        ("usr", "pgsql-"),
        ("opt/homebrew/opt", "postgresql@"),
        ("usr/local/opt", "postgresql@"),
    ];
    let versions = numbered.iter().flat_map(|(parent, prefix)| newest_first(&root.join(parent), prefix));
    fixed.iter().map(|dir| root.join(dir)).chain(versions.map(|dir| dir.join("bin"))).collect()
}

/// The entries named by the prefix and a number, largest number first.
fn newest_first(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let version = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(prefix)?.parse::<u32>().ok();
    let mut found: Vec<PathBuf> =
        entries(parent).into_iter().filter(|path| version(path).is_some()).collect();
    found.sort_by_key(|path| std::cmp::Reverse(version(path)));
    found
}

/// `usr/lib/x86_64-linux-gnu` and the like.
fn library_dirs(root: &Path) -> Vec<PathBuf> {
    let triple =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains("-linux-"));
    ["usr/lib", "lib"].iter().flat_map(|dir| entries(&root.join(dir))).filter(triple).collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::state;

    #[test]
    fn a_folder_has_nothing_of_an_earlier_attempt() {
        let folder = state::fresh_dir(Server::Nats).unwrap().join("debs");
        for _ in 0..2 {
            make_empty(&folder).unwrap();
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
            fs::write(folder.join("one_1.0.deb"), "").unwrap();
        }
        fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    }

    #[test]
    fn the_newest_complete_programs_are_found_with_their_libraries() {
        let home = state::fresh_dir(Server::Nats).unwrap();
        let root = unpacked_root(Server::Postgres, &home);
        let program = |path: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        for version in ["9", "15", "common"] {
            program(&format!("usr/lib/postgresql/{version}/bin/postgres"));
            program(&format!("usr/lib/postgresql/{version}/bin/initdb"));
        }
        program("usr/lib/postgresql/16/bin/postgres");
        program("usr/lib/x86_64-linux-gnu/libpq.so.5");
        let mut found = Programs::unpacked(Server::Postgres, &home).filter(|p| p.are_of(Server::Postgres));
        let newest = found.next().unwrap();
        assert_eq!(newest.bin, root.join("usr/lib/postgresql/15/bin"));
        assert_eq!(newest.libraries, [root.join("usr/lib/x86_64-linux-gnu")]);
        assert_eq!(found.next().unwrap().bin, root.join("usr/lib/postgresql/9/bin"));
        assert!(found.next().is_none());
        state::remove_dir(&home);
    }
}
