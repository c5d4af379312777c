//! Reading rows of PostgreSQL as structs: no server, since one row in memory is read again and again.

use std::hint::black_box;

use evenkeel::postgres::{
    __row::Columns,
    FromRow, from_row,
    tokio_postgres::{self, Config, NoTls},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use crate::row::{FLOOR, Metric, OURS, Row};

/// The names of the columns, in their order; each is a `bigint`.
const NAMES: [&str; 8] =
    ["id", "parent_id", "created_by", "updated_by", "first_version", "last_version", "size", "total_size"];
const INT8: i32 = 20;

struct Document {
    id: i64,
    parent_id: i64,
    created_by: i64,
    updated_by: i64,
    first_version: i64,
    last_version: i64,
    size: Option<i64>,
    total_size: Option<i64>,
}

from_row!(Document { id, parent_id, created_by, updated_by, first_version, last_version, size, total_size });

/// The same with the columns looked up in each row, as it is written by hand.
struct ByHand(Document);

impl FromRow for ByHand {
    fn from_row(row: tokio_postgres::Row) -> Result<Self, evenkeel::postgres::BoxError> {
        Ok(Self(Document {
            id: row.try_get("id")?,
            parent_id: row.try_get("parent_id")?,
            created_by: row.try_get("created_by")?,
            updated_by: row.try_get("updated_by")?,
            first_version: row.try_get("first_version")?,
            last_version: row.try_get("last_version")?,
            size: row.try_get("size")?,
            total_size: row.try_get("total_size")?,
        }))
    }
}

type Tuple = (i64, i64, i64, i64, i64, i64, Option<i64>, Option<i64>);

pub(crate) fn rows() -> Vec<Row> {
    let row = Row::new("postgres-row/by-name", Metric::Cpu)
        .with(OURS, read(|row, columns| Document::from_row_of(row, columns).map(|row| row.sum())))
        .with("a tuple", read(|row, columns| Tuple::from_row_of(row, columns).map(|row| row.0)))
        .with(
            "tokio-postgres, by name",
            read(|row, columns| ByHand::from_row_of(row, columns).map(|ByHand(row)| row.sum())),
        )
        .with(FLOOR, read(|row, _| Ok::<i64, std::convert::Infallible>(row.len() as i64)));
    vec![row]
}

impl Document {
    fn sum(&self) -> i64 {
        let versions = self.first_version + self.last_version;
        let sizes = self.size.unwrap_or(0) + self.total_size.unwrap_or(0);
        self.id + self.parent_id + self.created_by + self.updated_by + versions + sizes
    }
}

/// Reads clones of one row.
fn read<E: std::fmt::Debug>(
    read: impl Fn(tokio_postgres::Row, &mut Columns) -> Result<i64, E> + 'static,
) -> impl FnMut(u64) {
    let row = row();
    move |operations| {
        let mut columns = Columns::default();
        for _ in 0..operations {
            black_box(read(black_box(row.clone()), &mut columns).expect("a row that can be read"));
        }
    }
}

/// Takes a row from answers that were written before.
fn row() -> tokio_postgres::Row {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime for a benchmark");
    runtime.block_on(async {
        let (ours, mut theirs) = duplex(64 * 1024);
        tokio::spawn(async move {
            for answer in [greeting(), description(), values()] {
                let request = theirs.read(&mut [0; 1024]).await.expect("a client that writes");
                assert!(request > 0, "a client that asks");
                theirs.write_all(&answer).await.expect("a client that reads");
            }
            let _ = theirs.read_to_end(&mut Vec::<u8>::new()).await;
        });
        let connected = Config::new().user("bench").connect_raw(ours, NoTls).await;
        let (client, connection) = connected.expect("a connection");
        tokio::spawn(connection);
        let statement = client.prepare("select").await.expect("a statement");
        client.query_one(&statement, &[]).await.expect("a row")
    })
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as i32 + 4).to_be_bytes();
    [&[kind][..], &length, body].concat()
}

fn greeting() -> Vec<u8> {
    [message(b'R', &[0; 4]), message(b'Z', b"I")].concat()
}

fn description() -> Vec<u8> {
    let mut columns = (NAMES.len() as i16).to_be_bytes().to_vec();
    for name in NAMES {
        let ty = [&INT8.to_be_bytes()[..], &8_i16.to_be_bytes(), &(-1_i32).to_be_bytes(), &[0, 1]].concat();
        columns.extend([name.as_bytes(), &[0; 7], &ty].concat());
    }
    [message(b'1', &[]), message(b't', &[0; 2]), message(b'T', &columns), message(b'Z', b"I")].concat()
}

fn values() -> Vec<u8> {
    let mut values = (NAMES.len() as i16).to_be_bytes().to_vec();
    for value in 0..NAMES.len() as i64 {
        values.extend([&8_i32.to_be_bytes()[..], &value.to_be_bytes()].concat());
    }
    let done = message(b'C', b"SELECT 1\0");
    [message(b'2', &[]), message(b'D', &values), done, message(b'Z', b"I")].concat()
}
