//! Output that cannot be printed does not stop a run.

#[cfg(target_os = "linux")]
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::workdir::{PROGRAM, Workdir, quiet, text};

/// A run of five seconds, which prints its progress every two seconds.
const FLAGS: &str = "--users 40 --page-size 7 --latency 250 --concurrency 4 --faults none";

/// Runs the program in a shell with this redirection, and returns the output, with the exit code at its end.
async fn in_a_shell(workdir: &Workdir, script: &str) -> String {
    let harvest =
        format!("{PROGRAM} {FLAGS} --store {} --json {}", workdir.store(), workdir.path("report.json"));
    let script = script.replace("HARVEST", &harvest);
    let output = quiet(Command::new("bash")).args(["-c", &script]).output().await.unwrap();
    text(&output)
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_reader_that_leaves_costs_nothing() {
    let runs = [
        "HARVEST 2>&1 | head -1; echo code ${PIPESTATUS[0]}",
        "HARVEST 2>&1 | true; echo code ${PIPESTATUS[0]}",
        "{ HARVEST 2>&1 >&3 | head -c 1; echo code ${PIPESTATUS[0]}; } 3>&1",
        "HARVEST 2>/dev/full; echo code $?",
        "HARVEST >/dev/full 2>/dev/full; echo code $?",
        "HARVEST 2>&-; echo code $?",
        "HARVEST >&- 2>&-; echo code $?",
    ]
    .map(|script| async move {
        let workdir = Workdir::new();
        let said = in_a_shell(&workdir, script).await;
        assert!(said.ends_with("code 0\n") && !said.contains("panicked"), "{script}: {said}");
        let report = workdir.report();
        assert_eq!((&report["users"], &report["ended"]), (&40.into(), &"complete".into()), "{script}");
        assert!(report["seconds"].as_f64().unwrap() > 4.0, "long enough for lines of progress: {report}");
        assert_eq!(workdir.number("SELECT count(*) FROM users").await, 40, "{script}");
    });
    futures::future::join_all(runs).await;
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_full_disk_behind_stdout_is_told() {
    let said = in_a_shell(&Workdir::new(), "HARVEST >/dev/full; echo code $?").await;
    assert!(said.contains("harvest: cannot write to stdout: No space left on device"), "{said}");
    assert!(said.starts_with("code 0\n"), "{said}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn other_ends_have_their_exit_codes_too() {
    for (flags, code) in [("--help", 0), ("--no-such-flag", 2), ("--users 1 --store sqlite:/missing/x.db", 2)]
    {
        for to in [">/dev/full 2>/dev/full", "2>&1 | true; exit ${PIPESTATUS[0]}", ">&- 2>&-"] {
            let script = format!("{PROGRAM} {flags} {to}");
            let output = quiet(Command::new("bash")).args(["-c", &script]).output().await.unwrap();
            assert_eq!(output.status.code(), Some(code), "{script}: {}", text(&output));
        }
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_report_on_stdout_is_alone_there() {
    for (flag, begin) in [("--json", "{"), ("--report", "<!doctype html>")] {
        let mut command = quiet(Command::new(PROGRAM));
        command.args(["--users", "2", "--latency", "1", "--faults", "none", "--store", "sqlite::memory:"]);
        let output = command.args([flag, "-"]).output().await.unwrap();
        let (report, told) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(report.to_lowercase().starts_with(begin), "{flag}: {report}");
        if flag == "--json" {
            assert_eq!(serde_json::from_str::<serde_json::Value>(&report).unwrap()["users"], 2);
        }
        assert!(told.contains("storing in") && told.contains("│ users "), "{flag}: {told}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "real tier"]
async fn a_file_that_may_not_grow_is_told() {
    let workdir = Workdir::new();
    let flags = "--users 2000 --page-size 500 --latency 1 --faults none --concurrency 50";
    let script = format!("ulimit -f 256; exec {PROGRAM} {flags} --store {}", workdir.store());
    let output = quiet(Command::new("bash")).args(["-c", &script]).output().await.unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("harvest: cannot store a ") && said.contains("bytes (ulimit -f)"), "{said}");
    assert!(said.contains("│ users "), "there is a report: {said}");
}

/// On a terminal the bars fill their lines: a `^C` of its echo would begin another one, and leave a stale line behind.
#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "real tier"]
async fn an_interrupt_leaves_no_stale_line_on_a_terminal() {
    let harvest = format!("{PROGRAM} --users 5000 --latency 1000 --faults none --store sqlite::memory:");
    // It makes a terminal, and sends what it reads as if it were typed.
    let mut command = quiet(Command::new("script"));
    command.args(["--quiet", "--flush", "--return", "--command", &harvest, "/dev/null"]).env("TERM", "xterm");
    let Ok(mut script) = command.stdin(std::process::Stdio::piped()).spawn() else {
        println!("SKIPPED: there is no program `script`, which has terminals");
        return;
    };
    let (mut keys, mut screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let (mut shown, mut typed) = (Vec::new(), false);
    let mut buffer = vec![0; 4096];
    loop {
        // The end of a terminal is an error for its reader.
        let read = screen.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            break;
        }
        shown.extend_from_slice(&buffer[..read]);
        if !typed && String::from_utf8_lossy(&shown).contains("calls in flight") {
            keys.write_all(b"\x03").await.unwrap();
            typed = true;
        }
    }
    let shown = String::from_utf8_lossy(&shown);
    assert!(typed && !shown.contains("^C"), "{shown}");
    assert!(shown.contains("│ to go on "), "{shown}");
}
