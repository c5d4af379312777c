//! Starting, finding and ending processes.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

const START: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(10);

/// Runs a program to its end and returns its output, or the last lines of its errors.
pub(super) fn read(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{program}: {}: {}", output.status, tail(&String::from_utf8_lossy(&output.stderr))))
}

/// Starts a server that outlives this process, and waits until `ready` returns its URL.
pub(super) fn start(
    command: &mut Command,
    dir: &Path,
    mut ready: impl FnMut() -> Option<String>,
) -> Result<(u32, String), String> {
    let log = dir.join("log");
    let output = File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
    let (stdout, stderr) = output.map_err(|error| format!("{}: {error}", log.display()))?;
    system::detach(command);
    let child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    let answer = wait(START, || match child.try_wait() {
        Ok(None) => ready().map(Ok),
        Ok(Some(status)) => Some(Err(status.to_string())),
        Err(error) => Some(Err(error.to_string())),
    });
    let failure = match answer {
        Some(Ok(url)) => return Ok((child.id(), url)),
        Some(Err(failure)) => failure,
        None => format!("not ready after {START:?}"),
    };
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
    Err(format!("{failure}: {}", tail(&fs::read_to_string(&log).unwrap_or_default())))
}

/// Returns whether this very program still runs under that id, as ids are used again.
pub(super) fn runs(pid: u32, program: &str) -> bool {
    if Path::new("/proc/self/cmdline").exists() {
        // Empty for a process that has ended and was not waited for.
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        return String::from_utf8_lossy(&line).contains(program);
    }
    let line = read(Command::new("ps").args(["-o", "stat=,command=", "-p", &pid.to_string()]));
    line.is_ok_and(|line| !line.starts_with('Z') && line.contains(program))
}

/// Asks the process to end, and kills it if that takes too long; returns whether it is gone.
pub(super) fn end(pid: u32, program: &str, signal: &str) -> bool {
    let gone = || (!runs(pid, program)).then_some(());
    [signal, "KILL"].into_iter().any(|signal| {
        let kill = format!("kill -s {signal} {pid}");
        gone()
            .or_else(|| {
                read(Command::new("sh").args(["-c", &kill])).ok()?;
                wait(END, gone)
            })
            .is_some()
    })
}

fn wait<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let pause = Duration::from_millis(20);
    for _ in 0..limit.as_millis() / pause.as_millis() {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        thread::sleep(pause);
    }
    None
}

/// The last lines, joined to one.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join("; ")
}

pub(super) use system::{connects, run_as};

#[cfg(unix)]
mod system {
    use std::{
        os::unix::{net::UnixStream, process::CommandExt},
        path::Path,
        process::Command,
    };

    /// A group of its own: the terminal's Ctrl-C is not meant for it.
    pub(super) fn detach(command: &mut Command) {
        command.process_group(0);
    }

    pub(in crate::servers) fn run_as(command: &mut Command, user: u32, group: u32) {
        command.uid(user).gid(group);
    }

    pub(in crate::servers) fn connects(socket: &Path) -> bool {
        UnixStream::connect(socket).is_ok()
    }
}

/// Elsewhere servers are named by environment variables only.
#[cfg(not(unix))]
mod system {
    use std::{path::Path, process::Command};

    pub(super) fn detach(_: &mut Command) {}

    pub(in crate::servers) fn run_as(_: &mut Command, _: u32, _: u32) {}

    pub(in crate::servers) fn connects(_: &Path) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::{Server, state};

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_ends_with_what_the_program_said() {
        assert_eq!(read(&mut shell("echo yes")), Ok("yes\n".to_owned()));
        let error = read(&mut shell("echo no >&2; exit 3")).unwrap_err();
        assert!(error.starts_with("sh: ") && error.contains('3') && error.ends_with(": no"), "{error}");
    }

    #[test]
    fn a_server_is_started_known_by_its_program_and_ended() {
        let dir = state::fresh_dir(Server::Nats).unwrap();
        let ready = dir.join("ready");
        let script = format!("touch {}; while :; do sleep 0.01; done", ready.display());
        let (pid, url) =
            start(&mut shell(&script), &dir, || ready.exists().then(|| "url".to_owned())).unwrap();
        assert_eq!(url, "url");
        assert!(runs(pid, "sh"));
        assert!(!runs(pid, "nats-server"));
        assert!(end(pid, "sh", "TERM"));
        assert!(!runs(pid, "sh"));
        state::remove_dir(&dir);
    }

    #[test]
    fn a_server_that_ends_at_once_says_why() {
        let dir = state::fresh_dir(Server::Nats).unwrap();
        let error = start(&mut shell("echo port taken; exit 1"), &dir, || None).unwrap_err();
        assert!(error.ends_with("1: port taken"), "{error}");
        state::remove_dir(&dir);
    }
}
