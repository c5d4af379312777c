//! A site of 48,000 pages: memory stays flat, and the rate holds.

use std::{fs, time::Duration};

use tokio::time::sleep;

use crate::{
    server::{Server, bare, html},
    workdir::{Workdir, text},
};

const PAGES: u32 = 48_000;
/// The maximum of resident memory, in KiB.
const MAX_MEMORY: u64 = 150 * 1024;

/// A page with thirty links to others, most of them with a fragment, and as many targets.
fn page(number: u32) -> String {
    let mut page = String::with_capacity(4096);
    for n in 0..30_u32 {
        let to = (number.wrapping_mul(31).wrapping_add(n * n * 7919 + 1)) % PAGES;
        page += &format!(
            "<p id=section-{number}-{n}><a href=/page/{to}#section-{to}-{n}>a link to another page</a></p>"
        );
    }
    for child in [2 * number + 1, 2 * number + 2].into_iter().filter(|child| *child < PAGES) {
        page += &format!("<a href=/page/{child}>child</a>");
    }
    page
}

fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "soak"]
async fn memory_does_not_grow_with_the_site() {
    let server = Server::start(async |request| {
        let number = request.uri.path().strip_prefix("/page/").and_then(|number| number.parse().ok());
        number.map_or_else(|| bare(404, &[]), |number: u32| html(page(number)))
    })
    .await;
    let workdir = Workdir::new();
    let flags = "--rate unlimited --per-host 16";
    let child = workdir.crawl(&server.url("/page/0"), flags).spawn().unwrap();
    let pid = child.id().unwrap();
    let mut samples = Vec::new();
    while let Some(memory) = resident(pid) {
        samples.push((server.total(), memory));
        sleep(Duration::from_millis(50)).await;
    }
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report = workdir.report();
    assert_eq!((&report["pages"], &report["ended"]), (&PAGES.into(), &"complete".into()));
    let most = |from: u32, to: u32| {
        let part = samples.iter().filter(|(requests, _)| (from..to).contains(requests));
        part.map(|(_, memory)| *memory).max().unwrap()
    };
    let (first, second, check) = (
        most(0, PAGES / 2),
        most(PAGES / 2, PAGES),
        samples.iter().map(|(_, memory)| *memory).max().unwrap(),
    );
    println!(
        "{PAGES} pages in {} s: up to {} MB in the first half, {} MB in the second, {} MB in all",
        report["seconds"],
        first / 1024,
        second / 1024,
        check / 1024
    );
    assert!(check <= MAX_MEMORY);
    assert!(second <= first + first / 5, "it grows");
}
