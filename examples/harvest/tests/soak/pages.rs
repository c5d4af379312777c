//! Pages that this project writes, each opened in a browser on a phone and on a wide screen, light and dark: the report of a
//! run, and the book, with scripts and without.

use std::{fs, path::Path};

use tokio::process::Command;

use crate::{browser::Browser, workdir::Workdir};

const WIDTHS: [(u32, &str); 2] = [(390, "dark"), (1_280, "light")];

/// Opens a page in each width: nothing is wider than the window, and the background is dark where the system is.
async fn assert_fits(browser: &mut Browser, page: &Path) {
    for (width, scheme) in WIDTHS {
        browser.open(&format!("file://{}", page.display()), width).await;
        browser.until("document.readyState", "complete").await;
        browser.resize(width, scheme).await;
        browser.until("innerWidth", width).await;
        let overflow = browser.evaluate("document.documentElement.scrollWidth - innerWidth").await;
        assert!(overflow.as_i64().unwrap() <= 0, "{}: {overflow} pixels too wide at {width}", page.display());
    }
}

/// Whether the page is dark: by the light of its background.
const DARK: &str =
    "getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).slice(0, 3).every(part => part < 100)";

#[tokio::test]
#[ignore = "soak"]
async fn the_report_of_a_run_fits_a_phone() {
    let Some(mut browser) = Browser::start().await else { return };
    let workdir = Workdir::new();
    let path = workdir.path("report.html");
    let mut run = workdir.harvest("--users 300 --page-size 40 --latency 5 --concurrency 50");
    assert!(run.args(["--report", &path]).output().await.unwrap().status.success());
    assert_fits(&mut browser, Path::new(&path)).await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "soak"]
async fn the_pages_of_the_book_fit_a_phone() {
    let Some(mut browser) = Browser::start().await else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built =
        Command::new(env!("CARGO")).current_dir(&root).args(["xtask", "book"]).output().await.unwrap();
    let text = String::from_utf8_lossy(&built.stdout);
    if let Some(reason) = text.lines().find(|line| line.starts_with("SKIPPED")) {
        println!("{reason}");
        return;
    }
    assert!(built.status.success(), "{text}");
    let index =
        text.lines().find_map(|line| line.split_once(": ").filter(|(_, rest)| rest.contains("links")));
    let folder = Path::new(index.expect("it says where the book is").0).parent().unwrap();

    let mut pages = Vec::new();
    for part in ["", "patterns", "guides", "migrating", "running"] {
        let files = fs::read_dir(folder.join(part)).unwrap().map(|file| file.unwrap().path());
        pages.extend(files.filter(|file| file.extension().is_some_and(|kind| kind == "html")));
    }
    assert!(pages.len() > 60, "{} pages", pages.len());
    for page in &pages {
        assert_fits(&mut browser, page).await;
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());

    // Without scripts the pages are there, and dark where the system is.
    browser.without_scripts().await;
    for page in &pages {
        assert_fits(&mut browser, page).await;
        browser.resize(390, "dark").await;
        if !page.ends_with("toc.html") {
            let shown = browser.evaluate("document.querySelector('main').innerText.length > 200").await;
            assert_eq!(shown, true, "{}", page.display());
            assert_eq!(browser.evaluate(DARK).await, true, "{} is not dark", page.display());
        }
    }
    println!("{} pages, in two widths, with scripts and without", pages.len());
}
