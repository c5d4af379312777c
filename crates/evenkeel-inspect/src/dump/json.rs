//! A dump as JSON: few lines of our own, as the texts are the only values that need care.

use std::{fmt::Write, panic::Location, time::Duration};

use tokio::time::Instant;

use super::Dump;
use crate::{
    Backlog, ChildWait, Finding, HolderEdge, InspectedGroup, InspectedResource, InspectedTask, Outage,
    WaiterEdge,
};

pub(super) fn write(dump: &Dump) -> String {
    let Dump { at, findings, resources, groups, panics } = dump;
    object(|o| {
        o.list("findings", findings, finding);
        o.list("resources", resources, |one| resource(one, *at));
        o.list("groups", groups, |one| group(one, *at));
        o.value("panics", panics);
    })
}

fn finding(finding: &Finding) -> String {
    object(|o| {
        o.text("kind", finding.kind.name());
        o.text("subject", &finding.subject);
        o.place("place", finding.place);
        o.text("summary", &finding.summary);
        o.text("text", &finding.to_string());
        o.time("lasted_ns", finding.lasted);
        o.value("behind", finding.behind);
        o.list("steps", &finding.steps, |step| {
            object(|o| {
                o.optional("task", step.task.map(|task| task.to_string()).as_deref());
                o.optional("name", step.name.as_deref());
                o.place("spawned_at", step.spawned_at);
                o.optional("has", some(&step.has));
                o.place("taken_at", step.taken_at);
                o.optional_time("held_for_ns", step.held_for);
                o.flag("at_least", step.at_least);
                o.optional("waits_for", some(&step.waits_for));
                o.place("waits_at", step.waits_at);
                o.optional_time("waited_ns", some(&step.waits_for).map(|_| step.waited));
            })
        });
    })
}

fn resource(resource: &InspectedResource, at: Instant) -> String {
    let InspectedResource { id, kind, name, place, capacity, in_use, holders, waiters, .. } = resource;
    let InspectedResource { usual_hold, backlog, outage, notes, .. } = resource;
    object(|o| {
        o.value("id", id);
        o.text("kind", kind);
        o.optional("name", name.as_deref());
        o.place("place", *place);
        o.value("capacity", capacity);
        o.value("in_use", in_use);
        o.list("holders", holders, |holder| {
            let HolderEdge { number, task, amount, place, label, held_for, at_least } = holder;
            object(|o| {
                o.value("number", number);
                o.optional("task", task.map(|task| task.to_string()).as_deref());
                o.value("amount", amount);
                o.place("place", Some(place));
                o.optional("label", label.as_deref());
                o.time("held_for_ns", *held_for);
                o.flag("at_least", *at_least);
            })
        });
        o.list("waiters", waiters, |one| waiter(one, at));
        o.optional_time("usual_hold_ns", *usual_hold);
        if let Some(Backlog { pending, idle, usual }) = backlog {
            let backlog = object(|o| {
                o.value("pending", pending);
                o.time("idle_ns", *idle);
                o.optional_time("usual_ns", *usual);
            });
            o.raw("backlog", &backlog);
        }
        if let Some(Outage { lasted, reason }) = outage {
            let outage = object(|o| {
                o.time("lasted_ns", *lasted);
                o.text("reason", reason);
            });
            o.raw("outage", &outage);
        }
        o.list("notes", notes, |note| json_text(note));
    })
}

fn waiter(waiter: &WaiterEdge, at: Instant) -> String {
    let WaiterEdge { number, task, amount, place, waited, until, label } = waiter;
    object(|o| {
        o.value("number", number);
        o.text("task", &task.to_string());
        o.value("amount", amount);
        o.place("place", Some(place));
        o.optional("label", label.as_deref());
        o.time("waited_ns", *waited);
        if let Some(until) = until {
            o.time("ends_in_ns", until.saturating_duration_since(at));
            o.time("late_ns", at.saturating_duration_since(*until));
        }
    })
}

fn group(group: &InspectedGroup, at: Instant) -> String {
    let InspectedGroup { id, place, owner, age, limit, in_use, tasks, join, child_waits } = group;
    object(|o| {
        o.value("id", id);
        o.place("place", Some(place));
        o.text("owner", &owner.to_string());
        o.time("age_ns", *age);
        if let Some(limit) = limit {
            o.value("limit", limit);
            o.value("in_use", in_use);
        }
        o.list("tasks", tasks, |InspectedTask { id, name, place, age, restarts, phase }| {
            object(|o| {
                o.optional("task", id.map(|id| id.to_string()).as_deref());
                o.optional("name", name.as_deref());
                o.place("place", Some(place));
                o.time("age_ns", *age);
                o.value("restarts", restarts);
                o.text("phase", phase.name());
            })
        });
        if let Some(join) = join {
            o.raw("join", &waiter(join, at));
        }
        o.list("child_waits", child_waits, |ChildWait { number, task, child, waited }| {
            object(|o| {
                o.value("number", number);
                o.text("task", &task.to_string());
                o.text("child", &child.to_string());
                o.time("waited_ns", *waited);
            })
        });
    })
}

/// Returns a text that is not empty.
fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// An object that is being written.
struct Object(String);

fn object(fill: impl FnOnce(&mut Object)) -> String {
    let mut object = Object("{".to_owned());
    fill(&mut object);
    object.0.push('}');
    object.0
}

impl Object {
    fn raw(&mut self, key: &str, value: &str) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        let _ = write!(self.0, "{comma}\"{key}\":{value}");
    }

    /// Writes a flag, if it is set.
    fn flag(&mut self, key: &str, is_set: bool) {
        if is_set {
            self.value(key, true);
        }
    }

    fn value(&mut self, key: &str, value: impl ToString) {
        self.raw(key, &value.to_string());
    }

    fn text(&mut self, key: &str, value: &str) {
        self.raw(key, &json_text(value));
    }

    /// Leaves out a value that is not there.
    fn optional(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    fn place(&mut self, key: &str, place: Option<&Location<'_>>) {
        if let Some(place) = place {
            self.text(key, &place.to_string());
        }
    }

    fn time(&mut self, key: &str, time: Duration) {
        self.value(key, time.as_nanos());
    }

    fn optional_time(&mut self, key: &str, time: Option<Duration>) {
        if let Some(time) = time {
            self.time(key, time);
        }
    }

    fn list<T>(&mut self, key: &str, values: &[T], write: impl Fn(&T) -> String) {
        let values: Vec<_> = values.iter().map(write).collect();
        self.raw(key, &format!("[{}]", values.join(",")));
    }
}

/// Returns a string of JSON: for the timelines of the test kit, too.
#[doc(hidden)]
#[must_use]
pub fn json_text(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
