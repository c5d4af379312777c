//! Reads pages: the users on one, and the link to the next.

use evenkeel::task::Stop;
use reqwest::Url;

use crate::{
    api::{self, Answer, Api},
    link,
    stats::Failure,
    store::Page,
};

/// A page that was read, and the URL of the next one.
#[derive(Debug)]
pub(crate) struct ReadPage {
    pub(crate) page: Page,
    pub(crate) next: Option<Url>,
}

/// Returns the URL of a page whose relative one was stored.
pub(crate) fn resolve(api: &Api, stored: &str) -> Result<Url, Failure> {
    let first = api.first_page();
    // `link::next` returns `None` for a link of the first page to itself: here that page is the one.
    let page = link::next(&first, &first, stored).map_err(|reason| api::failure(&first, reason))?;
    Ok(page.unwrap_or(first))
}

/// Reads a page. Returns `None` if a stop came before.
pub(crate) async fn read(api: &Api, url: &Url, stop: &Stop) -> Option<Answer<ReadPage>> {
    let Answer { outcome, guard } = tokio::select! {
        biased;
        () = stop.draining() => None,
        answer = api.page(url, stop) => answer,
    }?;
    let outcome = outcome.map(|(page, at)| {
        let next = page.next().and_then(|next| next.map_or(Ok(None), |next| link::next(url, &at, &next)));
        let (users, flaws) = page.users();
        let mut failures: Vec<_> = flaws.into_iter().map(|flaw| api::at(url, flaw)).collect();
        let next = next.unwrap_or_else(|reason| {
            failures.push(api::failure(url, reason));
            None
        });
        let then = next.as_ref().map(|next| api.relative(next));
        ReadPage { page: Page { this: api.relative(url), users, next: then, failures }, next }
    });
    Some(Answer { outcome, guard })
}
