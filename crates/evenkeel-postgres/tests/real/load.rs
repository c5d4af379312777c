//! A load whose outcome can be checked to the row: reads, transfers of money, single and bulk writes, dropped calls.
//!
//! # How it works
//!
//! Each worker repeats its kind of call until it is told to stop. A write has a key of its own, and its result says how
//! many rows with that key may be there in the end: all, none, or either where the call said that it does not know. The
//! check compares the tables with these claims, so a lost, a doubled and a torn write are all seen.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_postgres::{Database, Error, Policy, Tx, TxOptions};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    sync::Barrier,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::harness::number;

const ACCOUNTS: i64 = 20;
const BALANCE: i64 = 1_000;
const ROWS: i64 = 60;

/// The claim of a call about its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Claim {
    Stored,
    NotStored,
    Unknown,
    /// The call was dropped, so nobody was told.
    Dropped,
}

/// A write: its key, the number of its rows, and what it said.
type Write = (i64, i64, Claim);

/// The numbers of calls that ended in each way.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) reads: i64,
    pub(crate) failed_reads: i64,
    pub(crate) stored: i64,
    pub(crate) not_stored: i64,
    pub(crate) unknown: i64,
    pub(crate) dropped: i64,
}

/// Workers on the tables of a schema.
pub(crate) struct Load {
    db: Database,
    schema: Arc<str>,
    is_over: Arc<AtomicBool>,
    workers: JoinSet<(Counts, Vec<Write>)>,
}

#[derive(Clone)]
struct Worker {
    db: Database,
    schema: Arc<str>,
    is_over: Arc<AtomicBool>,
    keys: Arc<AtomicI64>,
    drops: bool,
    random: u64,
    counts: Arc<std::sync::Mutex<Counts>>,
}

