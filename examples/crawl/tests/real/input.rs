//! Wrong input is one line and exit code 2; a folder can be crawled as a site.

use std::fs;

use crate::workdir::{Workdir, broken, text};

#[tokio::test]
#[ignore = "real tier"]
async fn wrong_input_is_told_in_one_line() {
    let workdir = Workdir::new();
    for (url, flags) in [
        ("nonsense", ""),
        ("http://h/", "--report /no/such/folder/x.html"),
        ("http://h/", "--log /no/such/folder/x.log"),
        ("http://h/", "--store sqlite:/no/such/folder/x.db"),
        ("http://127.0.0.1:1/", "--serve /no/such/folder"),
        ("http://192.0.2.1:8080/", "--serve ."),
    ] {
        // The last of two flags would be an error of its own.
        let mut command = tokio::process::Command::new(crate::workdir::PROGRAM);
        command.arg(url).args(flags.split_whitespace());
        if !flags.contains("--store") {
            command.args(["--store", &format!("sqlite:{}", workdir.path("store.db"))]);
        }
        let output = command.output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{url} {flags}: {}", text(&output));
        assert_eq!(text(&output).lines().count(), 1, "{url} {flags}: {}", text(&output));
    }
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_report_on_stdout_is_alone_there() {
    let workdir = Workdir::new();
    let store = format!("sqlite:{}", workdir.path("store.db"));
    let mut command = tokio::process::Command::new(crate::workdir::PROGRAM);
    // Nobody serves this page: it is broken.
    command.args(["http://127.0.0.1:1/", "--no-robots", "--store", &store, "--json", "-"]);
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["broken"].as_array().map(Vec::len), Some(1), "{report}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("storing in"), "{told}");
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_folder_is_served_and_crawled() {
    let workdir = Workdir::new();
    for (name, content) in [
        ("site/index.html", "<a href=sub><a href='a%20b.html'><a href=sub/#x><a href=none.html>"),
        ("site/sub/index.html", "<p id=x><a href=../>"),
        ("site/a b.html", "<img src=i.png>"),
        ("site/i.png", "png"),
    ] {
        let path = workdir.path(name);
        fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    // Below the ports that the system gives to others between the two runs.
    let first = std::process::id() as u16 % 10_000;
    let mut ports = (0..10_000).map(|step| 15_000 + (first + step) % 10_000);
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = ports.find(is_free).unwrap();
    let (url, serve) =
        (format!("http://localhost:{port}/"), format!("--rate unlimited --serve {}", workdir.path("site")));
    let report = workdir.run(&url, &serve, 1).await;
    assert_eq!(broken(&report), [("status".to_owned(), "/none.html".to_owned())]);
    assert_eq!((&report["pages"], &report["redirects"]), (&3.into(), &1.into()), "{report}");
    // The store is the same for the next run at this address, and files have a time.
    assert_eq!(workdir.run(&url, &serve, 1).await["unchanged"], 4);
}
