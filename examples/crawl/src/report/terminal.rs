//! The report for a terminal.

use comfy_table::{Table, presets::NOTHING};

use super::Report;
use crate::{error::Fatal, ignore::link};

/// The number of broken links of a kind that are shown.
const MAX_BROKEN: i64 = 25;
/// The number of pages with a broken link that are shown.
const MAX_PAGES: i64 = 3;

impl Report<'_> {
    /// Returns the report as text.
    pub(crate) async fn text(&self) -> Result<String, Fatal> {
        let mut text = String::new();
        for (kind, count) in &self.broken {
            text += &format!("\n{kind}: {count}\n");
            let written = self.each(*kind, MAX_BROKEN, MAX_PAGES, |broken, pages, count| {
                let detail = &broken.problem.detail;
                text += &format!("  {}  ({detail})\n", link(&broken.url, &broken.fragment));
                pages.iter().for_each(|page| text += &format!("    on {page}\n"));
                if count > pages.len() as i64 {
                    text += &format!("    and on {} more\n", count - pages.len() as i64);
                }
                Ok(())
            });
            // Text in memory can always be written.
            let _ = written.await?;
            if *count > MAX_BROKEN {
                text += &format!("  and {} more: --json and --report have all\n", count - MAX_BROKEN);
            }
        }
        let n = &self.numbers;
        let mut table = Table::new();
        table.load_preset(NOTHING);
        let with =
            |count: i64, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
        table.add_row(vec!["crawl".into(), format!("{}, {:.1} s", n.ended, n.seconds)]);
        table.add_row(vec![
            "URLs".into(),
            format!(
                "{}: {} pages, {} others checked, {} failed{}{}{}",
                n.urls,
                n.pages,
                n.checked,
                n.failed,
                with(n.redirects, "redirects"),
                with(n.disallowed, "not allowed by robots.txt"),
                with(n.queued, "still to visit"),
            ),
        ]);
        table.add_row(vec![
            "links".into(),
            format!(
                "{}{}{}",
                n.links,
                with(n.external, "URLs of other hosts, not asked"),
                with(n.links_too_long, "too long to be checked"),
            ),
        ]);
        table.add_row(vec![
            "requests".into(),
            format!(
                "{}, {} retries{}, {:.1} MB",
                n.requests,
                n.retries,
                with(n.unchanged, "unchanged"),
                n.bytes as f64 / 1e6
            ),
        ]);
        let broken = if n.is_complete() {
            format!("{}", self.broken())
        } else {
            "links are checked at the end of the crawl: the same command again goes on".into()
        };
        table.add_row(vec!["broken".into(), broken]);
        text += &format!("\n{table}");
        Ok(text.trim_start().to_owned())
    }
}
