//! A PostgreSQL server of a test alone, which it can stop, start again and promote.
//!
//! Its programs are those of the server that the environment names: the server tells where they are.

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use evenkeel_postgres::{
    Database,
    tokio_postgres::{Config, NoTls},
};

use crate::harness::{TestSchema, until};

/// The settings of all of them. A commit reaches the log before it is acknowledged, so that a crash of the server loses none.
const SETTINGS: [&str; 7] = [
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=on",
    "jit=off",
    "wal_level=replica",
    "max_wal_senders=4",
];

/// The programs of a server, and the user that runs them.
#[derive(Clone)]
pub(crate) struct Programs {
    bin: PathBuf,
    library_path: Option<String>,
    pub(crate) owner: Option<(u32, u32)>,
}

/// A server.
pub(crate) struct Instance {
    programs: Programs,
    dir: PathBuf,
    settings: Vec<String>,
    child: Option<Child>,
}

impl Instance {
    /// Starts a new cluster with these settings; `None`, and a line that says so, where its programs do not run here.
    pub(crate) async fn start(schema: &TestSchema, settings: &[&str]) -> Option<Instance> {
        let programs = Programs::of(&schema.admin).await?;
        let mut instance = Instance::empty(programs, settings);
        let options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"];
        instance.programs.run("initdb", &instance.dir, |command| command.args(options).arg(instance.data()));
        instance.start_again().await;
        Some(instance)
    }

    /// Starts a standby of this server, with settings of its own.
    pub(crate) async fn standby(&self, settings: &[&str]) -> Instance {
        let mut standby = Instance::empty(self.programs.clone(), settings);
        self.programs.run("pg_basebackup", &standby.dir, |command| {
            command.arg("-h").arg(&self.dir).arg("-D").arg(standby.data()).args([
                "-U",
                "postgres",
                "-c",
                "fast",
                "-X",
                "stream",
                "--no-sync",
                "-R",
            ])
        });
        standby.start_again().await;
        standby
    }

    fn empty(programs: Programs, settings: &[&str]) -> Instance {
        let made = Command::new("mktemp").args(["-d", "/tmp/evenkeel-instance.XXXXXX"]).output().unwrap();
        let dir = PathBuf::from(String::from_utf8(made.stdout).unwrap().trim());
        if let Some((user, group)) = programs.owner {
            let owner = format!("{user}:{group}");
            assert!(Command::new("chown").arg(owner).arg(&dir).status().unwrap().success());
        }
        let settings = SETTINGS.iter().chain(settings).map(ToString::to_string).collect();
        Instance { programs, dir, settings, child: None }
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Starts the server, and waits until it accepts connections.
    pub(crate) async fn start_again(&mut self) {
        let mut command = self.programs.command("postgres", &self.dir);
        command.arg("-D").arg(self.data());
        command.arg("-c").arg(format!("unix_socket_directories={}", self.dir.display()));
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(child.unwrap());
        let config = self.config();
        until("the server accepts connections", async || config.connect(NoTls).await.is_ok()).await;
    }

    /// Ends the server: `INT` closes all connections and writes everything down, `QUIT` is a crash.
    pub(crate) async fn stop(&mut self, signal: &str) {
        let mut child = self.child.take().expect("it runs");
        assert!(kill(signal, child.id()));
        until("the server has ended", || std::future::ready(child.try_wait().unwrap().is_some())).await;
    }

    /// Ends its part as a standby.
    pub(crate) async fn promote(&self) {
        let admin = self.admin().await;
        assert!(admin.fetch_scalar::<bool>("select pg_promote()", ()).await.unwrap());
    }

    pub(crate) async fn admin(&self) -> Database {
        Database::builder(self.config()).max(1).connect().await.unwrap()
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new();
        config.host_path(&self.dir).user("postgres").dbname("postgres");
        config
    }

    pub(crate) fn socket_dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill("INT", child.id());
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Programs {
    /// The programs of the server of the test.
    pub(crate) async fn of(admin: &Database) -> Option<Programs> {
        let bin: String =
            admin.fetch_scalar("select setting from pg_config where name = 'BINDIR'", ()).await.unwrap();
        // Libraries that were unpacked beside the programs are named by the environment alone.
        let environment: Result<Vec<u8>, _> =
            admin.fetch_scalar("select pg_read_binary_file('/proc/self/environ')", ()).await;
        let environment = String::from_utf8(environment.unwrap_or_default()).unwrap_or_default();
        let library_path = environment.split('\0').find_map(|entry| entry.strip_prefix("LD_LIBRARY_PATH="));
        Self::at(bin.into(), library_path.map(str::to_owned))
    }

    /// The programs in this folder; `None`, and a line that says so, if they do not run here.
    pub(crate) fn at(bin: PathBuf, library_path: Option<String>) -> Option<Programs> {
        let programs = Programs { bin, library_path, owner: is_root().then(owner) };
        let runs = programs.command("postgres", Path::new("/")).arg("--version").output();
        if !runs.as_ref().is_ok_and(|output| output.status.success()) {
            let bin = programs.bin.display();
            let _ =
                writeln!(std::io::stderr(), "SKIPPED: the programs of the server, in {bin}, do not run here");
            return None;
        }
        Some(programs)
    }

    pub(crate) fn command(&self, program: &str, dir: &Path) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(dir).env("LC_ALL", "C");
        if let Some(path) = &self.library_path {
            command.env("LD_LIBRARY_PATH", path);
        }
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        // The terminal's Ctrl-C is not meant for it.
        command.process_group(0);
        command
    }

    pub(crate) fn run(
        &self,
        program: &str,
        dir: &Path,
        arguments: impl FnOnce(&mut Command) -> &mut Command,
    ) {
        let mut command = self.command(program, dir);
        let Output { status, stderr, .. } = arguments(&mut command).output().unwrap();
        assert!(status.success(), "{program}: {}", String::from_utf8_lossy(&stderr));
    }
}

pub(crate) fn kill(signal: &str, pid: u32) -> bool {
    Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap().success()
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().ok()
}

fn is_root() -> bool {
    id(&["-u"]) == Some(0)
}

/// PostgreSQL refuses to run as root.
fn owner() -> (u32, u32) {
    let named = |name| Some((id(&["-u", name])?, id(&["-g", name])?));
    ["postgres", "nobody"].into_iter().find_map(named).expect("a user who is not root")
}
