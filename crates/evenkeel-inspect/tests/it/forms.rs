//! The forms of a dump: text, JSON, HTML.

use std::sync::Arc;

use evenkeel_inspect::{
    Dump, HolderEdge, Inspect, Inspected, InspectedResource, Registration, TaskId, WaiterEdge, register,
};
use evenkeel_task::{BoxError, Group};
use evenkeel_testkit::World;
use proptest::prelude::*;
use serde_json::Value;
use tokio::{
    spawn,
    time::{Instant, sleep},
};

use crate::units::{look, pool, secs};

struct Named {
    name: String,
    _registration: Registration,
}

impl Inspect for Named {
    fn inspect(&self, _: Instant) -> Option<Inspected> {
        let mut resource = InspectedResource::new("ferry", 1);
        resource.in_use = 1;
        let (place, task) = (std::panic::Location::caller(), TaskId::current());
        resource.holders.push(HolderEdge::new(1, Some(task), place, secs(3)));
        resource.waiters.push(WaiterEdge::new(2, task, place, secs(2)));
        resource.notes.push(self.name.clone());
        resource.name = Some(self.name.clone().into());
        Some(Inspected::Resource(resource))
    }
}

fn named(name: String) -> Arc<Named> {
    Arc::new_cyclic(|named| Named { name, _registration: register(named.clone()) })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the texts of a program are, JSON gives them back, and HTML has none of their marks.
    #[test]
    fn texts_of_any_kind_do_no_harm(name in any::<String>()) {
        World::run(async |_| {
            let _object = named(name.clone());
            let dump = look();
            let json: Value = serde_json::from_str(&dump.to_json()).expect("JSON");
            assert_eq!(json["resources"][0]["name"], name.as_str());
            assert_eq!(json["resources"][0]["notes"][0], name.as_str());
            let page = dump.to_html();
            let body = page.split_once("<h2>").expect("a resource").1;
            let text = body.replace("&lt;", "").replace("&gt;", "").replace("&amp;", "");
            assert!(!text.contains("<script"), "{text}");
            assert_eq!(text.matches('<').count(), text.matches('>').count());
        });
    }
}

/// A program with two pools in opposite order, a limited group, and a crowd that waits.
async fn program(check: impl FnOnce(Dump)) {
    let (orders, stock) = (pool("orders", 1), pool("stock", 1));
    let run = Group::builder().limit(30).run(async |g| {
        for (name, first, second) in [("sell", &orders, &stock), ("refill", &stock, &orders)] {
            let (first, second) = (first.clone(), second.clone());
            g.task(name).spawn(async move {
                let _held = first.get().await;
                sleep(secs(1)).await;
                drop(second.get().await);
            });
        }
        for _ in 0..40 {
            let orders = orders.clone();
            g.spawn(async move { drop(orders.get().await) });
        }
        sleep(secs(5)).await;
        check(look());
        Err::<(), BoxError>("seen".into())
    });
    assert!(run.await.is_err());
}

#[test]
fn the_text_fits_and_is_cut() {
    World::run(async |_| {
        program(|dump| {
            let text = dump.to_string();
            assert!(text.starts_with("deadlock: 2 tasks wait for each other, for 4s; "), "{text}");
            let is_place = |word: &&str| word.contains(".rs:");
            for line in text.lines() {
                let long = line.split_whitespace().find(is_place).map_or(0, |place| place.chars().count());
                assert!(line.chars().count() <= 80.max(long + 20), "{line}");
            }
            assert!(text.contains("pool 'orders': 1 of 1 in use, 29 waiting"), "{text}");
            assert!(text.contains("… and 19 more wait"), "{text}");
            assert!(text.contains("30 of 30 slots in use, 12 waiting"), "{text}");
        })
        .await;
    });
}

#[test]
fn json_and_the_page_say_the_same() {
    World::run(async |_| {
        program(|dump| {
            let json: Value = serde_json::from_str(&dump.to_json()).expect("JSON");
            let finding = &json["findings"][0];
            assert_eq!(
                (&finding["kind"], &finding["lasted_ns"]),
                (&"cycle".into(), &4_000_000_000_u64.into())
            );
            assert_eq!(finding["steps"].as_array().map(Vec::len), Some(2));
            let orders =
                json["resources"].as_array().unwrap().iter().find(|r| r["name"] == "orders").unwrap();
            assert_eq!(orders["waiters"].as_array().map(Vec::len), Some(29));
            assert_eq!(orders["holders"][0]["held_for_ns"], 5_000_000_000_u64);
            let place = orders["holders"][0]["place"].as_str().unwrap();
            assert!(place.starts_with(file!()), "{place}");
            let group = &json["groups"][0];
            assert_eq!((&group["limit"], &group["in_use"]), (&30.into(), &30.into()));
            assert_eq!(group["tasks"].as_array().map(Vec::len), Some(42));

            let page = dump.to_html();
            assert!(page.contains("<pre class=\"finding\">deadlock: 2 tasks wait for each other"), "{page}");
            assert!(page.contains("prefers-color-scheme:dark") && !page.contains("<script"), "{page}");
            assert!(
                !page.contains("http://") && !page.contains("https://"),
                "it needs no other file: {page}"
            );
            assert!(page.contains("pool &#39;orders&#39;: 1 of 1 in use"), "{page}");
        })
        .await;
    });
}

#[test]
fn a_quiet_program_says_so() {
    World::run(async |_| {
        let orders = pool("orders", 3);
        let lease = orders.get().await;
        let text = look().to_string();
        assert!(
            text.starts_with("nothing is known to stand still: 1 resource, 0 waiting; 0 groups, 0 tasks")
        );
        assert!(text.contains("pool 'orders': 1 of 3 in use, 0 waiting\n  thread "), "{text}");
        drop(lease);
        spawn(async {}).await.unwrap();
    });
}
