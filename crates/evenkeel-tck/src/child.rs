//! Rules in a process of their own, for implementations that may abort it, hang or spin.
//!
//! The parent calls [`Suite::run_with_children`](crate::Suite::run_with_children), the child [`report`]s the verdict of
//! [`Rule::check`](crate::Rule::check). Other output of the child is ignored.
//!
//! An implementation whose dependencies shall not be those of the parent has a program of its own, which [`report_all`]s the
//! verdicts of a whole suite to [`run_all`].

use std::{
    io::{self, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::{Finding, Pattern, Report, Suite, Verdict};

/// How long a child may take: far more than any rule needs.
pub const LIMIT: Duration = Duration::from_secs(2);

/// Begins the line of the verdict.
const MARK: &str = "evenkeel-tck: ";

/// Runs a program that [`report`]s a verdict. Returns that verdict, or one that says how the program ended without it.
///
/// # Examples
/// ```no_run
/// use evenkeel_tck::child;
/// use std::process::Command;
///
/// let mut command = Command::new(std::env::current_exe()?);
/// command.args(["child", "RETRY-08"]);
/// println!("{}", child::run(command, child::LIMIT));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn run(mut command: Command, limit: Duration) -> Verdict {
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    match started.and_then(|child| wait(child, |child| child.stdout.take(), limit)) {
        Ok(Ended::Told(output, status)) => {
            let verdict = output.lines().find_map(|line| decode(line.strip_prefix(MARK)?));
            verdict.unwrap_or_else(|| Verdict::Crashed(how_it_ended(status)))
        }
        Ok(Ended::Hangs) => Verdict::Hung(limit),
        Err(error) => Verdict::Untested(format!("no child process: {error}")),
    }
}

/// Runs a program that [`report_all`]s the verdicts on an implementation. A rule of which it tells nothing is not in the
/// report.
///
/// # Errors
/// If the program cannot be started, does not end within the limit, or fails; its errors go to those of this process.
///
/// # Examples
/// ```no_run
/// use evenkeel_tck::{child, pipeline};
/// use std::{process::Command, time::Duration};
///
/// let report = child::run_all(&pipeline::SUITE, Command::new("peer"), Duration::from_secs(600))?;
/// println!("{report}");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn run_all<S: Pattern>(suite: &Suite<S>, mut command: Command, limit: Duration) -> io::Result<Report> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let Ended::Told(output, status) = wait(child, |child| child.stdout.take(), limit)? else {
        return Err(io::Error::other(format!("it is still running after {limit:?}")));
    };
    if !status.success() {
        return Err(io::Error::other(how_it_ended(status)));
    }
    let told = |id: &str| {
        output.lines().find_map(|line| decode(line.strip_prefix(MARK)?.strip_prefix(id)?.strip_prefix('\t')?))
    };
    let finding = |rule: &crate::Rule<S>| Some(Finding::new(rule, told(rule.id)?));
    Ok(Report { findings: suite.rules().filter_map(finding).collect() })
}

/// Runs a program, and returns what it wrote to its standard error and how it ended; `None` if it did not.
pub(crate) fn errors_of(mut command: Command, limit: Duration) -> io::Result<Option<(String, ExitStatus)>> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    match wait(child, |child| child.stderr.take(), limit)? {
        Ended::Told(errors, status) => Ok(Some((errors, status))),
        Ended::Hangs => Ok(None),
    }
}

/// The end of a child.
enum Ended {
    Told(String, ExitStatus),
    Hangs,
}

/// Waits for a child, and reads this pipe of it.
fn wait<P: Read + Send + 'static>(
    mut child: Child,
    pipe: impl FnOnce(&mut Child) -> Option<P>,
    limit: Duration,
) -> io::Result<Ended> {
    let (done, output) = mpsc::channel();
    if let Some(mut pipe) = pipe(&mut child) {
        // Ends with the child, whose death closes the pipe.
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = pipe.read_to_end(&mut bytes);
            let _ = done.send(read.map(|_| String::from_utf8_lossy(&bytes).into_owned()));
        });
    }
    let Ok(output) = output.recv_timeout(limit) else {
        child.kill()?;
        child.wait()?;
        return Ok(Ended::Hangs);
    };
    let status = child.wait()?;
    Ok(Ended::Told(output?, status))
}

