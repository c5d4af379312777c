//! A million rows by `COPY`, and three million rows of a stream: their content, and the memory that they take.

use std::time::{Duration, SystemTime};

use evenkeel_postgres::Database;
use evenkeel_testkit::alloc::INSTRUMENTED_SYSTEM;
use futures::{StreamExt as _, stream};

use crate::{
    harness::{number, run_within},
    load::print,
};

const ROWS: i64 = 1_000_000;
const LIMIT: Duration = Duration::from_secs(300);
/// The memory that a call may hold, whatever the number of its rows.
const FLAT: usize = 2 << 20;

/// The bytes on the heap now.
fn heap() -> usize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// The most bytes on the heap, beyond those at the start.
struct Peak {
    start: usize,
    most: usize,
}

impl Peak {
    fn new() -> Peak {
        Peak { start: heap(), most: 0 }
    }

    fn look(&mut self) {
        self.most = self.most.max(heap().saturating_sub(self.start));
    }
}

fn row(id: i64) -> (i64, Option<String>, SystemTime, f64) {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + Duration::from_micros(id as u64);
    (id, (id % 7 > 0).then(|| format!("a text of the row {id}")), at, id as f64 / 3.0)
}

/// Compares the table with the rows that were sent, on the server.
async fn check(db: &Database) {
    let wrong = format!(
        "select count(*) from generate_series(0, {ROWS} - 1) n full join t on t.id = n
         where n is null or t.id is null
            or name is distinct from case when n % 7 > 0 then 'a text of the row ' || n end
            or at <> to_timestamp(1800000000) + n * interval '1 microsecond' or x <> n / 3.0::float8"
    );
    assert_eq!(number(db, &wrong).await, 0, "rows differ");
    assert_eq!(number(db, "select count(*) from t").await, ROWS);
}

#[test]
#[ignore = "soak"]
fn a_million_rows_are_copied_in_and_out_in_flat_memory() {
    run_within(LIMIT, |schema| async move {
        let db = schema.db(1).await;
        db.batch_execute("create unlogged table t (id int8, name text, at timestamptz, x float8)")
            .await
            .unwrap();
        let (mut written, mut read) = (Peak::new(), Peak::new());
        let source = stream::iter((0..ROWS).map(|id| {
            if id % 1_000 == 0 {
                written.look();
            }
            row(id)
        }));
        assert_eq!(db.copy_in("t (id, name, at, x)", source).await.unwrap(), ROWS as u64);
        check(&db).await;

        let mut rows = db
            .copy_out::<(i64, Option<String>, SystemTime, f64)>("select id, name, at, x from t order by id");
        for id in 0..ROWS {
            assert_eq!(rows.next().await.unwrap().unwrap(), row(id));
            if id % 1_000 == 0 {
                read.look();
            }
        }
        assert!(rows.next().await.is_none());
        print("bytes on the heap for a million rows, in and out", &(written.most, read.most));
        assert!(written.most < FLAT && read.most < FLAT, "{} {}", written.most, read.most);
    });
}

#[test]
#[ignore = "soak"]
fn a_million_rows_of_arrays_and_of_statements_are_stored_in_flat_memory() {
    run_within(LIMIT, |schema| async move {
        let db = schema.db(1).await;
        db.batch_execute("create unlogged table t (id int8, name text, at timestamptz, x float8)")
            .await
            .unwrap();
        let mut peak = Peak::new();
        let source = (0..ROWS).map(|id| {
            if id % 1_000 == 0 {
                peak.look();
            }
            row(id)
        });
        assert_eq!(db.insert_many("t (id, name, at, x)", "", source).await.unwrap(), ROWS as u64);
        check(&db).await;
        print("bytes on the heap for a million rows as arrays", &peak.most);
        assert!(peak.most < FLAT, "{}", peak.most);

        db.execute("truncate t", ()).await.unwrap();
        let mut peak = Peak::new();
        let source = (0..ROWS).map(|id| {
            if id % 1_000 == 0 {
                peak.look();
            }
            row(id)
        });
        let insert = "insert into t (id, name, at, x) values ($1, $2, $3, $4)";
        assert_eq!(db.execute_many(insert, source).await.unwrap(), ROWS as u64);
        check(&db).await;
        print("bytes on the heap for a million rows as statements", &peak.most);
        assert!(peak.most < FLAT, "{}", peak.most);
    });
}

/// The rest of the rows is neither sent nor stored: the server is told to stop.
#[test]
#[ignore = "soak"]
fn streams_of_three_million_rows_take_little_memory_and_are_dropped_at_once() {
    run_within(LIMIT, |schema| async move {
        let db = schema.db(1).await;
        let sql = "select n::int8, repeat('x', 20) from generate_series(1, 3000000) n";
        let mut peak = Peak::new();
        let mut rows = db.stream::<(i64, String)>(sql, ());
        for expected in 1..=3_000_000_i64 {
            assert_eq!(rows.next().await.unwrap().unwrap().0, expected);
            if expected % 1_000 == 0 {
                peak.look();
            }
        }
        assert!(rows.next().await.is_none());
        drop(rows);

        for _ in 0..20 {
            let mut rows = db.stream::<(i64, String)>(sql, ());
            for expected in 1..=10 {
                assert_eq!(rows.next().await.unwrap().unwrap().0, expected);
            }
            drop(rows);
            assert_eq!(number(&db, "select 1::int8").await, 1);
            peak.look();
            assert_eq!(schema.backends("active").await, 0, "no statement goes on");
        }
        print("bytes on the heap for streams of three million rows", &peak.most);
        assert!(peak.most < FLAT, "{}", peak.most);
    });
}
