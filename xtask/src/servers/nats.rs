//! NATS with JetStream: on a free port of the loopback interface.

use std::{fs, path::Path};

use super::{process, programs::Programs};

pub(super) fn start(programs: &Programs, dir: &Path) -> Result<(u32, String), String> {
    let mut server = programs.command("nats-server", dir);
    server.args(["-a", "127.0.0.1", "-p", "-1", "-js", "-sd"]).arg(dir).arg("--ports_file_dir").arg(dir);
    process::start(&mut server, dir, || {
        let files = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
        let mut ports = files.filter(|path| path.extension().is_some_and(|extension| extension == "ports"));
        url(&fs::read_to_string(ports.next()?).ok()?)
    })
}

/// The first client URL in the server's list of its ports.
fn url(ports: &str) -> Option<String> {
    let (_, rest) = ports.split_once("\"nats://")?;
    let (address, _) = rest.split_once('"')?;
    Some(format!("nats://{address}"))
}

#[cfg(test)]
mod tests {
    use super::url;

    #[test]
    fn the_url_is_read_from_the_ports_file() {
        let ports = "{\n\t\"nats\": [\n\t\t\"nats://127.0.0.1:34567\"\n\t]\n}";
        assert_eq!(url(ports).as_deref(), Some("nats://127.0.0.1:34567"));
        assert_eq!(url("{\n\t\"nats\": [\n\t\t\"nats://127"), None);
    }
}
