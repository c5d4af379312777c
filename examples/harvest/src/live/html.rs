//! The live page: HTML that is complete without its script, and that the script replaces as it changes.

use std::{
    fmt::Write as _,
    hash::{BuildHasher as _, Hasher as _, RandomState},
};

use hyper::header::HeaderValue;

use super::{HISTORY, View};
use crate::{
    board::{Condition, StageState, WorkerState},
    page,
    report::Ended,
    workers::Sums,
};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Returns a word that nobody can guess, so that no other script or style is taken for the page's own.
pub(super) fn nonce() -> String {
    let draw = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", draw(), draw())
}

/// Returns the policy by which a browser runs the page's own script and loads nothing but events.
pub(super) fn content_policy(nonce: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src \
         data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    policy.try_into().expect("the policy is plain ASCII")
}

/// Returns the page around its changing part.
pub(super) fn document(fragment: &[u8], nonce: &str) -> String {
    let fragment = String::from_utf8_lossy(fragment);
    // Without scripts the browser loads the page again and again. The icon keeps it from asking for another one.
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>harvest</title>\n<style nonce=\"{nonce}\">\n{}{STYLE}</style>\n</head>\n<body>\n\
         <main>\n{fragment}</main>\n<p id=\"connection\" hidden></p>\n\
         <script nonce=\"{nonce}\">\n{SCRIPT}</script>\n</body>\n</html>\n",
        page::STYLE
    )
}

/// Returns the changing part of the page.
pub(super) fn fragment(view: &View) -> String {
    let mut part = headline(view);
    part += &tiles(view, &view.sums);
    if let Some(bottleneck) = &view.sums.bottleneck {
        let _ = writeln!(part, "<p class=\"bottleneck\">Bottleneck: {}</p>", text(bottleneck));
    }
    part += "<h2>Documents stored per second</h2>\n";
    part += &rates(&view.rates);
    part += &stages(&view.sums.stages);
    part += &workers(view);
    part += &failures(view);
    part
}

fn headline(view: &View) -> String {
    let (users, listed) = (view.totals.users, view.totals.listed);
    let state = match (view.ended, view.is_stopping) {
        (Some(Ended::Complete), _) => "All is stored.",
        (Some(Ended::Drained), _) => "It was asked to stop, and finished what it had begun.",
        (Some(Ended::Aborted), _) => "It was stopped in the middle.",
        (None, true) => "It is stopping: what is in flight is finished.",
        (None, false) => "It runs.",
    };
    let queue = view.names.queue.as_ref().map(|queue| format!(", over {}", text(queue))).unwrap_or_default();
    format!(
        "<h1>{users} of {listed} users stored</h1>\n<p>{state} {:.0} s so far; from {} to {}{queue}</p>\n",
        view.seconds,
        text(&view.names.source),
        text(&view.names.store)
    )
}

