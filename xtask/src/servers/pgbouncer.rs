//! PgBouncer: not a server here but a program, which the tests start with settings of their own.

use std::{fs, path::Path};

use super::{
    Server,
    programs::{Programs, unpacked_root},
};

/// The program, or a script that starts it with the libraries that were unpacked beside it.
pub(super) fn path(programs: &Programs, home: &Path) -> Result<String, String> {
    let program = programs.bin.join(Server::Pgbouncer.program());
    if programs.libraries.is_empty() {
        return Ok(program.display().to_string());
    }
    let libraries: Vec<String> = programs.libraries.iter().map(|dir| dir.display().to_string()).collect();
    let script = unpacked_root(Server::Pgbouncer, home).join("run");
    let text =
        format!("#!/bin/sh\nLD_LIBRARY_PATH='{}' exec '{}' \"$@\"\n", libraries.join(":"), program.display());
    let failed = |error: std::io::Error| format!("{}: {error}", script.display());
    fs::write(&script, text).map_err(failed)?;
    super::process::read(std::process::Command::new("chmod").arg("a+x").arg(&script))?;
    Ok(script.display().to_string())
}
