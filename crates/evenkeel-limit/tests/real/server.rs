//! Private servers, which tests may kill and pause.

use std::{
    env, fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use redis::{Client, Value, cmd};
use tokio::time::sleep;

/// A private server, which ends on drop.
pub(crate) struct Server {
    program: PathBuf,
    settings: Vec<String>,
    dir: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// `None` without the program of a server.
    pub(crate) async fn start(url: &str, settings: &[&str]) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("evenkeel-limit-{}-{}", process::id(), COUNT.fetch_add(1, Relaxed));
        let program = program(url).await?;
        let dir = env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let mut server = Self { program, settings, dir, child: None };
        server.restart().await;
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// The URL for another user, with one of the protocols.
    pub(crate) fn url_of(&self, user: &str, password: &str, protocol: &str) -> String {
        format!("{}?user={user}&pass={password}&protocol={protocol}", self.url())
    }

    /// Sends an administrator's command, on a connection of its own.
    pub(crate) async fn admin(&self, command: &str) -> Value {
        let (name, arguments) = command.split_once(' ').unwrap_or((command, ""));
        let mut command = cmd(name);
        command.arg(arguments.split(' ').collect::<Vec<_>>());
        let client = Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        command.query_async(&mut connection).await.unwrap()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    pub(crate) async fn restart(&mut self) {
        self.kill();
        let mut server = Command::new(&self.program);
        server.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(self.socket());
        server.args(&self.settings);
        server.current_dir(&self.dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Ok(libraries) = env::join_paths(libraries(&self.program)) {
            server.env("LD_LIBRARY_PATH", libraries);
        }
        self.child = Some(server.spawn().unwrap());
        for _ in 0..500 {
            if UnixStream::connect(self.socket()).is_ok() {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("the server does not start");
    }

    /// Kills the server, with all its state.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops the process: the server accepts connections and answers nothing.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id();
        let kill = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status();
        assert!(kill.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // A directory that cannot be removed is left in the temporary files.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The program of the server at this URL, by its own answer, if it runs here.
async fn program(url: &str) -> Option<PathBuf> {
    let mut connection = Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let info: String = cmd("INFO").arg("server").query_async(&mut connection).await.unwrap();
    let program = PathBuf::from(info.lines().find_map(|line| line.strip_prefix("executable:"))?.trim());
    program.is_file().then_some(program)
}

/// The directory of the libraries that were unpacked together with a program.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let below = |root: &Path| fs::read_dir(root.join("lib")).into_iter().flatten().flatten();
    let roots = program.ancestors().skip(2).take(2);
    let is_of_this_machine = |path: &PathBuf| path.to_string_lossy().contains("-linux-");
    roots.flat_map(below).map(|entry| entry.path()).filter(is_of_this_machine).collect()
}
