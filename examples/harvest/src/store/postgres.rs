//! The store in a PostgreSQL database.

use std::{process, sync::Arc, time::Duration};

use evenkeel::{
    postgres::{Database, Error, Tx, TxOptions, tokio_postgres::Config},
    task::Stop,
};
use tokio::time::sleep;

use super::{
    Entry, Left, Page, StoreError, Totals, Trouble,
    location::{SCHEMA, chain, sets_search_path},
    sql,
};
use crate::{
    api::Fetched,
    model::{Call, Document},
    stats::{Failure, Stats},
};

/// How long a connection may take: in this time it is tried again.
const CONNECT: Duration = Duration::from_secs(5);

/// A batch is stored while a page is.
const CONNECTIONS: usize = 2;

/// Ends the connections of this name.
const KILL: &str =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";

/// A handle: clones are the same database.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    config: Box<Config>,
    db: Database,
    stats: Arc<Stats>,
    /// What the server knows this run's connections by.
    name: String,
}

impl Postgres {
    /// Connects, and makes the tables unless they are there.
    pub(super) async fn open(config: &Config, stats: Arc<Stats>) -> Result<Self, StoreError> {
        let name = format!("harvest {}", process::id());
        let db = connect(config, &name, CONNECTIONS).await?;
        let (schema,): (Option<String>,) = db.fetch_one("SELECT current_schema()", ()).await?;
        if schema.is_none() && !sets_search_path(config) {
            db.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}")).await?;
        }
        db.batch_execute(sql::SCHEMA).await?;
        for check in sql::CHECKS {
            db.execute(check, ()).await?;
        }
        Ok(Self { config: Box::new(config.clone()), db, stats, name })
    }

    pub(super) async fn begin(&self, source: String, first: String) -> Result<Left, StoreError> {
        let left = self.db.transaction(TxOptions::new(), async |tx| begin(&tx, &source, &first).await);
        Ok(left.await?)
    }

    /// Stores an entry, all or nothing.
    pub(super) async fn write(&self, entry: Arc<Entry>) -> Result<Totals, StoreError> {
        let totals = match &*entry {
            Entry::Page(page) => {
                self.db.transaction(TxOptions::new(), async |tx| self.turn(&tx, page).await).await
            }
            Entry::Batch(batch) => {
                self.db.transaction(TxOptions::new(), async |tx| self.save(&tx, batch).await).await
            }
            Entry::End(failure) => {
                self.db.transaction(TxOptions::new(), async |tx| end(&tx, failure).await).await
            }
        };
        Ok(totals?)
    }

    pub(super) async fn totals(&self) -> Result<Totals, StoreError> {
        // A transaction that nobody waits for any more may be about to change them: this waits for it.
        let sql = format!("{} FOR UPDATE", sql::TOTALS);
        Ok(Totals::new(self.db.fetch_one::<(i64, i64, i64, i64)>(&sql, ()).await?.into()))
    }

    /// Ends the run's connections now and then, or locks its tables, as an administrator might.
    pub(super) async fn disturb(&self, mut trouble: Trouble, end: &Stop) -> Result<(), StoreError> {
        let other = connect(&self.config, "harvest chaos", 1).await?;
        while trouble.pause(end).await {
            if trouble.draw(2) == 0 {
                other.fetch_one::<(i64,)>(KILL, (&self.name,)).await?;
            } else {
                let time = trouble.hold();
                let lock = async |tx: Tx| {
                    tx.batch_execute("LOCK TABLE harvest_users IN EXCLUSIVE MODE").await?;
                    sleep(time).await;
                    Ok::<_, Error>(())
                };
                other.transaction(TxOptions::new(), lock).await?;
            }
        }
        Ok(())
    }

    async fn turn(&self, tx: &Tx, page: &Page) -> Result<Totals, Error> {
        self.leased();
        let users = page.users.iter();
        let users: Vec<_> = users.map(|user| (user.id, &*user.name, &*user.email, user.active)).collect();
        let listed = tx.execute_many(sql::LIST_USER, &users).await? as i64;
        if let Some(failure) = &page.failure {
            failed(tx, failure).await?;
        }
        tx.execute(sql::TURN, (&page.next, listed, &page.this)).await?;
        totals(tx).await
    }

    async fn save(&self, tx: &Tx, batch: &[Fetched]) -> Result<Totals, Error> {
        self.leased();
        let (mut orders_read, mut orders, mut prefs_read) = (Vec::new(), Vec::new(), Vec::new());
        for Fetched { call: Call { user, .. }, document, .. } in batch {
            match document {
                Document::Orders(read) => {
                    orders_read.push((*user,));
                    orders.extend(read.iter().map(|order| (order.id, *user, order.cents, &*order.currency)));
                }
                Document::Prefs(prefs) => {
                    let prefs = prefs.as_ref();
                    let theme = prefs.map(|prefs| prefs.theme.as_str());
                    let locale = prefs.map(|prefs| prefs.locale.as_str());
                    prefs_read.push((theme, locale, prefs.map(|prefs| prefs.newsletter), *user));
                }
            }
        }
        let failures = batch.iter().filter_map(|fetched| fetched.failure.as_ref());
        let failures: Vec<_> =
            failures.map(|Failure { url, reason }| (url.as_str(), reason.as_str())).collect();
        tx.execute_many(sql::READ_ORDER, &orders).await?;
        tx.execute_many(sql::ORDERS_READ, &orders_read).await?;
        tx.execute_many(sql::PREFS_READ, &prefs_read).await?;
        tx.execute_many(sql::FAILED, &failures).await?;
        let users = tx.execute(sql::COMPLETE_USERS, ()).await? as i64;
        let orders = tx.execute(sql::COMPLETE_ORDERS, ()).await? as i64;
        for statement in sql::CLEAR {
            tx.execute(statement, ()).await?;
        }
        tx.execute(sql::COUNT, (users, orders)).await?;
        totals(tx).await
    }

    fn leased(&self) {
        self.stats.leased(&self.db.stats(), &self.db.holders());
    }
}

