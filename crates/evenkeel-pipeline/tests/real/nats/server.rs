//! Private servers, which tests may kill.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use evenkeel_testkit::net::unused_port;
use tokio::time::sleep;

use super::harness::ms;

/// A private server, which ends on drop.
pub(super) struct Server {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    child: Option<Child>,
    /// The arguments of a member of a cluster.
    arguments: Vec<String>,
}

impl Server {
    /// A server of the same program as the one at a URL; `None` if that does not run on this machine.
    pub(super) fn like(url: &str) -> Option<Self> {
        Some(Self::new(program(url)?, unused_port().unwrap()))
    }

    fn new(program: PathBuf, port: u16) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let dir = env::temp_dir().join(format!(
            "evenkeel-pipeline-{}-{}",
            process::id(),
            COUNT.fetch_add(1, Relaxed)
        ));
        // A process of the same number may have been killed.
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        Self { program, dir, port, child: None, arguments: Vec::new() }
    }

    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Sets what is in its configuration file.
    pub(super) fn configure(&mut self, text: &str) {
        let file = self.dir.join("conf");
        fs::write(&file, text).unwrap();
        self.arguments.extend(["-c".to_owned(), file.display().to_string()]);
    }

    /// Starts it, with the data that it had before.
    pub(super) async fn start(&mut self) {
        self.kill();
        let mut server = Command::new(&self.program);
        server.args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"]).arg(&self.dir);
        server.args(&self.arguments);
        let log = self.dir.join("log");
        server.current_dir(&self.dir).stdin(Stdio::null()).stdout(Stdio::null());
        server.stderr(fs::File::create(&log).unwrap());
        let child = self.child.insert(server.spawn().unwrap());
        // It says so itself: whoever takes connections at the port may be another one.
        let listens = format!("Listening for client connections on 127.0.0.1:{}", self.port);
        for _ in 0..6000 {
            let said = String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned();
            if said.contains(&listens) {
                return;
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server has ended: {status}: {said}");
            }
            sleep(ms(10)).await;
        }
        panic!("the server does not start: {}", fs::read_to_string(&log).unwrap());
    }

    /// Takes from a server that is away what it knew of the deliveries of a consumer, as a crash does: they are not written
    /// when they are sent, but ten times a second at most.
    pub(super) fn forget_deliveries(&self, stream: &str, consumer: &str) {
        let consumer = self.dir.join("jetstream/$G/streams").join(stream).join("obs").join(consumer);
        // It may not be there yet.
        let _ = fs::remove_file(consumer.join("o.dat"));
        assert!(consumer.join("meta.inf").exists(), "{}", consumer.display());
    }

    /// Ends it as a crash does: what is not on the disk is lost.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Three servers that keep each stream together.
pub(super) struct Cluster([Server; 3]);

impl Cluster {
    /// A cluster of the same program as the one at a URL; `None` if that does not run on this machine.
    pub(super) fn like(url: &str) -> Option<Self> {
        let program = program(url)?;
        let ports = || [(); 3].map(|()| unused_port().unwrap());
        let (ports, routes) = (ports(), ports());
        let all = routes.map(|route| format!("nats://127.0.0.1:{route}")).join(",");
        Some(Self([0, 1, 2].map(|index| {
            let mut server = Server::new(program.clone(), ports[index]);
            let cluster = format!("nats://127.0.0.1:{}", routes[index]);
            let name = format!("n{index}");
            server.arguments = ["-n", &name, "--cluster_name", "c", "--cluster", &cluster, "--routes", &all]
                .map(String::from)
                .into();
            server
        })))
    }

    pub(super) fn urls(&self) -> Vec<String> {
        self.0.iter().map(Server::url).collect()
    }

    pub(super) async fn start(&mut self) {
        for server in &mut self.0 {
            server.start().await;
        }
    }

    fn member(&mut self, name: &str) -> &mut Server {
        self.0.iter_mut().find(|server| server.arguments[1] == name).unwrap()
    }

    pub(super) fn kill(&mut self, name: &str) {
        self.member(name).kill();
    }

    pub(super) async fn start_again(&mut self, name: &str) {
        self.member(name).start().await;
    }
}

/// The program of the server that has told its URL in the file that its command line names.
fn program(url: &str) -> Option<PathBuf> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let line = fs::read(process.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line);
        let arguments: Vec<&str> = line.split('\0').collect();
        let dir = arguments.iter().skip_while(|argument| **argument != "--ports_file_dir").nth(1)?;
        let has_url = |file: fs::DirEntry| {
            let is_ports = file.path().extension().is_some_and(|extension| extension == "ports");
            is_ports && fs::read_to_string(file.path()).is_ok_and(|text| text.contains(&format!("\"{url}\"")))
        };
        fs::read_dir(dir).ok()?.flatten().any(has_url).then_some(())?;
        Some(Path::new(arguments.first()?).to_owned()).filter(|program| program.is_file())
    })
}
