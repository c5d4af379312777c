//! A dump as a page of HTML.

use std::{
    collections::HashMap,
    fmt::{self, Write},
};

use super::Dump;
use crate::{InspectedGroup, InspectedResource, TaskId, finding::rounded};

/// The number of rows of a table.
const SHOWN: usize = 100;

const HEAD: &str = concat!(
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">",
    "<meta http-equiv=\"refresh\" content=\"2\"><title>Evenkeel: why does it stand still?</title><style>",
    ":root{color-scheme:light dark;--line:#8884;--bad:#b3261e;--badbg:#b3261e18}",
    "@media(prefers-color-scheme:dark){:root{--bad:#ff8a80;--badbg:#ff8a8020}}",
    "body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:75rem;padding:1rem}",
    "h1{font-size:1.3rem}h2{font-size:1.05rem;margin:1.6rem 0 .3rem}h2,td,pre{overflow-wrap:anywhere}",
    "pre{background:var(--badbg);border-left:4px solid var(--bad);padding:.7rem;white-space:pre-wrap}",
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}",
    "th,td{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}",
    "td:first-child{white-space:nowrap}.quiet{opacity:.7}",
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
        write!(page, "<p>Nothing is known to stand still.</p>")?;
    }
    for finding in &dump.findings {
        write!(page, "<pre class=\"finding\">{}</pre>", Escaped(finding))?;
    }
    writeln!(page, "<p class=\"quiet\">{}</p>", Escaped(dump.summary()))?;
    let tasks = dump.groups.iter().flat_map(|group| &group.tasks);
    let names: Names<'_> = tasks.filter_map(|task| Some((task.id?, task.name.as_deref()?))).collect();
    for resource in &dump.resources {
        write_resource(resource, &names, page)?;
    }
    for group in &dump.groups {
        write_group(group, &names, page)?;
    }
    Ok(())
}

/// The names of tasks.
type Names<'a> = HashMap<TaskId, &'a str>;

fn title(task: TaskId, names: &Names<'_>) -> String {
    names.get(&task).map_or_else(|| task.to_string(), |name| format!("'{name}'"))
}

fn write_resource(resource: &InspectedResource, names: &Names<'_>, page: &mut String) -> fmt::Result {
    let InspectedResource { capacity, in_use, holders, waiters, .. } = resource;
    write!(page, "<h2>{}: {in_use} of {capacity} in use</h2>", Escaped(resource))?;
    for remark in resource.remarks() {
        write!(page, "<p>{}</p>", Escaped(remark))?;
    }
    let holding = holders.iter().take(SHOWN).map(|holder| {
        let task = holder.task.map_or_else(|| "unknown".to_owned(), |task| title(task, names));
        [task, "has".to_owned(), format!("{:?}", rounded(holder.held_for)), holder.place.to_string()]
    });
    let waiting = waiters.iter().take(SHOWN).map(|waiter| {
        let waited = format!("{:?}", rounded(waiter.waited));
        [title(waiter.task, names), "waits".to_owned(), waited, waiter.place.to_string()]
    });
    write_table(holding.chain(waiting), page)?;
    write_more(holders.len().saturating_sub(SHOWN) + waiters.len().saturating_sub(SHOWN), page)
}

fn write_group(group: &InspectedGroup, names: &Names<'_>, page: &mut String) -> fmt::Result {
    write!(page, "<h2>{}: {}", Escaped(group), super::count(group.tasks.len(), "task"))?;
    if let Some(limit) = group.limit {
        write!(page, ", {} of {limit} slots in use, {} waiting", group.in_use, group.waiting())?;
    }
    write!(page, "</h2><p class=\"quiet\">of {}", Escaped(title(group.owner, names)))?;
    if let Some(join) = &group.join {
        write!(page, ", which waits for all of its tasks since {:?}", rounded(join.waited))?;
    }
    write!(page, "</p>")?;
    let waits = group.child_waits.iter().take(SHOWN).map(|wait| {
        let child = format!("for {}", title(wait.child, names));
        [title(wait.task, names), "waits".to_owned(), format!("{:?}", rounded(wait.waited)), child]
    });
    let tasks = group.tasks.iter().take(SHOWN).map(|task| {
        let title = match (&task.name, task.id) {
            (Some(name), _) => format!("'{name}'"),
            (None, Some(id)) => id.to_string(),
            (None, None) => "task".to_owned(),
        };
        [title, task.phase.name().to_owned(), format!("{:?}", rounded(task.age)), task.place.to_string()]
    });
    write_table(waits.chain(tasks), page)?;
    write_more(group.child_waits.len().saturating_sub(SHOWN) + group.tasks.len().saturating_sub(SHOWN), page)
}

fn write_table(rows: impl Iterator<Item = [String; 4]>, page: &mut String) -> fmt::Result {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    write!(page, "<div class=\"scroll\"><table>")?;
    for row in rows {
        let [a, b, c, d] = row.each_ref().map(Escaped);
        write!(page, "<tr><td>{a}</td><td>{b}</td><td>{c}</td><td>{d}</td></tr>")?;
    }
    writeln!(page, "</table></div>")
}

fn write_more(left: usize, page: &mut String) -> fmt::Result {
    if left > 0 { write!(page, "<p class=\"quiet\">… and {left} more</p>") } else { Ok(()) }
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
