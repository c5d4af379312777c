//! Finds the broken links, at the end of a pass: of everything that was loaded, in parts of a bounded size.

use std::ops::ControlFlow;

use evenkeel::task::Stop;

use crate::{
    error::Fatal,
    ignore::{Ignore, link},
    outcome::{Kind, Problem},
    store::{Broken, Page, Store},
};

/// The number of rows that are read at a time.
const PART: i64 = 500;

/// The check of all links.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) store: Store,
    pub(crate) ignore: Ignore,
    /// The maximum number of redirects behind a link.
    pub(crate) max_redirects: usize,
}

/// The end of a chain of redirects.
struct End {
    id: i64,
    page: Page,
    /// The last fragment on the way.
    fragment: Option<String>,
    problem: Option<String>,
}

impl Check {
    /// Finds the broken links and stores them, unless `stop` drains.
    pub(crate) async fn run(&self, stop: &Stop) -> Result<ControlFlow<()>, Fatal> {
        self.store.begin_check().await?;
        let parts = [self.loads(stop).await?, self.redirects(stop).await?, self.fragments(stop).await?];
        if parts.iter().any(ControlFlow::is_break) {
            return Ok(ControlFlow::Break(()));
        }
        self.store.complete().await?;
        Ok(ControlFlow::Continue(()))
    }

    /// Links to URLs that could not be loaded.
    async fn loads(&self, stop: &Stop) -> Result<ControlFlow<()>, Fatal> {
        let mut behind = 0;
        while !stop.is_draining() {
            let failed = self.store.failed(behind, PART).await?;
            let Some(last) = failed.last() else { return Ok(ControlFlow::Continue(())) };
            behind = last.target;
            self.report(failed).await?;
        }
        Ok(ControlFlow::Break(()))
    }

    /// Redirects that lead to a broken URL, in a circle, or too far.
    async fn redirects(&self, stop: &Stop) -> Result<ControlFlow<()>, Fatal> {
        let mut behind = 0;
        while !stop.is_draining() {
            let redirects = self.store.redirects(behind, PART).await?;
            let Some((last, _)) = redirects.last() else { return Ok(ControlFlow::Continue(())) };
            behind = *last;
            let mut broken = Vec::new();
            for (target, url) in redirects {
                let Some(end) = self.end(target).await? else { continue };
                let failed = end.page.outcome.as_deref().and_then(|outcome| outcome.parse::<Kind>().ok());
                let problem =
                    end.problem.or_else(|| failed.map(|kind| format!("to {}: {kind}", end.page.url)));
                if let Some(detail) = problem {
                    let problem = Problem::new(Kind::Redirect, detail);
                    broken.push(Broken { target, url, fragment: String::new(), problem });
                }
            }
            self.report(broken).await?;
        }
        Ok(ControlFlow::Break(()))
    }

    /// Fragments without a target on their page.
    async fn fragments(&self, stop: &Stop) -> Result<ControlFlow<()>, Fatal> {
        let mut behind = (0, String::new());
        // The page of the fragments before.
        let mut known: Option<(i64, String, Option<End>)> = None;
        while !stop.is_draining() {
            let fragments = self.store.fragments(&behind, PART).await?;
            let Some(last) = fragments.last() else { return Ok(ControlFlow::Continue(())) };
            behind = last.clone();
            let mut broken = Vec::new();
            for (target, fragment) in fragments {
                if known.as_ref().is_none_or(|(id, ..)| *id != target) {
                    let url = self.store.page(target).await?.map(|page| page.url).unwrap_or_default();
                    known = Some((target, url, self.end(target).await?));
                }
                let Some((_, url, Some(end))) = &known else { continue };
                let leads_to = end.fragment.as_ref().unwrap_or(&fragment);
                // A page that could not be loaded is broken already, and one that is no HTML has no anchors.
                let Some(anchors) = end.page.anchors.as_ref().filter(|_| end.problem.is_none()) else {
                    continue;
                };
                if !anchors.have(leads_to) {
                    let place = if end.id == target {
                        "no such place on the page".to_owned()
                    } else {
                        format!("no such place: {}", link(&end.page.url, leads_to))
                    };
                    let problem = Problem::new(Kind::Fragment, place);
                    broken.push(Broken { target, url: url.clone(), fragment, problem });
                }
            }
            self.report(broken).await?;
        }
        Ok(ControlFlow::Break(()))
    }

    /// Follows redirects from this URL to their end.
    async fn end(&self, id: i64) -> Result<Option<End>, Fatal> {
        let (mut id, mut fragment) = (id, None);
        let mut way = vec![id];
        loop {
            let Some(page) = self.store.page(id).await? else { return Ok(None) };
            let mut end = End { id, page, fragment: fragment.clone(), problem: None };
            if end.page.outcome.as_deref() != Some("redirect") {
                return Ok(Some(end));
            }
            let Some((next, of_its_own)) = self.store.redirect_target(id).await? else {
                return Ok(Some(end));
            };
            if way.contains(&next) {
                end.problem = Some("redirects in a circle".into());
                return Ok(Some(end));
            }
            if way.len() > self.max_redirects {
                end.problem = Some(format!("more than {} redirects", self.max_redirects));
                return Ok(Some(end));
            }
            fragment = Some(of_its_own).filter(|fragment| !fragment.is_empty()).or(fragment);
            way.push(next);
            id = next;
        }
    }

    async fn report(&self, mut broken: Vec<Broken>) -> Result<(), Fatal> {
        broken.retain(|broken| !self.ignore.matches(&broken.url, &broken.fragment));
        self.store.add_broken(&broken).await
    }
}
