//! Redis and Valkey: on a Unix socket only, and in memory only.

use std::path::Path;

use super::{process, programs::Programs};

pub(super) fn start(program: &str, programs: &Programs, dir: &Path) -> Result<(u32, String), String> {
    let socket = dir.join("redis.sock");
    let mut server = programs.command(program, dir);
    server.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket);
    let url = format!("redis+unix://{}", socket.display());
    process::start(&mut server, dir, || process::connects(&socket).then(|| url.clone()))
}
