//! PostgreSQL with TLS: a cluster of its own, by the programs of the server of a test.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use evenkeel_postgres::{Builder, Database, tokio_postgres::Config};
use evenkeel_testkit::net::unused_port;

use crate::{
    certificates::Signed,
    harness::{TestSchema, server, skip, until},
    instance::{Programs, kill},
};

/// The files and programs of a cluster, on which one server after the other runs.
pub(crate) struct Cluster {
    pub(crate) dir: PathBuf,
    programs: Programs,
    pub(crate) version: i32,
}

/// A server of the cluster, at a port of `127.0.0.1`.
pub(crate) struct TlsServer {
    pub(crate) port: u16,
    pub(crate) admin: Database,
    child: Child,
}

impl Cluster {
    /// `None` if the programs have no TLS.
    pub(crate) async fn new(schema: &TestSchema) -> Option<Cluster> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let version: String = schema.admin.fetch_scalar("show server_version_num", ()).await.unwrap();
        let version = version.parse::<i32>().unwrap() / 10_000;
        let programs = programs(schema, version).await?;
        let number = COUNT.fetch_add(1, Relaxed);
        let dir = std::env::temp_dir().join(format!("evenkeel-tls-{}-{number}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let cluster = Cluster { dir, programs, version };
        cluster.give_away(&cluster.dir);
        let options =
            ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D", "data"];
        cluster.programs.run("initdb", &cluster.dir, |command| command.args(options));
        Some(cluster)
    }

    /// Starts a server with this certificate, or without TLS, and with these lines of `pg_hba.conf` for TCP.
    pub(crate) async fn start(&self, signed: Option<&Signed>, hba: &str, settings: &[&str]) -> TlsServer {
        let path = |name: &str| self.dir.join(name).display().to_string();
        self.write("hba", &format!("local all all trust\n{hba}\n"));
        let port = unused_port().unwrap();
        let mut all = vec![
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", self.dir.display()),
            format!("hba_file={}", path("hba")),
            "fsync=off".to_owned(),
        ];
        if let Some(signed) = signed {
            self.write("server.crt", &signed.certificate);
            self.write("server.key", &signed.key);
            all.push("ssl=on".to_owned());
            all.push(format!("ssl_cert_file={}", path("server.crt")));
            all.push(format!("ssl_key_file={}", path("server.key")));
        }
        all.extend(settings.iter().map(|setting| (*setting).to_owned()));
        let mut command = self.programs.command("postgres", &self.dir);
        command.args(["-D", "data"]);
        for setting in &all {
            command.args(["-c", setting]);
        }
        let log = fs::File::create(self.dir.join("log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut config = Config::new();
        config.user("postgres").dbname("postgres").host_path(&self.dir).port(port);
        let admin = Database::builder(config).max(1).build().unwrap();
        let server = TlsServer { port, admin, child };
        // The file of the socket is there once the server listens.
        let log = || fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        until("the server starts", async || {
            assert!(!log().contains("FATAL"), "{}", log());
            server.admin.batch_execute("select 1").await.is_ok()
        })
        .await;
        server
    }

    /// Writes a file that the server can read, and nobody else.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        let _ = fs::remove_file(&path);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self.give_away(&path);
        path
    }

    fn give_away(&self, path: &Path) {
        if let Some((user, group)) = self.programs.owner {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }
}

/// The programs of the server, or others of its version that have TLS; `None`, and a line that says so, without any.
async fn programs(schema: &TestSchema, version: i32) -> Option<Programs> {
    let sql = "select setting from pg_config where name = 'CONFIGURE'";
    let settings: String = schema.admin.fetch_scalar(sql, ()).await.unwrap();
    if settings.contains("ssl") {
        return Programs::of(&schema.admin).await;
    }
    let name = format!("EVENKEEL_TEST_POSTGRES{version}_TLS");
    let Some(program) = server(&name) else {
        skip(&format!("PostgreSQL {version} with TLS"), &name);
        return None;
    };
    Programs::at(Path::new(&program).parent().unwrap().into(), None)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl TlsServer {
    /// A database at this server, by pairs such as `sslmode=require`. The host is `localhost` unless they name another one.
    pub(crate) fn builder(&self, pairs: &str) -> Builder {
        let host = if pairs.contains("host=") { "" } else { "host=localhost" };
        let port = self.port;
        let all = format!("hostaddr=127.0.0.1 port={port} user=postgres dbname=postgres {host} {pairs}");
        Database::builder_from_url(&all).unwrap().max(2)
    }
}

/// Ends the server at once.
impl Drop for TlsServer {
    fn drop(&mut self) {
        kill("INT", self.child.id());
        let _ = self.child.wait();
    }
}
