//! The questions of the check and of the report.

use super::{Statement, Store, sql};
use crate::{
    anchors::Anchors,
    error::Fatal,
    outcome::{Kind, Problem},
    scope::Role,
};

/// A page as the target of a fragment.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: String,
    /// `ok`, `redirect`, `disallowed` or the kind of a problem; `None` on another host.
    pub(crate) outcome: Option<String>,
    /// `None` if it is no HTML that was read.
    pub(crate) anchors: Option<Anchors>,
}

/// A broken link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The number of the URL that it leads to.
    pub(crate) target: i64,
    pub(crate) url: String,
    pub(crate) fragment: String,
    pub(crate) problem: Problem,
}

/// The numbers of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Pages whose links were followed.
    pub(crate) pages: i64,
    /// Other URLs that were loaded.
    pub(crate) checked: i64,
    pub(crate) redirects: i64,
    /// URLs that could not be loaded.
    pub(crate) failed: i64,
    pub(crate) disallowed: i64,
    /// URLs in the frontier.
    pub(crate) queued: i64,
    /// URLs of other hosts, which are not asked.
    pub(crate) external: i64,
    /// Links on the pages.
    pub(crate) links: i64,
}

impl Totals {
    /// The URLs with an outcome.
    pub(crate) const fn done(&self) -> i64 {
        self.pages + self.checked + self.redirects + self.failed + self.disallowed
    }
}

impl Store {
    pub(crate) async fn totals(&self) -> Result<Totals, Fatal> {
        let mut totals = Totals::default();
        for (outcome, role, urls, links) in self.fetch::<(String, i64, i64, i64)>(sql::TOTALS, vec![]).await?
        {
            let of = match (outcome.as_str(), Role::from_code(role)) {
                (_, Role::External) => &mut totals.external,
                ("queued", _) => &mut totals.queued,
                ("ok", Role::Follow) => &mut totals.pages,
                ("ok" | "file", _) => &mut totals.checked,
                ("redirect", _) => &mut totals.redirects,
                ("disallowed", _) => &mut totals.disallowed,
                _ => &mut totals.failed,
            };
            *of += urls;
            totals.links += links;
        }
        Ok(totals)
    }

    /// Removes everything that this pass has not seen, and prepares the check.
    pub(crate) async fn begin_check(&self) -> Result<(), Fatal> {
        let mut statements: Vec<Statement> = vec![(sql::CLEAR_BROKEN, vec![])];
        if self.pass > 1 {
            statements.extend(sql::PRUNE.map(|prune| (prune, vec![self.pass.into()])));
        }
        statements.push((sql::CREATE_INDEX, vec![]));
        self.transaction(statements).await
    }

    /// Returns URLs that could not be loaded, behind this number.
    pub(crate) async fn failed(&self, behind: i64, limit: i64) -> Result<Vec<Broken>, Fatal> {
        let rows: Vec<(i64, String, String, Option<String>)> =
            self.fetch(sql::FAILED, vec![behind.into(), limit.into()]).await?;
        let broken = rows.into_iter().map(|(target, url, kind, detail)| {
            let problem = Problem::new(kind_of(&kind)?, detail.unwrap_or_default());
            Ok(Broken { target, url, fragment: String::new(), problem })
        });
        broken.collect()
    }

    /// Returns URLs that redirect, with their numbers.
    pub(crate) async fn redirects(&self, behind: i64, limit: i64) -> Result<Vec<(i64, String)>, Fatal> {
        self.fetch(sql::REDIRECTS, vec![behind.into(), limit.into()]).await
    }

    /// Returns distinct targets with a fragment, behind these.
    pub(crate) async fn fragments(
        &self,
        behind: &(i64, String),
        limit: i64,
    ) -> Result<Vec<(i64, String)>, Fatal> {
        let values = vec![behind.0.into(), (&*behind.1).into(), limit.into()];
        self.fetch(sql::FRAGMENTS, values).await
    }

