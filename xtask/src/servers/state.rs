//! The servers that run: `target/servers/state` has one line for each.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Server, process};

/// The running servers, locked against other calls until this is dropped.
pub(super) struct State {
    /// The folder for all that has to do with servers.
    pub(super) home: PathBuf,
    records: Vec<Record>,
    _lock: File,
}

/// A running server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) server: Server,
    pub(super) pid: u32,
    pub(super) url: String,
    /// Its data, socket and log.
    pub(super) dir: PathBuf,
}

impl State {
    /// Forgets the servers that have ended meanwhile, and removes their folders.
    pub(super) fn open(root: &Path) -> io::Result<State> {
        let home = root.join("target/servers");
        fs::create_dir_all(&home)?;
        let lock = File::create(home.join("lock"))?;
        lock.lock()?;
        let text = match fs::read_to_string(home.join("state")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let (records, ended): (Vec<Record>, Vec<Record>) =
            text.lines().filter_map(Record::parse).partition(Record::runs);
        ended.iter().for_each(|record| remove_dir(&record.dir));
        let state = State { home, records, _lock: lock };
        state.save()?;
        Ok(state)
    }

    pub(super) fn get(&self, server: Server) -> Option<&Record> {
        self.records.iter().find(|record| record.server == server)
    }

    pub(super) fn add(&mut self, record: Record) -> io::Result<()> {
        self.records.push(record);
        self.save()
    }

    /// A server that does not end, because it is another user's, stays on record.
    pub(super) fn end(&mut self, server: Server) {
        // PostgreSQL waits for its clients on a plain SIGTERM.
        let signal = if server.program() == "postgres" { "INT" } else { "TERM" };
        self.records.retain(|record| {
            let ended = record.server == server && process::end(record.pid, server.program(), signal);
            if ended {
                remove_dir(&record.dir);
            }
            !ended
        });
        // A failed write is noticed by the next call: the process is gone.
        let _ = self.save();
    }

    fn save(&self) -> io::Result<()> {
        fs::write(self.home.join("state"), self.records.iter().map(Record::line).collect::<String>())
    }
}

impl Record {
    fn line(&self) -> String {
        format!("{}\t{}\t{}\t{}\n", self.server.name(), self.pid, self.url, self.dir.display())
    }

    fn parse(line: &str) -> Option<Record> {
        let mut fields = line.split('\t');
        let server = fields.next()?.parse().ok()?;
        let pid = fields.next()?.parse().ok()?;
        Some(Record { server, pid, url: fields.next()?.to_owned(), dir: fields.next()?.into() })
    }

    fn runs(&self) -> bool {
        process::runs(self.pid, self.server.program())
    }
}

/// A new folder that only its owner can enter, with a path short enough for sockets in it.
pub(super) fn fresh_dir(server: Server) -> Result<PathBuf, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    let temporary = std::env::temp_dir();
    let fits = temporary.to_str().is_some_and(|path| path.len() <= 60 && path.chars().all(plain));
    let parent = if fits { temporary } else { "/tmp".into() };
    let template = parent.join(format!("evenkeel-{}.XXXXXX", server.name()));
    process::read(Command::new("mktemp").arg("-d").arg(template)).map(|path| path.trim_end().into())
}

/// Removes a folder of [`fresh_dir`], never another one, whatever the state file says.
pub(super) fn remove_dir(dir: &Path) {
    if dir.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("evenkeel-")) {
        // It may be gone already, with the machine's temporary files.
        let _ = fs::remove_dir_all(dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(pid: u32, dir: &Path) -> Record {
        Record { server: Server::Nats, pid, url: "nats://127.0.0.1:1".to_owned(), dir: dir.to_owned() }
    }

    #[test]
    fn a_record_reads_back() {
        let record = record(7, Path::new("/x y/evenkeel-nats.1"));
        assert_eq!(Record::parse(record.line().trim_end()), Some(record));
        assert_eq!(Record::parse("nats\tseven\turl\tdir"), None);
        assert_eq!(Record::parse(""), None);
    }

    #[test]
    fn a_server_that_has_ended_is_forgotten_and_its_folder_removed() {
        let root = fresh_dir(Server::Redis).unwrap();
        let data = root.join("evenkeel-nats.1");
        fs::create_dir_all(&data).unwrap();
        // This process runs, but as another program.
        State::open(&root).unwrap().add(record(std::process::id(), &data)).unwrap();
        assert!(State::open(&root).unwrap().get(Server::Nats).is_none());
        assert!(!data.exists());
        remove_dir(&root);
    }

    #[test]
    fn only_our_own_folders_are_removed() {
        let root = fresh_dir(Server::Redis).unwrap();
        let foreign = root.join("data");
        fs::create_dir(&foreign).unwrap();
        remove_dir(&foreign);
        assert!(foreign.exists());
        remove_dir(&root);
        assert!(!root.exists());
    }
}
