//! The report as JSON, with all pages of each broken link.

use std::io::{self, Write};

use serde_json::json;

use super::{PART, Report};
use crate::error::Fatal;

impl Report<'_> {
    /// Writes the report as JSON.
    pub(crate) async fn json(&self, out: &mut impl Write) -> Result<io::Result<()>, Fatal> {
        let numbers = json!(self.numbers).to_string();
        // The object of the numbers, left open.
        let head = format!("{},\"broken\":[", numbers.trim_end_matches('}'));
        if let Err(error) = out.write_all(head.as_bytes()) {
            return Ok(Err(error));
        }
        let mut separator = "\n";
        for (kind, _) in &self.broken {
            let mut behind = (String::new(), String::new());
            loop {
                let part = self.store.broken(*kind, (&behind.0, &behind.1), PART).await?;
                let Some(last) = part.last() else { break };
                behind = (last.url.clone(), last.fragment.clone());
                for broken in part {
                    let link = json!({
                        "problem": kind.name(), "url": broken.url, "fragment": broken.fragment,
                        "detail": broken.problem.detail,
                    });
                    let link = link.to_string();
                    let mut written = write!(out, "{separator}{},\"pages\":[", link.trim_end_matches('}'));
                    separator = ",\n";
                    let mut page = String::new();
                    loop {
                        let pages = self.store.pages_of(&broken, &page, PART).await?;
                        let Some(last) = pages.last() else { break };
                        let comma = if page.is_empty() { "" } else { "," };
                        page.clone_from(last);
                        let list = json!(pages).to_string();
                        written =
                            written.and_then(|()| write!(out, "{comma}{}", list.trim_matches(['[', ']'])));
                    }
                    if let Err(error) = written.and_then(|()| out.write_all(b"]}")) {
                        return Ok(Err(error));
                    }
                }
            }
        }
        Ok(writeln!(out, "]}}").and_then(|()| out.flush()))
    }
}