fn tiles(view: &View, sums: &Sums) -> String {
    let listed = view.totals.listed.saturating_sub(view.totals.users);
    let mut alive = sums.alive.to_string();
    for (number, word) in [(sums.dead, "dead"), (sums.ended, "ended")] {
        if number > 0 {
            let _ = write!(alive, "<small>{number} {word}</small>");
        }
    }
    let tiles = [
        ("documents stored per second", number(sums.rate)),
        ("users to be stored", listed.to_string()),
        ("orders", view.totals.orders.to_string()),
        ("pages", view.totals.pages.to_string()),
        ("calls", sums.calls.to_string()),
        ("calls in flight", sums.in_flight.to_string()),
        ("retries", sums.retries.to_string()),
        ("failures", sums.failures.to_string()),
        ("dead letters", sums.dead_letters.to_string()),
        ("workers", alive),
    ];
    let mut list = String::from("<dl>\n");
    for (name, value) in tiles {
        let _ = writeln!(list, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    list + "</dl>\n"
}

/// Returns a line of the last rates, a point for each second, the last one at the right.
fn rates(rates: &[f64]) -> String {
    const HEIGHT: f64 = 60.0;
    let highest = rates.iter().copied().filter(|rate| rate.is_finite()).fold(0.0, f64::max);
    let scale = if highest > 0.0 { HEIGHT / highest } else { 0.0 };
    let mut path = String::new();
    for (index, rate) in rates.iter().enumerate() {
        let x = HISTORY - rates.len() + index;
        let y = HEIGHT - (rate * scale).clamp(0.0, HEIGHT);
        let command = if index == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{command}{x} {:.1}", if y.is_finite() { y } else { HEIGHT });
    }
    let (width, minutes) = (HISTORY - 1, HISTORY / 60);
    format!(
        "<svg class=\"history\" viewBox=\"0 -1 {width} 62\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"documents per second over {minutes} minutes\"><path class=\"users\" d=\"{path}\"/></svg>\n\
         <p class=\"note\">the last {minutes} minutes; at most {} per second</p>\n",
        number(highest)
    )
}

fn stages(stages: &[StageState]) -> String {
    let rows = stages.iter().map(|stage| {
        let StageState { in_flight, limit, queued, waiting, working, done, errors, retries, rate, .. } =
            stage;
        let each = |seconds: f64| seconds * 1e3 / (*done).max(1) as f64;
        let share = 100.0 * working / (working + waiting);
        let share = if share.is_finite() { share.clamp(0.0, 100.0) } else { 0.0 };
        let bar = format!(
            "<span class=\"share\">{} ms + {} ms<svg class=\"bar\" viewBox=\"0 0 100 1\" \
             preserveAspectRatio=\"none\"><rect class=\"answer\" width=\"{share:.1}\" height=\"1\"/><rect \
             class=\"rest\" x=\"{share:.1}\" width=\"{:.1}\" height=\"1\"/></svg></span>",
            number(each(*working)),
            number(each(*waiting)),
            if working + waiting > 0.0 { 100.0 - share } else { 0.0 }
        );
        let in_flight = if *limit > 0 { format!("{in_flight} of {limit}") } else { in_flight.to_string() };
        vec![
            text(&stage.name),
            done.to_string(),
            number(*rate),
            in_flight,
            queued.to_string(),
            bar,
            retries.to_string(),
            errors.to_string(),
        ]
    });
    let heads =
        ["stage", "done", "per second", "in flight", "queued", "work + wait for each", "retries", "errors"];
    format!("<h2>Stages</h2>\n{}", table(&heads, &[], rows, stages.len()))
}

fn workers(view: &View) -> String {
    let rows = view.board.workers.iter().map(|worker| {
        let WorkerState { pid, users, rate, calls, in_flight, retries, failures, dead_letters, .. } = worker;
        let condition = Condition::of(worker, view.board.now);
        let class = match condition {
            Condition::Working => "alive",
            Condition::Silent(_) => "silent",
            Condition::Dead(_) => "dead",
            Condition::Ended => "ended",
        };
        let is_alive = condition.is_alive();
        let alive = |shown: String| if is_alive { shown } else { "–".to_owned() };
        vec![
            text(&worker.id),
            format!("<span class=\"{class}\">{condition}</span>"),
            format!("{pid} on {}", text(&worker.host)),
            users.to_string(),
            alive(number(*rate)),
            calls.to_string(),
            alive(in_flight.to_string()),
            retries.to_string(),
            failures.to_string(),
            dead_letters.to_string(),
            alive(worker.bottleneck.as_deref().map_or_else(|| "none".into(), text)),
        ]
    });
    let heads = [
        "worker",
        "state",
        "process",
        "users",
        "per second",
        "calls",
        "in flight",
        "retries",
        "failures",
        "dead letters",
        "bottleneck",
    ];
    format!(
        "<h2>Workers</h2>\n{}",
        table(&heads, &[1, 2, 10], rows, view.sums.alive + view.sums.dead + view.sums.ended)
    )
}

fn failures(view: &View) -> String {
    let title = "<h2>Dead letters and failures</h2>\n";
    if view.failures.is_empty() {
        let note = match view.sums.dead_letters.saturating_add(view.sums.failures) {
            0 => "None so far: every document was read.".to_owned(),
            some => format!("{some}; the report at the end lists them."),
        };
        return format!("{title}<p>{note}</p>\n");
    }
    let rows = view.failures.iter().rev().map(|failure| vec![text(&failure.url), text(&failure.reason)]);
    let of = view.failures_in_all.max(view.failures.len());
    format!("{title}{}", table(&["document", "reason"], &[1], rows, of))
}

/// Returns a table; the first column has names, the columns `words` texts, and the others numbers.
fn table(heads: &[&str], words: &[usize], rows: impl Iterator<Item = Vec<String>>, of: usize) -> String {
    let class = |column: usize| match column {
        0 => "head",
        _ if words.contains(&column) => "words",
        _ => "number",
    };
    let mut table = String::from("<table>\n<thead><tr>");
    for (column, head) in heads.iter().enumerate() {
        let _ = write!(table, "<th class=\"{}\">{head}</th>", class(column));
    }
    table += "</tr></thead>\n<tbody>\n";
    let mut shown = 0;
    for row in rows {
        shown += 1;
        table += "<tr>";
        for (column, (cell, head)) in row.iter().zip(heads).enumerate() {
            // A cell has one element, which stands beside its label on a small screen.
            let class = class(column);
            let _ = write!(table, "<td class=\"{class}\" data-label=\"{head}\"><span>{cell}</span></td>");
        }
        table += "</tr>\n";
    }
    table += "</tbody>\n</table>\n";
    match (shown, of.saturating_sub(shown)) {
        (0, _) => "<p>None so far.</p>\n".into(),
        (_, 0) => table,
        (_, more) => format!("{table}<p>{more} more are not shown.</p>\n"),
    }
}

/// Returns a number for people, whatever it is.
fn number(value: f64) -> String {
    match value.abs() {
        1e12.. => format!("{value:.1e}"),
        size if size < 9.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Returns a text of others as HTML, without control characters and those that change the direction of the line.
fn text(text: &str) -> String {
    let is_plain =
        |c: char| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    page::escaped(&text.replace(|c| !is_plain(c), "\u{fffd}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        board::Workers,
        live::{self, Names},
        stats::Failure,
        store::Totals,
    };

    const HOSTILE: &str =
        "</span><script>alert(1)</script><img src=x onerror='a'> \"&\u{202e}\u{7}\r\ndata: x";

    fn worker(id: &str) -> WorkerState {
        let stage = StageState {
            name: "read".into(),
            limit: 8,
            in_flight: 3,
            queued: 2,
            waiting: 1.0,
            working: 3.0,
            done: 10,
            errors: 1,
            retries: 4,
            rate: 12.34,
        };
        WorkerState {
            id: id.into(),
            pid: 77,
            host: "h".into(),
            seen: 100,
            users: 5,
            in_flight: 3,
            rate: 12.34,
            stages: vec![stage],
            bottleneck: Some("the API".into()),
            ..WorkerState::default()
        }
    }

    fn view(workers: Vec<WorkerState>) -> View {
        let board = Workers { now: 100, workers };
        let totals = Totals { pages: 1, listed: 9, users: 7, orders: 20 };
        let names =
            Names { source: "http://h/".into(), store: "sqlite:x".into(), queue: Some("nats://h".into()) };
        let sums = Sums::of(&board);
        View { names, seconds: 3.4, totals, sums, board, rates: vec![0.0, 4.0, 2.0], ..View::default() }
    }

    /// Returns the changing part as readers get it.
    fn shown(view: View) -> String {
        String::from_utf8(live::rendered(view).fragment.to_vec()).unwrap()
    }

    #[test]
    fn stages_rates_bottleneck_and_workers_are_shown() {
        let page = shown(view(vec![worker("a"), WorkerState { seen: 0, ..worker("b") }]));
        for part in [
            "<h1>7 of 9 users stored</h1>",
            "It runs. 3 s so far; from http://h/ to sqlite:x, over nats://h</p>",
            "<dt>documents stored per second</dt><dd>12</dd>",
            "<dt>workers</dt><dd>1<small>1 dead</small></dd>",
            "<p class=\"bottleneck\">Bottleneck: the API</p>",
            "<path class=\"users\" d=\"M117 60.0L118 0.0L119 30.0\"/>",
            "data-label=\"in flight\"><span>3 of 8</span>",
            "300 ms + 100 ms<svg",
            "<rect class=\"answer\" width=\"75.0\"",
            "<span class=\"dead\">dead, seen 100 s ago</span>",
            "<span class=\"alive\">working</span>",
            "<span>77 on h</span>",
            "None so far: every document was read.",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }

    #[test]
    fn the_state_of_the_run_is_told() {
        let at = |ended, is_stopping| {
            let page = shown(View { ended, is_stopping, ..view(Vec::new()) });
            page.split_once("<p>").unwrap().1.split_once(" 3 s so far").unwrap().0.to_owned()
        };
        assert_eq!(at(None, false), "It runs.");
        assert_eq!(at(None, true), "It is stopping: what is in flight is finished.");
        assert_eq!(at(Some(Ended::Complete), false), "All is stored.");
        assert_eq!(at(Some(Ended::Drained), true), "It was asked to stop, and finished what it had begun.");
        assert_eq!(at(Some(Ended::Aborted), true), "It was stopped in the middle.");
    }

    #[test]
    fn texts_of_others_are_only_texts() {
        let mut hostile = worker(HOSTILE);
        hostile.host = HOSTILE.into();
        hostile.bottleneck = Some(HOSTILE.into());
        hostile.stages[0].name = HOSTILE.into();
        let mut view = view(vec![hostile]);
        view.names = Names { source: HOSTILE.into(), store: HOSTILE.into(), queue: Some(HOSTILE.into()) };
        view.failures = vec![Failure { url: HOSTILE.into(), reason: HOSTILE.into() }];
        let page = shown(view);
        let text = "&lt;/span&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=&#39;a&#39;&gt; \
                    &quot;&amp;\u{fffd}\u{fffd}\u{fffd}\u{fffd}data: x";
        assert_eq!(page.matches(text).count(), 10, "{page}");
        for raw in ["<script", "<img", "\u{202e}", "\u{7}", "\r", "\ndata"] {
            assert!(!page.contains(raw), "{raw:?}");
        }
    }

    #[test]
    fn lists_and_texts_of_others_are_cut_and_the_living_are_kept() {
        let mut workers: Vec<_> =
            (0..5000).map(|n| WorkerState { seen: 0, ..worker(&n.to_string()) }).collect();
        workers.push(worker("the-living-one"));
        workers[4000] = worker(&"x".repeat(1 << 20));
        workers[4000].stages = vec![workers[4000].stages[0].clone(); 1000];
        let mut view = view(workers);
        view.failures = vec![Failure { url: "ż".repeat(1 << 20), reason: "gone".into() }];
        view.failures_in_all = 12_345;
        let rendered = live::rendered(view);
        assert!(rendered.json.len() < 200_000, "{} bytes", rendered.json.len());
        let page = String::from_utf8(rendered.fragment.to_vec()).unwrap();
        assert!(page.len() < 200_000, "{} bytes", page.len());
        assert!(page.contains("the-living-one") && page.contains("4901 more are not shown"), "{page}");
        assert!(page.contains("12344 more are not shown"));
        assert!(page.contains(&format!("<span>{}…</span>", "ż".repeat(300))));
    }

    #[test]
    fn numbers_without_bounds_are_short() {
        for (value, shown) in [
            (0.0, "0.0"),
            (9.94, "9.9"),
            (9.96, "10"),
            (1234.5, "1234"),
            (1e300, "1.0e300"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), shown);
        }
        let mut hostile = worker("a");
        hostile.rate = 1e308;
        hostile.users = u64::MAX;
        hostile.stages[0] = StageState { waiting: f64::MAX, working: f64::MAX, ..hostile.stages[0].clone() };
        let page = shown(view(vec![hostile.clone(), hostile]));
        assert!(page.len() < 10_000, "{page}");
    }

    #[test]
    fn the_page_is_complete_and_loads_nothing() {
        let page = document(shown(view(vec![worker("a")])).as_bytes(), "0123");
        for foreign in ["src=", "@import", "url(", "<iframe"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert_eq!(page.matches("href=").count(), 1, "the icon alone, which is empty");
        assert_eq!(page.matches("nonce=\"0123\"").count(), 2);
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
        assert!(page.contains("<noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>"));
        assert!(content_policy("0123").to_str().unwrap().contains("script-src 'nonce-0123'"));
        assert_ne!(nonce(), nonce());
    }
}