impl Load {
    /// Starts two workers of each kind. The tables are named with their schema, for a pooler that knows no search path.
    ///
    /// `drops` says whether calls are dropped in the middle, which cancels them on the server.
    pub(crate) async fn start(db: &Database, admin: &Database, schema: &str, drops: bool) -> Load {
        let tables = format!(
            "create table {schema}.accounts (id int8 primary key, balance int8 not null);
             insert into {schema}.accounts select id, {BALANCE} from generate_series(0, {ACCOUNTS} - 1) id;
             create table {schema}.transfers (key int8, source int8, target int8, amount int8);
             create table {schema}.writes (key int8, n int8);
             create table {schema}.upserts (key int8, n int8, primary key (key, n));
             create table {schema}.once (key int8 primary key);"
        );
        admin.batch_execute(&tables).await.unwrap();
        let (is_over, keys) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(1)));
        let (schema, db) = (Arc::<str>::from(schema), db.clone());
        let mut workers = JoinSet::new();
        for n in 0..2 {
            for kind in 0..KINDS - u64::from(!drops) {
                let worker = Worker {
                    db: db.clone(),
                    schema: Arc::clone(&schema),
                    is_over: Arc::clone(&is_over),
                    keys: Arc::clone(&keys),
                    drops,
                    random: 7 + n * KINDS + kind,
                    counts: Arc::default(),
                };
                workers.spawn(worker.run(kind));
            }
        }
        Load { db, schema, is_over, workers }
    }

    /// Ends the load, and checks all tables against what the calls said.
    pub(crate) async fn finish(mut self, admin: &Database) -> Counts {
        self.is_over.store(true, Relaxed);
        let (mut counts, mut writes) = (Counts::default(), Vec::new());
        while let Some(worker) = self.workers.join_next().await {
            let (worker, written) = worker.unwrap();
            counts.reads += worker.reads;
            counts.failed_reads += worker.failed_reads;
            writes.extend(written);
        }
        // Nothing runs any more: a dropped call has been cancelled or has ended.
        let quiet = async {
            while self.db.snapshot().in_use > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(30), quiet).await.expect("all connections are free");
        self.until_no_backend_writes(admin).await;
        self.check(admin, &writes).await;
        let claimed = |claim| writes.iter().filter(|write| write.2 == claim).count() as i64;
        counts.stored = claimed(Claim::Stored);
        counts.not_stored = claimed(Claim::NotStored);
        counts.unknown = claimed(Claim::Unknown);
        counts.dropped = claimed(Claim::Dropped);
        assert!(counts.reads > 0 && counts.stored > 0, "{counts:?}");
        counts
    }

    /// A server behind a pooler, and one whose client was killed, may still be about to commit.
    async fn until_no_backend_writes(&self, admin: &Database) {
        let sql = "select count(*) from pg_locks l join pg_class c on c.oid = l.relation
             join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and l.mode = 'RowExclusiveLock'";
        let quiet = async {
            while admin.fetch_scalar::<i64>(sql, (&*self.schema,)).await.unwrap() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(30), quiet).await.expect("no backend writes any more");
    }

    async fn check(&self, admin: &Database, writes: &[Write]) {
        let schema = &self.schema;
        let claims: HashMap<i64, (i64, Claim)> =
            writes.iter().map(|(key, rows, claim)| (*key, (*rows, *claim))).collect();
        assert_eq!(claims.len(), writes.len(), "every key is of one call");
        let sql = format!(
            "select key, count(*), count(distinct n) from
                (select key, n from {schema}.writes union all select key, n from {schema}.upserts
                 union all select key, 0 from {schema}.transfers union all select key, 0 from {schema}.once) t
             group by key"
        );
        let found: HashMap<i64, (i64, i64)> = admin
            .fetch_all::<(i64, i64, i64)>(&sql, ())
            .await
            .unwrap()
            .into_iter()
            .map(|(key, rows, distinct)| (key, (rows, distinct)))
            .collect();
        for key in found.keys() {
            assert!(claims.contains_key(key), "nobody wrote {key}");
        }
        for (key, (rows, claim)) in &claims {
            let found = found.get(key).copied().unwrap_or_default();
            let (all, none) = (found == (*rows, *rows), found == (0, 0));
            let holds = match claim {
                Claim::Stored => all,
                Claim::NotStored => none,
                Claim::Unknown | Claim::Dropped => all || none,
            };
            assert!(holds, "write {key} of {rows} rows said {claim:?}, and there are {found:?}");
        }
        let moved = format!(
            "select count(*) from {schema}.accounts a where balance <> {BALANCE}
                - coalesce((select sum(amount) from {schema}.transfers where source = a.id), 0)
                + coalesce((select sum(amount) from {schema}.transfers where target = a.id), 0)"
        );
        assert_eq!(number(admin, &moved).await, 0, "every balance is that of its transfers");
        let sum = format!("select sum(balance)::int8 from {schema}.accounts");
        assert_eq!(number(admin, &sum).await, ACCOUNTS * BALANCE);
    }
}

/// Waits until this number of transactions are open at once, and returns the time that it took.
pub(crate) async fn time_to_full_size(db: &Database, max: usize) -> Duration {
    let (start, barrier) = (Instant::now(), Arc::new(Barrier::new(max)));
    let mut holders = JoinSet::new();
    for _ in 0..max {
        let (db, barrier) = (db.clone(), Arc::clone(&barrier));
        holders.spawn(async move {
            let held = async || {
                let hold = db.transaction(TxOptions::new(), async |tx| {
                    let (one,): (i32,) = tx.fetch_one("select 1", ()).await?;
                    timeout(Duration::from_secs(30), barrier.wait()).await.expect("all are held at once");
                    Ok::<_, Error>(one)
                });
                hold.await
            };
            // Its connection may have been among the last ones that were killed.
            let mut last = held().await;
            while last.as_ref().is_err_and(Error::is_connection_lost) {
                last = held().await;
            }
            assert_eq!(last.unwrap(), 1);
        });
    }
    while let Some(held) = holders.join_next().await {
        held.unwrap();
    }
    start.elapsed()
}