    pub(crate) async fn page(&self, id: i64) -> Result<Option<Page>, Fatal> {
        let rows: Vec<(String, Option<String>, Option<Vec<u8>>)> =
            self.fetch(sql::PAGE, vec![id.into()]).await?;
        let page = |(url, outcome, hashes): (_, _, Option<Vec<u8>>)| Page {
            url,
            outcome,
            anchors: hashes.map(|hashes| Anchors::from_bytes(&hashes)),
        };
        Ok(rows.into_iter().next().map(page))
    }

    /// Returns the target of a redirect, with its fragment.
    pub(crate) async fn redirect_target(&self, id: i64) -> Result<Option<(i64, String)>, Fatal> {
        Ok(self.fetch(sql::REDIRECT_TARGET, vec![id.into()]).await?.into_iter().next())
    }

    pub(crate) async fn add_broken(&self, broken: &[Broken]) -> Result<(), Fatal> {
        if broken.is_empty() {
            return Ok(());
        }
        let add = |Broken { target, fragment, problem, .. }: &Broken| {
            let kind = problem.kind.name().into();
            (sql::ADD_BROKEN, vec![(*target).into(), (&**fragment).into(), kind, (&*problem.detail).into()])
        };
        self.transaction(broken.iter().map(add).collect()).await
    }

    /// Ends the pass.
    pub(crate) async fn complete(&self) -> Result<(), Fatal> {
        self.transaction(vec![(sql::COMPLETE, vec![])]).await
    }

    /// Returns the number of broken links of each kind.
    pub(crate) async fn broken_counts(&self) -> Result<Vec<(Kind, i64)>, Fatal> {
        let rows: Vec<(String, i64)> = self.fetch(sql::BROKEN_COUNTS, vec![]).await?;
        let mut counts = rows
            .into_iter()
            .map(|(kind, count)| Ok((kind_of(&kind)?, count)))
            .collect::<Result<Vec<_>, Fatal>>()?;
        counts.sort_unstable();
        Ok(counts)
    }

    /// Returns broken links of one kind by their target, behind this address and fragment.
    pub(crate) async fn broken(
        &self,
        kind: Kind,
        behind: (&str, &str),
        limit: i64,
    ) -> Result<Vec<Broken>, Fatal> {
        let values = vec![kind.name().into(), behind.0.into(), behind.1.into(), limit.into()];
        let rows: Vec<(i64, String, String, String)> = self.fetch(sql::BROKEN, values).await?;
        let broken = |(target, url, fragment, detail)| {
            let problem = Problem { kind, detail };
            Broken { target, url, fragment, problem }
        };
        Ok(rows.into_iter().map(broken).collect())
    }

    /// Returns pages with this broken link, behind this address.
    pub(crate) async fn pages_of(
        &self,
        broken: &Broken,
        behind: &str,
        limit: i64,
    ) -> Result<Vec<String>, Fatal> {
        let (behind, limit) = (behind.into(), limit.into());
        let rows: Vec<(String,)> = if broken.problem.kind == Kind::Fragment {
            let place = vec![broken.target.into(), (&*broken.fragment).into(), behind, limit];
            self.fetch(sql::PAGES_OF_PLACE, place).await?
        } else {
            self.fetch(sql::PAGES_OF_TARGET, vec![broken.target.into(), behind, limit]).await?
        };
        Ok(rows.into_iter().map(|(page,)| page).collect())
    }

    /// Returns the number of pages with this broken link.
    pub(crate) async fn count_pages_of(&self, broken: &Broken) -> Result<i64, Fatal> {
        let rows: Vec<(i64,)> = if broken.problem.kind == Kind::Fragment {
            let place = vec![broken.target.into(), (&*broken.fragment).into()];
            self.fetch(sql::COUNT_PAGES_OF_PLACE, place).await?
        } else {
            self.fetch(sql::COUNT_PAGES_OF_TARGET, vec![broken.target.into()]).await?
        };
        Ok(rows.first().map_or(0, |(count,)| *count))
    }
}

fn kind_of(text: &str) -> Result<Kind, Fatal> {
    text.parse().map_err(|error| Fatal::Broken(format!("the store is broken: {error}")))
}
