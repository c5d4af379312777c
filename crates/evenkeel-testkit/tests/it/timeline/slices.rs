//! The slices of a timeline, read from its JSON.

use std::collections::BTreeMap;

use evenkeel_testkit::timeline::Timeline;
use serde_json::Value;

/// Something that lasts: the thread that it is on, its category, its name, and its begin and end in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slice {
    pub(crate) track: String,
    pub(crate) category: String,
    pub(crate) name: String,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

pub(crate) fn slice(track: &str, category: &str, name: &str, from: u64, to: u64) -> Slice {
    Slice { track: track.to_owned(), category: category.to_owned(), name: name.to_owned(), from, to }
}

pub(crate) fn events(drawn: &Timeline) -> Vec<Value> {
    let json: Value = serde_json::from_str(&drawn.to_json()).expect("JSON");
    json["traceEvents"].as_array().expect("a list").clone()
}

/// Returns the slices in order, each once it is known that those of a thread nest.
pub(crate) fn slices(drawn: &Timeline) -> Vec<Slice> {
    let events = events(drawn);
    let thread =
        |event: &Value| (event["pid"].as_u64().expect("a process"), event["tid"].as_u64().expect("a thread"));
    let is = |event: &&Value, phase: &str| event["ph"] == phase;
    let names: BTreeMap<_, _> = (events.iter())
        .filter(|event| is(event, "M") && event["name"] == "thread_name")
        .map(|event| (thread(event), event["args"]["name"].as_str().expect("a name").to_owned()))
        .collect();
    let nanos = |value: &Value| (value.as_f64().expect("a number") * 1_000.0).round() as u64;
    let mut threads = BTreeMap::<_, Vec<Slice>>::new();
    for event in events.iter().filter(|event| is(event, "X")) {
        let (from, lasted) = (nanos(&event["ts"]), nanos(&event["dur"]));
        let (name, category) =
            (event["name"].as_str().expect("a name"), event["cat"].as_str().expect("a category"));
        // Further threads of a track have a number behind its name.
        let track = names[&thread(event)].clone();
        let track = track
            .rsplit_once(" (")
            .filter(|(_, rest)| rest.ends_with(')'))
            .map_or(&*track, |(track, _)| track);
        threads.entry(thread(event)).or_default().push(slice(track, category, name, from, from + lasted));
    }
    for slices in threads.values() {
        for (at, outer) in slices.iter().enumerate() {
            for inner in &slices[at + 1..] {
                let is_apart = inner.from >= outer.to || inner.to <= outer.from;
                let is_within = inner.from >= outer.from && inner.to <= outer.to;
                assert!(is_apart || is_within, "{inner:?} is neither in nor beside {outer:?}");
            }
        }
    }
    let mut all: Vec<_> = threads.into_values().flatten().collect();
    all.sort_unstable();
    all
}
