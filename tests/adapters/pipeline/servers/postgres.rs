//! Clusters of PostgreSQL.

use std::{
    fs, io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Mutex,
    time::Duration,
};

use evenkeel::postgres::{Database, Error, tokio_postgres::Config};
use evenkeel_testkit::net::unused_port;

use super::process::{Restart, Signal};

/// The settings of all of them. A commit reaches the log before it is acknowledged, so that a crash of the server loses none.
const SETTINGS: [&str; 8] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    "jit=off",
    "max_connections=400",
    "shared_buffers=16MB",
    "autovacuum_naptime=5",
];

/// The programs of a server, and the user that runs them.
#[derive(Clone)]
struct Programs {
    bin: PathBuf,
    library_path: Option<String>,
    owner: Option<(u32, u32)>,
}

pub(crate) struct Cluster {
    programs: Programs,
    dir: PathBuf,
    port: u16,
    child: Mutex<Option<Child>>,
}

impl Cluster {
    /// Starts a new cluster with the programs of the server at a URL.
    pub(crate) async fn like(url: &str) -> Result<Self, String> {
        let programs = Programs::of(url).await.map_err(|error| error.to_string())?;
        let started = Self::empty(programs).and_then(|cluster| {
            let mut initdb = cluster.programs.command("initdb", &cluster.dir);
            initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]);
            run(initdb.arg(cluster.data()))?;
            let mut copy = cluster.programs.plain("cp", &cluster.dir);
            run(copy.arg("-a").arg(cluster.data()).arg(cluster.dir.join("template")))?;
            cluster.open()
        });
        started.map_err(|error| error.to_string())
    }

    /// Starts another cluster, which is new.
    pub(crate) fn another(&self) -> io::Result<Self> {
        let cluster = Self::empty(self.programs.clone())?;
        let mut copy = cluster.programs.plain("cp", &cluster.dir);
        run(copy.arg("-a").arg(self.dir.join("template")).arg(cluster.data()))?;
        cluster.open()
    }

    fn empty(programs: Programs) -> io::Result<Self> {
        let made = Command::new("mktemp").args(["-d", "/tmp/evenkeel-conformance.XXXXXX"]).output()?;
        let dir = PathBuf::from(String::from_utf8_lossy(&made.stdout).trim());
        if let Some((user, group)) = programs.owner {
            run(Command::new("chown").arg(format!("{user}:{group}")).arg(&dir))?;
        }
        Ok(Self { programs, dir, port: unused_port()?, child: Mutex::default() })
    }

    fn open(self) -> io::Result<Self> {
        self.start()?;
        // The last line of the server's own file, once it accepts connections.
        let pid_file = self.data().join("postmaster.pid");
        while !fs::read_to_string(&pid_file).is_ok_and(|text| text.trim_end().ends_with("ready")) {
            if self.running().as_mut().is_none_or(|child| child.try_wait().is_ok_and(|end| end.is_some())) {
                return Err(io::Error::other("PostgreSQL does not start"));
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok(self)
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// The settings of a connection to a port.
pub(crate) fn config(port: u16) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user("postgres").dbname("postgres");
    config
}

impl Restart for Cluster {
    fn command(&self) -> Command {
        let mut command = self.programs.command("postgres", &self.dir);
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command
    }

    fn child(&self) -> &Mutex<Option<Child>> {
        &self.child
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop(Signal::Quit);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Programs {
    /// The programs of a server.
    async fn of(url: &str) -> Result<Self, Error> {
        let db = Database::connect(url).await?;
        let bin: String = db.fetch_scalar("select setting from pg_config where name = 'BINDIR'", ()).await?;
        // Libraries that were unpacked beside the programs are named by the environment alone.
        let environment: Result<Vec<u8>, _> =
            db.fetch_scalar("select pg_read_binary_file('/proc/self/environ')", ()).await;
        let environment = String::from_utf8_lossy(&environment.unwrap_or_default()).into_owned();
        let library_path = environment.split('\0').find_map(|entry| entry.strip_prefix("LD_LIBRARY_PATH="));
        let owner = if id(&["-u"]) == Some(0) { owner() } else { None };
        Ok(Self { bin: bin.into(), library_path: library_path.map(str::to_owned), owner })
    }

    fn command(&self, program: &str, dir: &Path) -> Command {
        self.plain(&self.bin.join(program).display().to_string(), dir)
    }

    fn plain(&self, program: &str, dir: &Path) -> Command {
        let mut command = Command::new(program);
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
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))))
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// PostgreSQL refuses to run as root.
fn owner() -> Option<(u32, u32)> {
    let named = |name| Some((id(&["-u", name])?, id(&["-g", name])?));
    ["postgres", "nobody"].into_iter().find_map(named)
}
