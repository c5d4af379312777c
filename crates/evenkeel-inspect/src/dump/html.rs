//! A dump as a page of HTML.

use std::fmt::{self, Write};

use evenkeel_base::rounded;
use tokio::time::Instant;

use super::{
    Dump, SECTIONS,
    text::{end, held_for, title},
};
use crate::{
    HolderEdge, InspectedGroup, InspectedResource, TaskPhase, WaiterEdge, finding::one_line, registry::Tasks,
};

/// The number of rows of a table.
const SHOWN: usize = 100;

// The policy is a second lock on the door: the page has no script, and a browser would run none.
const HEAD: &str = concat!(
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">",
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';style-src 'unsafe-inline'\">",
    "<meta http-equiv=\"refresh\" content=\"2\"><title>Evenkeel: why does it stand still?</title><style>",
    ":root{color-scheme:light dark;--line:#8884;--bad:#b3261e;--badbg:#b3261e18}",
    "@media(prefers-color-scheme:dark){:root{--bad:#ff8a80;--badbg:#ff8a8020}}",
    "body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:75rem;padding:1rem;overflow-wrap:anywhere}",
    "h1{font-size:1.3rem}h2{font-size:1.05rem;margin:1.6rem 0 .3rem}p{margin:.3rem 0}",
    "pre{background:var(--badbg);border-left:4px solid var(--bad);padding:.7rem;white-space:pre-wrap}",
    "pre b{color:var(--bad)}table{border-collapse:collapse;width:100%}",
    "td{padding:.25rem .8rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}",
    "td:nth-child(3){white-space:nowrap}.quiet{opacity:.75}",
    "@media(max-width:40rem){tr{display:grid;grid-template-columns:1fr auto auto;",
    "border-bottom:1px solid var(--line)}td{border:0}td:last-child{grid-column:1/-1;opacity:.75}}",
    "</style></head><body><h1>Why does it stand still?</h1>\n"
);

pub(super) fn write(dump: &Dump) -> String {
    let mut page = HEAD.to_owned();
    // Writing to a string does not fail.
    let _ = fill(dump, &mut page);
    page.push_str("</body></html>\n");
    page
}

fn fill(dump: &Dump, page: &mut String) -> fmt::Result {
    if dump.findings.is_empty() {
        writeln!(page, "<p>Nothing is known to stand still.</p>")?;
    }
    for finding in dump.findings.iter().take(SECTIONS) {
        let text = finding.to_string();
        let steps = text.strip_prefix(&*finding.summary).unwrap_or_default();
        writeln!(
            page,
            "<pre class=\"finding\"><b>{}</b>{}</pre>",
            Escaped(&finding.summary),
            Escaped(steps)
        )?;
    }
    write_more(dump.findings.len(), SECTIONS, page)?;
    writeln!(page, "<p class=\"quiet\">{}</p>", Escaped(dump.summary()))?;
    if dump.panics > 0 {
        writeln!(page, "<p>{} could not be described: a panic</p>", super::count(dump.panics, "object"))?;
    }
    let tasks = Tasks::of(&dump.groups);
    for resource in dump.resources.iter().take(SECTIONS) {
        write_resource(resource, dump.at, &tasks, page)?;
    }
    write_more(dump.resources.len(), SECTIONS, page)?;
    for group in dump.groups.iter().take(SECTIONS) {
        write_group(group, &tasks, page)?;
    }
    write_more(dump.groups.len(), SECTIONS, page)
}

fn write_resource(
    resource: &InspectedResource,
    at: Instant,
    tasks: &Tasks<'_>,
    page: &mut String,
) -> fmt::Result {
    let InspectedResource { holders, waiters, .. } = resource;
    writeln!(page, "<h2>{}</h2>", Escaped(super::heading(resource)))?;
    for remark in resource.remarks() {
        writeln!(page, "<p>{}</p>", Escaped(remark))?;
    }
    let holding = holders.iter().take(SHOWN).map(|holder| {
        let HolderEdge { task, amount, place, label, .. } = holder;
        let task = task.map_or_else(|| "an unknown task".to_owned(), |task| title(task, tasks));
        let label = label.as_ref().map_or_else(String::new, |label| format!(" '{}'", label.escape_debug()));
        [task, format!("has {amount}{label}"), held_for(holder), place.to_string()]
    });
    let waiting =
        waiters.iter().take(SHOWN).map(|WaiterEdge { task, amount, place, waited, until, label, .. }| {
            let label =
                label.as_ref().map_or_else(|| amount.to_string(), |label| one_line(label).into_owned());
            let end = until.map_or_else(String::new, |until| format!(", {}", end(until, at)));
            let waited = format!("{:?}", rounded(*waited));
            [title(*task, tasks), format!("waits for {label}{end}"), waited, place.to_string()]
        });
    write_table(holding.chain(waiting), page)?;
    write_more(holders.len(), SHOWN, page)?;
    write_more(waiters.len(), SHOWN, page)
}

fn write_group(group: &InspectedGroup, tasks: &Tasks<'_>, page: &mut String) -> fmt::Result {
    write!(page, "<h2>{}: {}", Escaped(group), super::count(group.tasks.len(), "task"))?;
    if let Some(limit) = group.limit {
        write!(page, ", {} of {limit} slots in use, {} waiting", group.in_use, group.waiting())?;
    }
    let (owner, age) = (Escaped(title(group.owner, tasks)), rounded(group.age));
    write!(page, "</h2><p class=\"quiet\">of {owner}, for {age:?}")?;
    if let Some(join) = &group.join {
        write!(page, "; it waits for all of its tasks since {:?}", rounded(join.waited))?;
    }
    writeln!(page, "</p>")?;
    let waits = group.child_waits.iter().take(SHOWN).map(|wait| {
        let (task, child) = (title(wait.task, tasks), title(wait.child, tasks));
        [task, "waits for".to_owned(), format!("{:?}", rounded(wait.waited)), child]
    });
    let members = group.tasks.iter().take(SHOWN).map(|task| {
        let title = match (&task.name, task.id) {
            (Some(name), _) => format!("task '{}'", name.escape_debug()),
            (None, Some(id)) => id.to_string(),
            (None, None) => "task".to_owned(),
        };
        let restarts =
            if task.restarts > 0 { format!(", restarts: {}", task.restarts) } else { String::new() };
        let state = format!("{}{restarts}", phase(task.phase));
        [title, state, format!("{:?}", rounded(task.age)), task.place.to_string()]
    });
    write_table(waits.chain(members), page)?;
    write_more(group.child_waits.len(), SHOWN, page)?;
    write_more(group.tasks.len(), SHOWN, page)
}

fn phase(phase: TaskPhase) -> &'static str {
    match phase {
        TaskPhase::Waiting => "waits for a slot",
        TaskPhase::Running => "runs",
        TaskPhase::Aborting => "was told to abort",
        TaskPhase::Detached => "was left by its caller",
    }
}

fn write_table(rows: impl Iterator<Item = [String; 4]>, page: &mut String) -> fmt::Result {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    write!(page, "<table>")?;
    for row in rows {
        let [a, b, c, d] = row.each_ref().map(Escaped);
        writeln!(page, "<tr><td>{a}</td><td>{b}</td><td>{c}</td><td>{d}</td></tr>")?;
    }
    writeln!(page, "</table>")
}

fn write_more(all: usize, shown: usize, page: &mut String) -> fmt::Result {
    match all.saturating_sub(shown) {
        0 => Ok(()),
        left => writeln!(page, "<p class=\"quiet\">… and {left} more</p>"),
    }
}

/// A text of others, harmless in a page.
struct Escaped<T>(T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
