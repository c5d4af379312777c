//! PostgreSQL: a new cluster, on a Unix socket only, that does not bother to reach the disk.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Command,
};

use super::{process, programs::Programs};

/// Settings of the file, so that a session can change them for a time, by `ALTER SYSTEM`.
const SETTINGS: &str = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n\
    # Suites that run beside each other have a connection and more for each test.\nmax_connections = 300\n\
    # Compiling takes longer than any test's query, and needs LLVM.\njit = off\n";

pub(super) fn start(programs: &Programs, dir: &Path) -> Result<(u32, String), String> {
    let owner = owner()?;
    let command = |program: &str| {
        let mut command = programs.command(program, dir);
        if let Some((user, group)) = owner {
            process::run_as(&mut command, user, group);
        }
        command
    };
    if let Some((user, group)) = owner {
        process::read(Command::new("chown").arg(format!("{user}:{group}")).arg(dir))?;
    }
    let data = dir.join("data");
    let options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
    process::read(command("initdb").arg("-D").arg(&data).args(options))?;
    let file = File::options().append(true).open(data.join("postgresql.conf"));
    let written = file.and_then(|mut file| file.write_all(SETTINGS.as_bytes()));
    written.map_err(|error| format!("postgresql.conf: {error}"))?;
    let mut server = command("postgres");
    server.arg("-D").arg(&data);
    let sockets = format!("unix_socket_directories={}", dir.display());
    for setting in ["listen_addresses=", &sockets] {
        server.args(["-c", setting]);
    }
    // The last line of the server's own file, once it accepts connections.
    let ready = || {
        fs::read_to_string(data.join("postmaster.pid")).is_ok_and(|text| text.trim_end().ends_with("ready"))
    };
    let host = dir.display().to_string().replace('/', "%2F");
    let url = format!("postgresql://postgres@{host}/postgres");
    process::start(&mut server, dir, || ready().then(|| url.clone()))
}

/// The user and group to run as instead of root, which PostgreSQL refuses to.
fn owner() -> Result<Option<(u32, u32)>, String> {
    let id = |arguments: &[&str]| {
        let printed = process::read(Command::new("id").args(arguments))?;
        printed.trim().parse::<u32>().map_err(|error| format!("id: {error}"))
    };
    if id(&["-u"])? != 0 {
        return Ok(None);
    }
    let named = |name| Some((id(&["-u", name]).ok()?, id(&["-g", name]).ok()?));
    match ["postgres", "nobody"].into_iter().find_map(named) {
        None => Err("it refuses to run as root, and there is no user postgres or nobody".to_owned()),
        found => Ok(found),
    }
}