async fn connect(config: &Config, name: &str, connections: usize) -> Result<Database, Error> {
    let mut config = config.clone();
    if !sets_search_path(&config) {
        let options = config.get_options().unwrap_or_default().to_owned();
        config.options(format!("{options} -c search_path={SCHEMA}"));
    }
    config.application_name(name);
    let database = Database::builder(config).max(connections);
    database.connect_timeout(CONNECT).acquire_timeout(CONNECT).connect().await
}

async fn begin(tx: &Tx, source: &str, first: &str) -> Result<Left, Error> {
    type Pass = (String, Option<String>, i64, i64, i64, i64, i64);
    match tx.fetch_opt::<Pass>(sql::PASS, ()).await? {
        Some((of, next, pages, listed, users, orders, open))
            if of == source && (next.is_some() || open > 0) =>
        {
            let calls = tx.fetch_all::<(i64, bool, bool)>(sql::LEFT, ()).await?;
            let calls = calls.into_iter().flat_map(|(id, orders, prefs)| Left::of_user(id, orders, prefs));
            let failures = tx.fetch_all::<(String, String)>(sql::FAILURES, ()).await?;
            let failures = failures.into_iter().map(|(url, reason)| Failure { url, reason }).collect();
            let totals = Totals::new([pages, listed, users, orders]);
            Ok(Left { next, calls: calls.collect(), totals, failures })
        }
        _ => {
            for statement in sql::FORGET {
                tx.execute(statement, ()).await?;
            }
            tx.execute(sql::BEGIN_PASS, (source, first)).await?;
            Ok(Left::all(first))
        }
    }
}

async fn failed(tx: &Tx, failure: &Failure) -> Result<(), Error> {
    tx.execute(sql::FAILED, (&failure.url, &failure.reason)).await.map(drop)
}

async fn end(tx: &Tx, failure: &Failure) -> Result<Totals, Error> {
    failed(tx, failure).await?;
    tx.execute(sql::END, ()).await?;
    totals(tx).await
}

async fn totals(tx: &Tx) -> Result<Totals, Error> {
    Ok(Totals::new(tx.fetch_one::<(i64, i64, i64, i64)>(sql::TOTALS, ()).await?.into()))
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        // Every entry can be stored again, so it does not matter whether a commit has come about.
        let passes = error.is_connection_lost()
            || error.is_commit_unknown()
            || error.is_conflict()
            || matches!(error, Error::Get(_));
        Self { reason: chain(&error), passes }
    }
}
