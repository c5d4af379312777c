//! The forms of a dump: text, JSON, HTML.

use std::sync::Arc;

use evenkeel_inspect::{
    Backlog, Dump, HolderEdge, Inspect, Inspected, InspectedResource, Outage, Registration, TaskId,
    WaiterEdge, register,
};
use evenkeel_task::{BoxError, Group};
use evenkeel_testkit::World;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::{
    spawn,
    task::yield_now,
    time::{Instant, sleep},
};

use crate::units::{look, pool, secs};

struct Named {
    name: String,
    _registration: Registration,
}

impl Inspect for Named {
    fn inspect(&self, now: Instant) -> Option<Inspected> {
        let mut resource = InspectedResource::new("ferry", 1);
        resource.in_use = 1;
        let (place, task) = (std::panic::Location::caller(), TaskId::current());
        let mut holder = HolderEdge::new(1, Some(task), place, secs(3));
        holder.label = Some("<b>held</b>".into());
        resource.holders.push(holder);
        let mut waiter = WaiterEdge::new(2, task, place, secs(2));
        (waiter.label, waiter.until) = (Some(self.name.clone()), Some(now - secs(1)));
        resource.waiters.push(waiter);
        resource.outage = Some(Outage::new(secs(60), self.name.clone()));
        resource.backlog = Some(Backlog::new(2, secs(600)));
        resource.usual_hold = Some(secs(2));
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
        let expected = marks_without_a_name();
        World::run(async |_| {
            let _object = named(name.clone());
            let dump = look();
            let json: Value = serde_json::from_str(&dump.to_json()).expect("JSON");
            assert_eq!(json["resources"][0]["name"], name.as_str());
            assert_eq!(json["resources"][0]["notes"][0], name.as_str());
            assert_eq!(json["resources"][0]["outage"]["reason"], name.as_str());
            assert_eq!(json["resources"][0]["waiters"][0]["label"], name.as_str());
            assert_eq!(marks(&dump), expected);
            assert!(dump.to_string().lines().all(|line| !line.contains(char::is_control)));
        });
    }
}

/// The marks of the body of a page, which are ours.
fn marks(dump: &Dump) -> Vec<String> {
    let page = dump.to_html();
    let body = page.split_once("<body>").expect("a page").1;
    let marks = body.split('<').skip(1).map(|mark| mark.split_once('>').expect("a mark").0.to_owned());
    marks.collect()
}

fn marks_without_a_name() -> Vec<String> {
    World::run(async |_| {
        let _object = named(String::new());
        marks(&look())
    })
}

/// Names of resources and tasks, labels, notes and reasons are texts, whatever is in them.
#[test]
fn marks_of_a_program_are_text() {
    World::run(async |_| {
        let mark = "<b>&amp;\"'</b><i>";
        let _object = named(mark.to_owned());
        let run = Group::builder().run(async |g| {
            g.task(mark).spawn(sleep(secs(1)));
            yield_now().await;
            let dump = look();
            let page = dump.to_html();
            assert!(
                !page.contains("<i>") && !page.contains("<b>&amp;") && !page.contains("<b>held"),
                "{page}"
            );
            assert!(page.contains("task &#39;&lt;b&gt;&amp;amp;"), "{page}");
            assert!(page.contains("has 1 &#39;&lt;b&gt;held&lt;/b&gt;&#39;"), "{page}");
            let kinds: Vec<_> = dump.findings.iter().map(|finding| finding.kind.name()).collect();
            assert_eq!(kinds, ["late-timer", "outage", "no-progress"]);
            assert_eq!(page.matches("<b>").count(), kinds.len(), "{page}");
            Ok::<(), BoxError>(())
        });
        run.await.unwrap();
    });
}

/// Each field of a resource, by the names of the schema.
#[test]
fn json_has_all_of_a_resource() {
    World::run(async |_| {
        let _object = named("west".to_owned());
        let json: Value = serde_json::from_str(&look().to_json()).expect("JSON");
        let mut resource = json["resources"][0].clone();
        let place = resource["holders"][0]["place"].clone();
        let task = TaskId::current().to_string();
        resource["id"] = 0.into();
        let expected = json!({
            "id": 0, "kind": "ferry", "name": "west", "capacity": 1, "in_use": 1,
            "holders": [{
                "number": 1, "task": task, "amount": 1, "place": place, "label": "<b>held</b>",
                "held_for_ns": 3_000_000_000_u64,
            }],
            "waiters": [{
                "number": 2, "task": task, "amount": 1, "place": place, "label": "west",
                "waited_ns": 2_000_000_000_u64, "ends_in_ns": 0, "late_ns": 1_000_000_000_u64,
            }],
            "usual_hold_ns": 2_000_000_000_u64,
            "backlog": { "pending": 2, "idle_ns": 600_000_000_000_u64 },
            "outage": { "lasted_ns": 60_000_000_000_u64, "reason": "west" },
            "notes": ["west"],
        });
        assert_eq!(resource, expected);
        let mut outage = json["findings"][1].clone();
        outage["text"] = Value::Null;
        let expected = json!({
            "kind": "outage", "subject": "ferry 'west'", "text": null, "behind": 1,
            "summary": "outage: ferry 'west' has been out of reach for 60s: west; 1 task waits",
            "lasted_ns": 60_000_000_000_u64,
            "steps": [{
                "task": task, "waits_for": "ferry 'west': west", "waits_at": place,
                "waited_ns": 2_000_000_000_u64,
            }],
        });
        assert_eq!(outage, expected);
    });
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
            assert!(
                page.contains("<pre class=\"finding\"><b>deadlock: 2 tasks wait for each other"),
                "{page}"
            );
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
