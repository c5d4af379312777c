//! The documentation of the standard library, whose broken links are known.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use serde_json::Value;

use crate::workdir::{Workdir, broken};

/// The version whose links were counted.
const VERSION: &str = "rustc 1.95.0";

/// Links into ranges of lines, which only a script of rustdoc understands.
const LINES: &str = "/src/.*#[0-9]+(-[0-9]+)?$";

/// The broken fragments, with the number of pages that link to them.
const FRAGMENTS: [(&str, usize); 7] = [
    ("/book/ch18-01-all-the-places-for-patterns.html#let-statements", 1),
    ("/book/ch19-01-unsafe-rust.html#dereferencing-a-raw-pointer", 1),
    ("/book/ch19-01-unsafe-rust.html#using-extern-functions-to-call-external-code", 2),
    ("/core/fmt/num_buffer/trait.NumBufferTrait.html#associatedconstant.BUF_SIZE", 12),
    ("/core/panic/panic_info/struct.PanicInfo.html#method.location", 1),
    ("/std/collections/btree_map/index.html#insert-and-complex-keys", 1),
    ("/std/collections/btree_set/index.html#insert-and-complex-keys", 1),
];

/// Returns the folder of the documentation of the known version, if it is installed.
pub(crate) fn documentation() -> Option<PathBuf> {
    let told = |flag: &[&str]| String::from_utf8(Command::new("rustc").args(flag).output().ok()?.stdout).ok();
    let version = told(&["--version"])?;
    let folder = PathBuf::from(told(&["--print", "sysroot"])?.trim()).join("share/doc/rust/html");
    if !version.starts_with(VERSION) {
        println!("SKIPPED: the links of {VERSION} are known, and this is {}", version.trim());
        return None;
    }
    if !folder.join("std/index.html").is_file() {
        println!("SKIPPED: the documentation is not installed (rustup component add rust-docs)");
        return None;
    }
    Some(folder)
}

/// Returns an address of this machine that is free.
pub(crate) fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn pages_by_link(report: &Value) -> BTreeMap<String, usize> {
    let counts =
        report["broken"].as_array().unwrap().iter().map(|link| link["pages"].as_array().unwrap().len());
    broken(report).into_iter().map(|(_, link)| link).zip(counts).collect()
}

#[tokio::test]
#[ignore = "soak"]
async fn exactly_the_known_links_are_broken() {
    let Some(folder) = documentation() else { return };
    let (workdir, address) = (Workdir::new(), free_address());
    let flags = format!("--serve {} --prefix /std/ --rate unlimited --ignore {LINES}", folder.display());
    let report = workdir.run(&format!("{address}/std/index.html"), &flags, 1).await;
    assert_eq!((&report["pages"], &report["urls"]), (&2216.into(), &3115.into()), "{report}");
    assert_eq!(report["links"], 753_444);
    let requests = report["requests"].as_u64().unwrap();
    assert!(requests <= 3200, "{requests}");
    let pages = pages_by_link(&report);
    let missing: Vec<_> = broken(&report).into_iter().filter(|(kind, _)| kind == "status").collect();
    assert!(missing.len() == 16 && missing.iter().all(|(_, link)| pages[link] == 1), "{missing:?}");
    assert!(
        missing.iter().all(|(_, link)| link.starts_with("/trait.impl/") && link.ends_with(".js")),
        "{missing:?}"
    );
    let fragments: Vec<_> = broken(&report).into_iter().filter(|(kind, _)| kind == "fragment").collect();
    let fragments: Vec<_> = fragments.iter().map(|(_, link)| (link.as_str(), pages[link])).collect();
    assert_eq!(fragments, FRAGMENTS);
    assert_eq!(pages.len(), 16 + FRAGMENTS.len());
    println!("std/: {requests} requests, {} links, {} s", report["links"], report["seconds"]);
}
