//! The report as an HTML page, which loads nothing and runs no scripts.

mod charts;
mod plot;

use std::fmt::Write as _;

use crate::{
    histogram::Histogram,
    report::{Ended, Report, milliseconds},
    timeline::Timeline,
};

/// The number of failures that are listed; the JSON has all of them.
const FAILURES_SHOWN: usize = 200;

pub(crate) const STYLE: &str = include_str!("page/style.css");

/// Returns the page of a run.
pub(crate) fn html(report: &Report, latencies: &Histogram, timeline: &Timeline) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>harvest: {} users in {:.1} s</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        report.users, report.seconds
    );
    page += &summary(report);
    page += &figures(report);

    let (rows, kept) = timeline.gantt.counts();
    let mut note = String::from("One row for each document that is being read.");
    if kept < rows {
        let _ = write!(note, " The first {kept} of {rows} rows are shown.");
    }
    if !timeline.gantt.grain().is_zero() {
        let _ = write!(note, " Spans closer than {:?} are shown as one.", timeline.gantt.grain());
    }
    let total = timeline.buckets.total();
    page += &section(
        "Every call",
        &note,
        &[
            ("answer", "call"),
            ("failed", "call that failed"),
            ("rest", "wait for the next attempt"),
            ("store", "wait for the store"),
        ],
        &charts::gantt(&timeline.gantt, total),
    );
    page += &section(
        "Rate",
        "How many calls ended, and how many users were stored, per second.",
        &[("answer", "calls answered"), ("failed", "calls failed"), ("users", "users stored")],
        &charts::rates(&timeline.buckets),
    );
    page += &section(
        "What documents waited for",
        "All that were begun and not yet stored.",
        &[
            ("answer", "the answer"),
            ("store", "the store"),
            ("rest", "the next attempt"),
            ("rate", "the rate limit"),
            ("place", "a place among the calls in flight"),
        ],
        &charts::waits(&timeline.buckets),
    );
    let quantiles = [report.p50_seconds, report.p99_seconds, report.max_seconds].map(milliseconds);
    let [median, p99, longest] = quantiles;
    page += &section(
        "Latency",
        &format!(
            "How long the calls took that brought a document: the median is {median}, 99 % are not above {p99} (both \
             dashed), the longest took {longest}."
        ),
        &[],
        &charts::latencies(latencies),
    );
    page += &failures(report);
    page += "</body>\n</html>\n";
    page
}

fn summary(report: &Report) -> String {
    let Report { users, orders, seconds, floor_seconds, one_by_one_seconds, .. } = report;
    let ended = match report.ended {
        Ended::Complete => "",
        Ended::Drained => " It was asked to stop before the end, and finished what it had begun.",
        Ended::Aborted => " It was stopped in the middle.",
    };
    format!(
        "<h1>{users} users and {orders} orders in {seconds:.2} s</h1>\n<p>The optimal schedule without a fault takes \
         {floor_seconds:.2} s, one call after another {one_by_one_seconds:.1} s.{ended}</p>\n"
    )
}

fn figures(report: &Report) -> String {
    let reasons = report.retries_by_reason.iter().map(|(reason, number)| format!("\n{number} for {reason}"));
    let limited = format!("{} calls\n{:.1} s in all", report.limiter_waits, report.limiter_wait_seconds);
    let tiles = [
        ("calls", report.calls.to_string()),
        ("refused by the budget", report.refused_by_budget.to_string()),
        ("waited for the rate limit", limited),
        ("failures", report.failures.len().to_string()),
        ("retries to store", report.store_retries.to_string()),
        ("not finished", format!("{} users", report.unfinished)),
        ("stored by runs before", format!("{} users", report.users_before)),
        (
            "memory",
            report.peak_rss_bytes.map_or("unknown".into(), |bytes| format!("{:.1} MB", bytes as f64 / 1e6)),
        ),
    ];
    let wide =
        [("connections at the worst moment", report.leases_in_words()), ("store", report.store.clone())];
    let mut list = String::from("<dl>\n");
    let mut tile = |class: &str, name: &str, value: &str| {
        // The first line is the figure, the others explain it.
        let value = escaped(value);
        let (figure, rest) = value.split_once('\n').unwrap_or((&value, ""));
        let rest = rest.replace('\n', "<br>");
        let _ = writeln!(list, "<div{class}><dt>{name}</dt><dd>{figure}<small>{rest}</small></dd></div>");
    };
    tile(" class=\"double\"", "retries", &format!("{}{}", report.retries, reasons.collect::<String>()));
    tiles.iter().for_each(|(name, value)| tile("", name, value));
    wide.iter().for_each(|(name, value)| tile(" class=\"wide\"", name, value));
    list + "</dl>\n"
}

fn section(title: &str, note: &str, legend: &[(&str, &str)], plot: &str) -> String {
    let entries: String =
        legend.iter().map(|(class, name)| format!("<li><i class=\"{class}\"></i>{name}</li>")).collect();
    let legend = if entries.is_empty() { entries } else { format!("<ul class=\"legend\">{entries}</ul>\n") };
    format!("<h2>{title}</h2>\n<p>{note}</p>\n{legend}{plot}")
}

fn failures(report: &Report) -> String {
    if report.failures.is_empty() {
        return "<h2>Failures</h2>\n<p>None: every document was read.</p>\n".into();
    }
    let mut table = String::from("<h2>Failures</h2>\n");
    if let Some(more) = report.failures.len().checked_sub(FAILURES_SHOWN + 1) {
        let _ = writeln!(table, "<p>The first {FAILURES_SHOWN}; there are {} more.</p>", more + 1);
    }
    table += "<table>\n<tr><th>document</th><th>reason</th></tr>\n";
    for failure in report.failures.iter().take(FAILURES_SHOWN) {
        let (url, reason) = (escaped(&failure.url), escaped(&failure.reason));
        let _ = writeln!(table, "<tr><td>{url}</td><td>{reason}</td></tr>");
    }
    table + "</table>\n"
}

/// Escapes text for HTML, in quoted attributes as well.
pub(crate) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        lower_bound::Job,
        stats::{Counts, Failure},
    };

    fn page(failures: usize) -> String {
        let failure = |n| Failure { url: format!("http://h/{n}?a&b"), reason: "<html>".into() };
        let counts = Counts { failures: (0..failures).map(failure).collect(), ..Counts::default() };
        let latency = Duration::from_millis(200);
        let job = Job { documents: 1, pages: 1, latency, concurrency: 10, rate: None };
        let report = Report::new(Ended::Aborted, counts, Duration::from_millis(450), &job, "sqlite:x".into());
        html(&report, &Histogram::default(), &Timeline::start())
    }

    #[test]
    fn a_run_without_calls_has_a_page() {
        let page = page(0);
        assert!(
            page.contains("It was stopped in the middle.") && page.contains("None: every document was read.")
        );
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }

    #[test]
    fn failures_are_listed_as_they_are_and_not_without_end() {
        assert!(page(1).contains("<td>http://h/0?a&amp;b</td><td>&lt;html&gt;</td>"));
        assert!(!page(200).contains("there are"));
        let many = page(1203);
        assert_eq!(many.matches("<td>&lt;html&gt;</td>").count(), 200);
        assert!(many.contains("The first 200; there are 1003 more."));
    }
}
