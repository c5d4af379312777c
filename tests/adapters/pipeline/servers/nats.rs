//! NATS servers.

use std::{
    fs, io,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{self, Child, Command},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_testkit::net::unused_port;

use super::process::{Restart, Signal};

pub(crate) struct Nats {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    child: Mutex<Option<Child>>,
}

impl Nats {
    /// Starts a server of the same program as the one at a URL.
    pub(crate) fn like(url: &str) -> io::Result<Self> {
        let none = || io::Error::other("the program of the NATS server cannot be found here");
        Self::of(program(url).ok_or_else(none)?)
    }

    /// Starts another server of the same program.
    pub(crate) fn another(&self) -> io::Result<Self> {
        Self::of(self.program.clone())
    }

    fn of(program: PathBuf) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("evenkeel-conformance-{}-{}", process::id(), COUNT.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir)?;
        let port = unused_port()?;
        let server = Self { program, dir, port, child: Mutex::default() };
        server.start()?;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if server.running().as_mut().is_none_or(|child| child.try_wait().is_ok_and(|end| end.is_some())) {
                return Err(io::Error::other("the NATS server does not start"));
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Restart for Nats {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"]).arg(&self.dir);
        command.current_dir(&self.dir);
        command
    }

    fn child(&self) -> &Mutex<Option<Child>> {
        &self.child
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.stop(Signal::Kill);
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