const KINDS: u64 = 10;

impl Worker {
    async fn run(mut self, kind: u64) -> (Counts, Vec<Write>) {
        let mut writes = Vec::new();
        while !self.is_over.load(Relaxed) {
            let call = async {
                match kind {
                    0 => return self.read().await,
                    1 => return self.stream().await,
                    2 => self.transfer().await,
                    3 => self.execute().await,
                    4 => self.execute_many().await,
                    5 => self.insert_many().await,
                    6 => self.copy_in().await,
                    7 => self.copy_upsert().await,
                    8 => self.once().await,
                    _ => self.dropped().await,
                }
                .into()
            };
            // A call that hangs fails the test here, and not at the limit of all of it.
            writes.extend(timeout(Duration::from_secs(40), call).await.expect("the call ends"));
        }
        let counts = std::mem::take(&mut *self.counts.lock().unwrap());
        (counts, writes)
    }

    fn key(&self) -> i64 {
        self.keys.fetch_add(1, Relaxed)
    }

    fn random(&mut self, below: u64) -> i64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.random >> 33) % below).unwrap()
    }

    fn count_read(&self, result: Result<(), Error>) -> Option<Write> {
        let mut counts = self.counts.lock().unwrap();
        match result {
            Ok(()) => counts.reads += 1,
            Err(error) => {
                assert!(error.is_connection_lost(), "{error:?}");
                counts.failed_reads += 1;
            }
        }
        None
    }

    /// The rows are those of this call.
    async fn read(&mut self) -> Option<Write> {
        let nonce = self.key();
        let sql = "select $1::int8, generate_series(1, 200)::int8";
        let rows = self.db.fetch_all::<(i64, i64)>(sql, (nonce,)).await.map(|rows| {
            assert_eq!(rows, (1..=200).map(|n| (nonce, n)).collect::<Vec<_>>());
        });
        self.count_read(rows)
    }

    async fn stream(&mut self) -> Option<Write> {
        let take = if self.drops && self.random(4) == 0 { 10 } else { 3_001 };
        let nonce = self.key();
        let sql = "select $1::int8, generate_series(1, 3000)::int8";
        let stream = self.db.stream::<(i64, i64)>(sql, (nonce,));
        let rows: Result<Vec<_>, Error> = stream.take(take).try_collect().await;
        let rows = rows.map(|rows| {
            assert_eq!(rows, (1..=take.min(3_000) as i64).map(|n| (nonce, n)).collect::<Vec<_>>());
        });
        self.count_read(rows)
    }

    async fn transfer(&mut self) -> Write {
        let key = self.key();
        let source = self.random(ACCOUNTS as u64);
        let target = (source + 1 + self.random(ACCOUNTS as u64 - 1)) % ACCOUNTS;
        let amount = 1 + self.random(50);
        let schema = self.schema.clone();
        let options = match self.random(2) {
            0 => TxOptions::serializable(),
            _ => TxOptions::read_committed(),
        };
        let policy =
            Policy::exponential(Duration::from_millis(2), Duration::from_millis(50)).max_attempts(20);
        let moved = self.db.transaction(options.retry(policy), |tx: Tx| {
            let schema = schema.clone();
            async move {
                let change = format!("update {schema}.accounts set balance = balance + $2 where id = $1");
                tx.execute(&change, (source, -amount)).await?;
                tx.execute(&change, (target, amount)).await?;
                let note = format!("insert into {schema}.transfers values ($1, $2, $3, $4)");
                tx.execute(&note, (key, source, target, amount)).await
            }
        });
        (key, 1, tx_claim(&moved.await, 1))
    }

    async fn execute(&mut self) -> Write {
        let (key, rows) = (self.key(), 1 + self.random(3));
        let sql =
            format!("insert into {}.writes select $1, n from generate_series(1, $2::int8) n", self.schema);
        let result = self.db.execute(&sql, (key, rows)).await;
        (key, rows, claim(&result, rows))
    }

    async fn execute_many(&mut self) -> Write {
        let key = self.key();
        let sql = format!("insert into {}.writes values ($1, $2)", self.schema);
        let result = self.db.execute_many(&sql, (0..ROWS).map(|n| (key, n))).await;
        (key, ROWS, tx_claim(&result, ROWS))
    }

    async fn insert_many(&mut self) -> Write {
        let key = self.key();
        // At times more than one statement.
        let rows = if self.random(8) == 0 { 5_001 } else { ROWS };
        let target = format!("{}.writes (key, n)", self.schema);
        let result = self.db.insert_many(&target, "", (0..rows).map(|n| (key, n))).await;
        (key, rows, tx_claim(&result, rows))
    }

    async fn copy_in(&mut self) -> Write {
        let key = self.key();
        let target = format!("{}.writes (key, n)", self.schema);
        let result = self.db.copy_in(&target, stream::iter((0..ROWS).map(|n| (key, n)))).await;
        (key, ROWS, tx_claim(&result, ROWS))
    }

    async fn copy_upsert(&mut self) -> Write {
        let key = self.key();
        let target = format!("{}.upserts (key, n)", self.schema);
        let rows = stream::iter((0..ROWS).map(|n| (key, n)));
        let result = self.db.copy_upsert(&target, "on conflict do nothing", rows).await;
        (key, ROWS, tx_claim(&result, ROWS))
    }

    /// A write that is repeated until it is certain.
    async fn once(&mut self) -> Write {
        let (key, mut may_be_there) = (self.key(), false);
        let sql = format!("insert into {}.once values ($1) on conflict do nothing", self.schema);
        loop {
            match self.db.execute(&sql, (key,)).await {
                Ok(rows) => {
                    assert!(
                        rows == 1 || may_be_there,
                        "{key} was there, although no call said that it may be"
                    );
                    return (key, 1, Claim::Stored);
                }
                result => may_be_there |= claim(&result, 1) == Claim::Unknown,
            }
        }
    }

    /// A transaction or a statement that is dropped at some moment.
    async fn dropped(&mut self) -> Write {
        let (key, patience) = (self.key(), Duration::from_micros(200 + self.random(4_000) as u64));
        let sql = format!("insert into {}.writes values ($1, $2)", self.schema);
        let result = if self.random(2) == 0 {
            timeout(patience, self.db.execute_many(&sql, (0..ROWS).map(|n| (key, n)))).await
        } else {
            let copy = format!("{}.writes (key, n)", self.schema);
            timeout(patience, self.db.copy_in(&copy, stream::iter((0..ROWS).map(|n| (key, n))))).await
        };
        match result {
            Ok(ended) => (key, ROWS, tx_claim(&ended, ROWS)),
            Err(_) => (key, ROWS, Claim::Dropped),
        }
    }
}

/// The claim of a single statement: it may have run when its connection is lost.
fn claim(result: &Result<u64, Error>, rows: i64) -> Claim {
    match result {
        Ok(stored) => {
            assert_eq!(*stored, rows as u64);
            Claim::Stored
        }
        Err(error) => {
            assert!(error.is_connection_lost(), "{error:?}");
            Claim::Unknown
        }
    }
}

/// The claim of a transaction: it says so where it does not know, and has stored nothing after any other error.
fn tx_claim(result: &Result<u64, Error>, rows: i64) -> Claim {
    match result {
        Ok(stored) => {
            assert_eq!(*stored, rows as u64);
            Claim::Stored
        }
        Err(error) if error.is_commit_unknown() => Claim::Unknown,
        Err(error) => {
            let is_expected = error.is_connection_lost() || matches!(error, Error::GaveUp(_));
            assert!(is_expected, "{error:?}");
            Claim::NotStored
        }
    }
}

/// Prints the outcome of a run.
pub(crate) fn print(what: &str, outcome: &impl Debug) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{what}: {outcome:?}");
}
