//! Invalid input is reported in one line, with exit code 2.

use std::fs;
#[cfg(target_os = "linux")]
use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

use tokio::process::Command;

use crate::{
    server::{Answer, Server, answer},
    workdir::{PROGRAM, Workdir, quiet},
};

/// Runs the program, and returns its one line on stderr.
async fn refused(command: &mut Command) -> String {
    let output = command.output().await.unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    // Stdout may have the location of the store.
    assert!(output.stdout.is_empty() || output.stdout.starts_with(b"storing in "), "{line}");
    line
}

async fn refused_first_page(first: Answer) -> String {
    let workdir = Workdir::new();
    let server = Server::start(move |_| {
        let first = first.clone();
        async move { first }
    });
    let server = server.await;
    let line = refused(&mut workdir.harvest(&format!("--url {}", server.base))).await;
    assert!(line.contains("/users.json: "), "{line}");
    line
}

#[tokio::test]
#[ignore = "real tier"]
async fn nobody_listens() {
    let gone = Server::start(async |_| answer(200, "text/plain", "")).await.base.clone();
    let line = refused(&mut Workdir::new().harvest(&format!("--url {gone}"))).await;
    assert!(line.contains("no connection: Connection refused"), "{line}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_first_page_is_no_page() {
    let html = refused_first_page(answer(200, "text/html", "<html>")).await;
    assert!(html.contains("the content type is text/html, not JSON"), "{html}");
    let missing = refused_first_page(answer(404, "application/json", "{}")).await;
    assert!(missing.contains("404 Not Found"), "{missing}");
    let cut_off = refused_first_page(answer(200, "application/json", r#"{"items": ["#)).await;
    assert!(cut_off.contains("not valid JSON"), "{cut_off}");
    let other = refused_first_page(answer(200, "application/json", r#"{"users": []}"#)).await;
    assert!(other.contains("it has no `items`"), "{other}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_store_cannot_be_one() {
    let workdir = Workdir::new();
    fs::write(workdir.path("notes.txt"), "this is no database ".repeat(100)).unwrap();
    for (store, reason) in [
        (workdir.path("missing/store.db"), "No such file or directory"),
        (workdir.path(""), "Is a directory"),
        (workdir.path("notes.txt"), "file is not a database"),
    ] {
        let flag = format!("sqlite:{store}");
        let line = refused(quiet(Command::new(PROGRAM)).args(["--users", "1", "--store", &flag])).await;
        assert!(line.contains(&store) && line.contains(reason), "{line}");
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_store_is_no_database_that_can_be_reached() {
    let workdir = Workdir::new();
    let missing = format!("postgres://u:secret@{}/d", workdir.path("missing").replace('/', "%2F"));
    for (store, reason) in [(&*missing, "no connection to"), ("postgres://h:x/d", "invalid port")] {
        let line = refused(quiet(Command::new(PROGRAM)).args(["--users", "1", "--store", store])).await;
        assert!(line.contains(reason) && !line.contains("secret"), "{line}");
        let line = refused(&mut asked_of_the_environment(Some(store))).await;
        assert!(line.contains(reason) && !line.contains("secret"), "{line}");
    }
}

fn asked_of_the_environment(value: Option<&str>) -> Command {
    let mut command = quiet(Command::new(PROGRAM));
    command.args(["--users", "1", "--store", "env"]).envs(value.map(|value| ("DATABASE_URL", value)));
    command
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_variable_names_no_postgres_database() {
    for value in ["mysql://h/d", "sqlite:x.db", "", "localhost"] {
        let line = refused(&mut asked_of_the_environment(Some(value))).await;
        assert!(line.contains("DATABASE_URL: it is no address of a PostgreSQL database"), "{line}");
    }
    let line = refused(&mut asked_of_the_environment(None)).await;
    assert!(line.contains("DATABASE_URL is not set"), "{line}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_store_is_read_only() {
    let workdir = Workdir::new();
    workdir.run("--users 1 --latency 1 --faults none", 0).await;
    let store = format!("sqlite:file:{}?mode=ro", workdir.path("store.db"));
    let line = refused(quiet(Command::new(PROGRAM)).args(["--users", "1", "--store", &store])).await;
    assert!(line.contains("cannot use the store") && line.contains("the file is read-only"), "{line}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "real tier"]
async fn the_directory_of_the_store_is_read_only() {
    let workdir = Workdir::new();
    workdir.run("--users 1 --latency 1 --faults none", 0).await;
    fs::set_permissions(workdir.path("store.db"), Permissions::from_mode(0o666)).unwrap();
    // Another user may have no access to the directory of the program. A process of its own makes the copy: a child that
    // another test starts meanwhile would inherit our open file, which then could not be executed (ETXTBSY).
    assert!(Command::new("cp").args([PROGRAM, &workdir.path("harvest")]).status().await.unwrap().success());
    fs::set_permissions(workdir.path(""), Permissions::from_mode(0o555)).unwrap();
    for (store, reason) in [
        ("store.db", "its directory and the files beside it have to be writable, too"),
        ("other.db", "Permission denied"),
    ] {
        let flag = format!("sqlite:{}", workdir.path(store));
        let mut command = quiet(Command::new(workdir.path("harvest")));
        command.args(["--users", "1", "--store", &flag]);
        // Root can write everywhere.
        if fs::File::create(workdir.path("probe")).is_ok() {
            command.uid(65_534);
        }
        let line = refused(&mut command).await;
        assert!(line.contains(reason), "{line}");
    }
    fs::set_permissions(workdir.path(""), Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
#[ignore = "real tier"]
async fn the_report_cannot_be_written() {
    for flag in ["--json", "--report"] {
        let workdir = Workdir::new();
        let path = workdir.path("missing/report");
        let line = refused(quiet(Command::new(PROGRAM)).args(["--users", "1", flag, &path])).await;
        assert!(
            line.contains(&format!("{flag}: there is no folder `{}`", workdir.path("missing"))),
            "{line}"
        );
        // Its folder is there, and its name is too long.
        let path = workdir.path(&"x".repeat(300));
        let line = refused(quiet(Command::new(PROGRAM)).args(["--users", "1", flag, &path])).await;
        assert!(line.contains(&path), "{line}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "real tier"]
async fn there_are_too_few_file_descriptors() {
    let limited = format!("ulimit -n 60 && exec {PROGRAM} --users 1");
    let line = refused(quiet(Command::new("sh")).args(["-c", &limited])).await;
    assert!(line.contains("too few file descriptors: 264 needed, 60 allowed"), "{line}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn flags_that_make_no_sense() {
    let workdir = Workdir::new();
    for flags in [
        "--concurrency 0",
        "--faults many",
        "--url ftp://h/",
        "--url http://h/ --users 5",
        "--no-such-flag",
        "--chaos --faults none",
    ] {
        refused(&mut workdir.harvest(flags)).await;
    }
}
