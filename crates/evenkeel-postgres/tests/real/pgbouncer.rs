//! PgBouncer, started by a test.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use evenkeel_postgres::{Builder, Database, tokio_postgres::config::Host};
use evenkeel_testkit::net::unused_port;
use tokio::net::TcpStream;

use crate::{
    harness::{TestSchema, server, skip, until},
    test_host::{TestHost, at},
};

/// PgBouncer in front of the server of a test, with settings of the test.
pub(crate) struct Pooler {
    pub(crate) host: TestHost,
    child: Child,
    dir: PathBuf,
}

impl Pooler {
    /// `None` without PgBouncer.
    pub(crate) async fn start(schema: &TestSchema, settings: &str) -> Option<Pooler> {
        let Some(program) = server("EVENKEEL_TEST_PGBOUNCER") else {
            skip("PgBouncer", "EVENKEEL_TEST_PGBOUNCER");
            return None;
        };
        let port = unused_port().unwrap();
        let host = match &schema.config.get_hosts()[0] {
            Host::Tcp(name) => name.clone(),
            Host::Unix(dir) => dir.display().to_string(),
        };
        let to = schema.config.get_ports().first().copied().unwrap_or(5432);
        // PgBouncer refuses to run as root, and the folder of a socket is open only to its owner.
        let read = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let owner =
            if host.starts_with('/') { read("stat", &["-c", "%U", &host]) } else { "nobody".to_owned() };
        let user = if read("id", &["-u"]) == "0" { format!("user = {owner}") } else { String::new() };
        let dir = std::env::temp_dir().join(format!("evenkeel-pooler-{port}"));
        std::fs::create_dir(&dir).unwrap();
        let file = dir.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={host} port={to} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             ignore_startup_parameters = options\n{user}\n{settings}\n"
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new(program)
            .arg("-q")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("the pooler listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        Some(Pooler { host: TestHost { port, seen: Arc::default() }, child, dir })
    }

    /// A database behind the pooler. A transaction there has neither search path nor prepared statements of others, so
    /// tables are named with their schema.
    pub(crate) fn builder(&self, schema: &TestSchema) -> Builder {
        Database::builder(at(&schema.config, &[&self.host]))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