#[cfg(unix)]
pub(crate) fn how_it_ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(signal) => format!("ended by signal {signal}"),
        None => format!("ended without a verdict: {status}"),
    }
}

#[cfg(not(unix))]
pub(crate) fn how_it_ended(status: ExitStatus) -> String {
    format!("ended without a verdict: {status}")
}

/// Sends the verdict on a rule to the parent process.
///
/// # Errors
/// If the standard output is closed.
///
/// # Examples
/// ```
/// use evenkeel_tck::{Verdict, child};
///
/// child::report(&Verdict::Pass)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn report(verdict: &Verdict) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    // On a line of its own, whatever was printed before.
    writeln!(stdout, "\n{MARK}{}", encode(verdict))?;
    stdout.flush()
}

/// Sends the verdicts of a report to the parent process, which calls [`run_all`].
///
/// # Errors
/// If the standard output is closed.
///
/// # Examples
/// ```no_run
/// use evenkeel_tck::{Adapter, child, pipeline};
///
/// fn main_of_a_peer(peer: &(dyn Adapter<pipeline::Settings> + 'static)) -> std::io::Result<()> {
///     child::report_all(&pipeline::run_in_real_time(peer, 10, |_| 3))
/// }
/// ```
pub fn report_all(report: &Report) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for Finding { id, verdict, .. } in &report.findings {
        writeln!(stdout, "\n{MARK}{id}\t{}", encode(verdict))?;
    }
    stdout.flush()
}

/// One line: the kind, and its parts, with tabs between them.
fn encode(verdict: &Verdict) -> String {
    let parts: Vec<String> = match verdict {
        Verdict::Pass => Vec::new(),
        Verdict::Fail { expected, got, timeline } => {
            [expected, got].into_iter().chain(timeline).cloned().collect()
        }
        Verdict::NotExpressible(why)
        | Verdict::Unsupported(why)
        | Verdict::Untested(why)
        | Verdict::Crashed(why)
        | Verdict::BadAdapter(why) => vec![why.clone()],
        Verdict::Nondeterministic { passed, of } => vec![passed.to_string(), of.to_string()],
        Verdict::Hung(limit) => vec![limit.as_millis().to_string()],
    };
    let escaped = |part: String| part.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t");
    [verdict.name().to_owned()]
        .into_iter()
        .chain(parts.into_iter().map(escaped))
        .collect::<Vec<_>>()
        .join("\t")
}

fn decode(line: &str) -> Option<Verdict> {
    let mut parts = line.split('\t').map(unescaped);
    let kind = parts.next()?;
    Some(match kind.as_str() {
        "pass" => Verdict::Pass,
        "fail" => Verdict::Fail { expected: parts.next()?, got: parts.next()?, timeline: parts.collect() },
        "not expressible" => Verdict::NotExpressible(parts.next()?),
        "unsupported" => Verdict::Unsupported(parts.next()?),
        "untested" => Verdict::Untested(parts.next()?),
        "crashed" => Verdict::Crashed(parts.next()?),
        "bad adapter" => Verdict::BadAdapter(parts.next()?),
        "nondeterministic" => {
            Verdict::Nondeterministic { passed: parts.next()?.parse().ok()?, of: parts.next()?.parse().ok()? }
        }
        "hung" => Verdict::Hung(Duration::from_millis(parts.next()?.parse().ok()?)),
        _ => return None,
    })
}

fn unescaped(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    let mut characters = part.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                other => other.unwrap_or('\\'),
            },
            plain => plain,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{decode, encode};
    use crate::Verdict;

    #[test]
    fn every_verdict_survives_the_pipe() {
        let text = || "a\\n\t\"b\"\nc\\".to_owned();
        for verdict in [
            Verdict::Pass,
            Verdict::Fail { expected: text(), got: String::new(), timeline: vec![text(), text()] },
            Verdict::NotExpressible(text()),
            Verdict::Unsupported(text()),
            Verdict::Untested(text()),
            Verdict::Nondeterministic { passed: 2, of: 3 },
            Verdict::Crashed(text()),
            Verdict::BadAdapter(text()),
            Verdict::Hung(Duration::from_millis(1500)),
        ] {
            let line = encode(&verdict);
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(decode(&line), Some(verdict));
        }
        assert_eq!(decode("sunny"), None);
    }
}
