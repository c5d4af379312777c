//! The page on a phone and on a wide screen, light and dark, without scripts.

use std::fs;

use evenkeel_inspect::{
    Backlog, Dump, HolderEdge, Inspected, InspectedResource, Outage, TaskId, WaiterEdge, dump_of,
};
use evenkeel_task::{BoxError, Group};
use tokio::{
    runtime::{Builder, Handle},
    time::{Instant, sleep},
};

use crate::{
    browser::Browser,
    units::{object, pool, secs},
    workdir::Workdir,
};

/// A name without a place to break it, and one with marks.
const LONG: &str =
    "a_name_that_is_much_longer_than_a_telephone_is_wide_and_has_no_space_at_which_it_could_be_broken";
const MARKED: &str = "<h1>a heading & \"more\"</h1>";

/// The dump of a program that has each kind of finding, and long names everywhere.
async fn dump() -> Dump {
    let (orders, stock) = (pool(LONG, 1), pool("stock", 1));
    let now = Instant::now();
    let _store = object(move || {
        let mut store = InspectedResource::new("store", 3);
        store.name = Some(MARKED.into());
        store.in_use = 1;
        let place = std::panic::Location::caller();
        let mut holder = HolderEdge::new(1, None, place, secs(80));
        holder.label = Some(LONG.into());
        store.holders.push(holder);
        let mut waiter = WaiterEdge::new(2, TaskId::current(), place, secs(70));
        (waiter.until, waiter.label) = (now.checked_sub(secs(9)), Some(format!("{MARKED} {LONG}")));
        store.waiters.push(waiter);
        store.outage = Some(Outage::new(secs(75), LONG));
        store.backlog = Some(Backlog::new(12, secs(900)));
        store.notes.push(LONG.to_owned());
        Some(Inspected::Resource(store))
    });
    let mut dump = None;
    let run = Group::builder().limit(5).run(async |g| {
        for (name, first, second) in [(LONG, &orders, &stock), (MARKED, &stock, &orders)] {
            let (first, second) = (first.clone(), second.clone());
            g.task(name).spawn(async move {
                let _held = first.get().await;
                sleep(secs(1)).await;
                drop(second.get().await);
            });
        }
        for _ in 0..300 {
            let orders = orders.clone();
            g.spawn(async move { drop(orders.get().await) });
        }
        sleep(secs(5)).await;
        dump = Some(dump_of(Handle::current().id()));
        Err::<(), BoxError>("seen".into())
    });
    assert!(run.await.is_err());
    dump.unwrap()
}

/// The page with an hour between two refreshes.
fn still(page: &str) -> String {
    let still =
        page.replace("http-equiv=\"refresh\" content=\"2\"", "http-equiv=\"refresh\" content=\"3600\"");
    assert_ne!(still, page);
    still
}

#[test]
#[ignore = "soak"]
fn it_is_readable_on_a_phone_and_on_a_wide_screen() {
    let paused = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let page = paused.block_on(dump()).to_html();
    let quiet = paused.block_on(async { dump_of(Handle::current().id()) }).to_html();
    drop(paused);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(mut browser) = Browser::start().await else { return };
        let workdir = Workdir::new();
        let path = workdir.path("page.html");
        // It is looked at between two refreshes, as the browser answers nothing about a page that goes away.
        fs::write(&path, still(&page)).unwrap();
        browser.without_scripts().await;
        browser.open(&format!("file://{path}"), 390).await;
        browser.until("document.querySelectorAll('.finding').length", 4).await;
        for (width, scheme) in [(390, "light"), (390, "dark"), (1_400, "light"), (1_400, "dark")] {
            browser.resize(width, scheme).await;
            browser.until("innerWidth", width).await;
            browser.assert_fits().await;
            // Nothing is cut either, but by the end of the list.
            let cut = "[...document.querySelectorAll('pre, h2, td')].filter(e => e.scrollWidth > e.clientWidth \
                       + 1).length";
            assert_eq!(browser.evaluate(cut).await, 0, "{width}");
            let small = "[...document.querySelectorAll('pre, p, h2, td')].filter(e => \
                         parseFloat(getComputedStyle(e).fontSize) < 12).length";
            assert_eq!(browser.evaluate(small).await, 0, "{width}");
            browser.screenshot(&format!("inspect-{width}-{scheme}")).await;
        }
        let colors = "getComputedStyle(document.querySelector('.finding b')).color";
        let dark = browser.evaluate(colors).await;
        browser.resize(1_400, "light").await;
        assert_ne!(browser.evaluate(colors).await, dark, "it has the colors of the reader's system");
        assert_eq!(browser.evaluate("document.querySelectorAll('h1').length").await, 1, "marks are text");
        // It asks for itself again, without a script.
        fs::write(&path, page).unwrap();
        browser.open(&format!("file://{path}"), 390).await;
        fs::write(&path, still(&quiet)).unwrap();
        sleep(secs(10)).await;
        browser.until("document.querySelectorAll('.finding').length", 0).await;
        assert_eq!(browser.complaints(), Vec::<String>::new());
    });
}
