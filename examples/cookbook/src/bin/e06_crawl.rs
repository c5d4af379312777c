//! How do I work on something whose work grows while it is done? With a queue whose workers push into it: `join` returns when
//! nothing is left and nobody can add more. `examples/crawl` is a whole crawler.
#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use evenkeel_stream::{Capacity, ItemError, queue};
use tokio::time::{Instant, sleep};

/// Downloads a page, here made up, and returns its links: a page has the number of its way from the start.
async fn download(page: &str) -> io::Result<Vec<String>> {
    sleep(Duration::from_millis(100)).await;
    if page == "/2/1" {
        return Err(io::Error::other("gone"));
    }
    let links = (1..=3).map(|n| format!("{page}/{n}")).chain(["/".to_owned()]);
    Ok(if page.len() < 4 { links.map(|link| link.replace("//", "/")).collect() } else { Vec::new() })
}

pub(crate) async fn scenario() {
    let start = Instant::now();
    let (frontier, pages) = queue(Capacity::items(1000));
    let seen = Arc::new(Mutex::new(BTreeSet::from(["/".to_owned()])));
    let _ = frontier.push("/".to_owned()).await;
    let found = (frontier.clone(), seen.clone());
    let workers = pages.workers(4, async move |page: String| -> Result<(), String> {
        let (frontier, seen) = &found;
        for link in download(&page).await.map_err(|error| format!("{page}: {error}"))? {
            let is_new = seen.lock().unwrap_or_else(PoisonError::into_inner).insert(link.clone());
            if is_new {
                let _ = frontier.try_push(link);
            }
        }
        Ok(())
    });
    // The last page that is in hand may still add others: it is counted until it is done.
    let _ = frontier.join().await;
    let report = workers.close(Duration::from_secs(1)).await;
    println!("{} pages and {} broken in {} ms", report.done, report.failed, start.elapsed().as_millis());
    for failure in &report.failures {
        match failure {
            ItemError::Error(error) => println!("- {error}"),
            bug => println!("- {bug}"),
        }
    }
}

#[tokio::main]
async fn main() {
    scenario().await;
}
