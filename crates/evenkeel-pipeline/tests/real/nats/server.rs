//! Private servers, which tests may kill.

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use tokio::time::sleep;

use super::harness::ms;

/// A private server, which ends on drop.
pub(super) struct Server {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// A server of the same program as the one at a URL; `None` if that does not run on this machine.
    pub(super) fn like(url: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let program = program(url)?;
        let dir = env::temp_dir().join(format!(
            "evenkeel-pipeline-{}-{}",
            process::id(),
            COUNT.fetch_add(1, Relaxed)
        ));
        fs::create_dir(&dir).unwrap();
        // Free now, and of this server from its first start on.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Some(Self { program, dir, port, child: None })
    }

    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it, with the data that it had before.
    pub(super) async fn start(&mut self) {
        self.kill();
        let mut server = Command::new(&self.program);
        server.args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"]).arg(&self.dir);
        server.current_dir(&self.dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(server.spawn().unwrap());
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            sleep(ms(10)).await;
        }
        panic!("the server does not start");
    }

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
