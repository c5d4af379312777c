//! The report as a page. It loads nothing and runs no scripts.

use std::io::{self, Write};

use super::Report;
use crate::{error::Fatal, ignore::link, outcome::Kind};

/// The number of pages with a broken link that are shown.
const MAX_PAGES: i64 = 50;

const STYLE: &str = include_str!("style.css");

impl Report<'_> {
    /// Writes the report as a page.
    pub(crate) async fn html(&self, out: &mut impl Write) -> Result<io::Result<()>, Fatal> {
        if let Err(error) = self.head(out) {
            return Ok(Err(error));
        }
        for (kind, count) in &self.broken {
            let head =
                format!("<h2>{} <small>{count}</small></h2>\n<p>{}</p>\n", title(*kind), meaning(*kind));
            let mut written = out.write_all(head.as_bytes());
            let listed = self.each(*kind, *count, MAX_PAGES, |broken, pages, count| {
                let link = link(&broken.url, &broken.fragment).to_string();
                let detail = escaped(&broken.problem.detail);
                let noun = if count == 1 { "page" } else { "pages" };
                let summary = format!("{} <small>{detail}; {count} {noun}</small>", anchor(&link));
                write!(out, "<details><summary>{summary}</summary><ul>")?;
                pages.iter().try_for_each(|page| write!(out, "<li>{}</li>", anchor(page)))?;
                if count > pages.len() as i64 {
                    write!(out, "<li>and {} more</li>", count - pages.len() as i64)?;
                }
                writeln!(out, "</ul></details>")
            });
            written = written.and(listed.await?);
            if written.is_err() {
                return Ok(written);
            }
        }
        Ok(writeln!(out, "</body></html>").and_then(|()| out.flush()))
    }

    fn head(&self, out: &mut impl Write) -> io::Result<()> {
        let n = &self.numbers;
        let title = format!("Broken links of {}", escaped(&n.start));
        writeln!(
            out,
            "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>{title}</title>\
             <style>{STYLE}</style></head><body><h1>{title}</h1><table>"
        )?;
        let rows = [
            ("crawl", format!("{}, {:.1} s, pass {}", n.ended, n.seconds, n.pass)),
            ("broken links", self.broken().to_string()),
            ("URLs", n.urls.to_string()),
            ("pages", n.pages.to_string()),
            ("others, checked", n.checked.to_string()),
            ("redirects", n.redirects.to_string()),
            ("failed", n.failed.to_string()),
            ("not allowed by robots.txt", n.disallowed.to_string()),
            ("still to visit", n.queued.to_string()),
            ("URLs of other hosts, not asked", n.external.to_string()),
            ("links", n.links.to_string()),
            ("requests, retries", format!("{}, {}", n.requests, n.retries)),
            ("unchanged since the last pass", n.unchanged.to_string()),
        ];
        rows.iter()
            .try_for_each(|(name, value)| writeln!(out, "<tr><th>{name}</th><td>{value}</td></tr>"))?;
        writeln!(out, "</table>")?;
        if !n.is_complete() {
            writeln!(out, "<p>Links are checked at the end of the crawl; this one is not finished.</p>")?;
        } else if self.broken.is_empty() {
            writeln!(out, "<p>No link is broken.</p>")?;
        }
        Ok(())
    }
}

const fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Status => "Refused or missing",
        Kind::Fragment => "Missing places",
        Kind::Redirect => "Redirects",
        Kind::Timeout => "Time-outs",
        Kind::Tls => "TLS",
        Kind::TooLarge => "Too large",
        Kind::Unreachable => "Unreachable",
        Kind::Robots => "Unknown rules",
    }
}

const fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::Status => "The server answered with an error.",
        Kind::Fragment => "The page is there, and has no element with this id or name.",
        Kind::Redirect => {
            "The redirects end at a broken link, run in a circle, are too many, or have no target."
        }
        Kind::Timeout => "The server did not answer in time.",
        Kind::Tls => "No secure connection came about.",
        Kind::TooLarge => "The page is larger than allowed, and was not read to its end.",
        Kind::Unreachable => "No connection came about, or it broke.",
        Kind::Robots => "The robots.txt could not be read, so nothing may be asked for.",
    }
}

fn anchor(url: &str) -> String {
    let url = escaped(url);
    format!("<a href=\"{url}\">{url}</a>")
}

fn escaped(text: &str) -> String {
    htmlize::escape_all_quotes(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_site_is_markup_here() {
        assert_eq!(
            anchor("http://h/?\"'&<>"),
            "<a href=\"http://h/?&quot;&apos;&amp;&lt;&gt;\">http://h/?&quot;&apos;&amp;&lt;&gt;</a>"
        );
    }
}
