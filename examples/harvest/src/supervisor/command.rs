//! The command line of a worker: that of the supervisor, without the flags that are the supervisor's own.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt, io,
    path::PathBuf,
};

use reqwest::Url;

use crate::store::{quoted, without_secrets};

/// The flags that are not for workers, and whether they have a value.
const OWN: [(&str, bool); 16] = [
    ("--workers", true),
    ("--restart", false),
    ("--kill", false),
    ("--page", true),
    ("--json", true),
    ("--report", true),
    ("--temporary-store", false),
    ("--strict", false),
    ("--url", true),
    ("--concurrency", true),
    ("--users", true),
    ("--page-size", true),
    ("--latency", true),
    ("--faults", true),
    ("--chaos", false),
    ("--seed", true),
];

/// How a worker is started.
#[derive(Clone, Debug)]
pub(crate) struct WorkerCommand {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
}

impl WorkerCommand {
    /// Returns the command for workers that read this API with so many calls in flight each.
    pub(crate) fn new(args: &[OsString], url: &str, concurrency: usize) -> io::Result<Self> {
        let mut args = for_workers(args);
        let concurrency = concurrency.to_string();
        args.extend(["--url", url, "--concurrency", &concurrency, "--stop-with-stdin"].map(OsString::from));
        Ok(Self { program: env::current_exe()?, args })
    }
}

/// The command as it is typed, without passwords, and without the flag that binds a worker to the supervisor.
impl fmt::Display for WorkerCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", quoted(&self.program.to_string_lossy()))?;
        let args = self.args.iter().filter(|arg| *arg != "--stop-with-stdin");
        args.map(|arg| open(&arg.to_string_lossy())).try_for_each(|arg| write!(f, " {}", quoted(&arg)))
    }
}

/// Returns an argument without the passwords of an address.
fn open(arg: &str) -> String {
    let address = arg.strip_prefix("postgres:").filter(|rest| rest.starts_with("postgres")).unwrap_or(arg);
    let shown = Url::parse(address).map_or_else(|_| address.to_owned(), |url| without_secrets(&url));
    format!("{}{shown}", &arg[..arg.len() - address.len()])
}

/// Returns the arguments without those of [`OWN`].
fn for_workers(args: &[OsString]) -> Vec<OsString> {
    let own = |arg: &OsStr| {
        let arg = arg.to_str()?;
        let (name, value) = arg.split_once('=').map_or((arg, None), |(name, value)| (name, Some(value)));
        let (_, has_value) = OWN.iter().find(|(own, _)| *own == name)?;
        Some(*has_value && value.is_none())
    };
    let mut rest = args.iter();
    let mut kept = Vec::new();
    while let Some(arg) = rest.next() {
        match own(arg) {
            None => kept.push(arg.clone()),
            Some(true) => _ = rest.next(),
            Some(false) => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(line: &str) -> String {
        let args: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        for_workers(&args).join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn workers_get_what_is_not_the_supervisors() {
        let shared =
            "--queue postgres:postgres://u@h/d?a=--kill --lease 2s --rate 400 --quota redis://h --grace 1s";
        assert_eq!(kept(shared), shared);
        let own =
            "--workers 4 --kill --restart --page 0 --json a.json --users 10 --faults none --temporary-store";
        assert_eq!(kept(&format!("{own} {shared} --seed 7")), shared);
        assert_eq!(
            kept("--workers=4 --queue nats://h --url=http://h/?a=b --store env"),
            "--queue nats://h --store env"
        );
        assert_eq!(kept("--workers"), "");
    }

    #[test]
    fn each_worker_reads_the_same_api_and_ends_with_the_supervisor() {
        let args = ["--workers".into(), "2".into(), "--queue".into(), "nats://h".into()];
        let WorkerCommand { args, .. } = WorkerCommand::new(&args, "http://h/", 30).unwrap();
        let line = args.join(" ".as_ref());
        assert_eq!(line, "--queue nats://h --url http://h/ --concurrency 30 --stop-with-stdin");
    }

    #[test]
    fn the_command_is_shown_without_passwords() {
        let args = [
            "--store",
            "postgres:postgres://u:secret@%2Ftmp%2Fa/d?password=secret",
            "--queue",
            "nats://u:secret@h",
        ];
        let args: Vec<_> = args.into_iter().map(OsString::from).collect();
        let mut command = WorkerCommand::new(&args, "http://h/a?b&c", 3).unwrap();
        command.program = "/a b/harvest".into();
        assert_eq!(
            command.to_string(),
            "'/a b/harvest' --store postgres:postgres://u@%2Ftmp%2Fa/d --queue nats://u@h --url 'http://h/a?b&c' \
             --concurrency 3"
        );
    }
}
