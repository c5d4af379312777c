//! Values of other crates: each as a parameter, in rows, in bulk writes and in arrays, with nulls; and the values that they
//! cannot be.
#![cfg(any(
    feature = "chrono",
    feature = "rust_decimal",
    feature = "serde_json",
    feature = "time",
    feature = "uuid"
))]

use std::fmt::Debug;

use evenkeel_postgres::{
    Database, FromRow, Prepared, SqlBatch, from_row,
    tokio_postgres::types::{FromSqlOwned, ToSql},
};
use futures::{TryStreamExt as _, stream};

#[cfg(any(feature = "chrono", feature = "rust_decimal", feature = "time"))]
use crate::harness::chain;
use crate::harness::run;

trait Value: ToSql + FromSqlOwned + Clone + Debug + PartialEq + Send + Sync + 'static {}
impl<T: ToSql + FromSqlOwned + Clone + Debug + PartialEq + Send + Sync + 'static> Value for T {}

#[derive(Debug, PartialEq)]
struct Stored<T> {
    id: i64,
    value: Option<T>,
}

impl<T: FromSqlOwned> FromRow for Stored<T> {
    from_row!(id, value);
}

/// Stores values in a column of this type in each way, and reads them back in each way.
async fn round_trips<T: Value>(db: &Database, ty: &str, values: &[T]) {
    for value in values {
        let back: T = db.fetch_scalar(&format!("select $1::{ty}"), (value,)).await.unwrap();
        assert_eq!(back, *value, "{ty}");
    }
    let null: Option<T> = db.fetch_scalar(&format!("select $1::{ty}"), (None::<T>,)).await.unwrap();
    assert_eq!(null, None, "{ty}");
    let array: Vec<Option<T>> = values.iter().cloned().map(Some).chain([None]).collect();
    let back: Vec<Option<T>> = db.fetch_scalar(&format!("select $1::{ty}[]"), (&array,)).await.unwrap();
    assert_eq!(back, array, "{ty}");

    db.batch_execute(&format!("create table t (id bigint, value {ty})")).await.unwrap();
    let rows: Vec<(i64, Option<T>)> = (0..).zip(array).collect();
    let count = rows.len() as u64;
    let insert = "insert into t (id, value) values ($1, $2)";
    assert_eq!(db.execute_many(insert, &rows).await.unwrap(), count, "{ty}");
    assert_eq!(db.insert_many("t (id, value)", "", &rows).await.unwrap(), count, "{ty}");
    let copied = stream::iter(rows.clone());
    assert_eq!(db.copy_in("t (id, value)", copied).await.unwrap(), count, "{ty}");

    let stored: Vec<(i64, Option<T>)> = rows.iter().cloned().flat_map(|row| vec![row; 3]).collect();
    let select = "select id, value from t order by id";
    assert_eq!(db.fetch_all::<(i64, Option<T>)>(select, ()).await.unwrap(), stored, "{ty}");
    let out: Vec<(i64, Option<T>)> = db.copy_out(select).try_collect().await.unwrap();
    assert_eq!(out, stored, "{ty}");
    let named: Vec<Stored<T>> = db.stream(select, ()).try_collect().await.unwrap();
    let stored: Vec<_> = stored.into_iter().map(|(id, value)| Stored { id, value }).collect();
    assert_eq!(named, stored, "{ty}");
    let mut batch = SqlBatch::new();
    batch.push(select, ()).push(&format!("select 1::bigint as id, $1::{ty} as value"), (&values[0],));
    let mut results = db.batch(batch).await.unwrap();
    let one: Vec<Stored<T>> = results.remove(1).into_rows().unwrap();
    assert_eq!(one, [Stored { id: 1, value: Some(values[0].clone()) }], "{ty}");
    assert_eq!(results.remove(0).into_rows::<Stored<T>>().unwrap(), stored, "{ty}");
    db.batch_execute("drop table t").await.unwrap();
}

/// Runs a test with statements that have names, and with others that have none.
fn each_mode<Fut: Future<Output = ()> + Send + 'static>(test: fn(Database) -> Fut) {
    for prepared in [Prepared::Named, Prepared::Unnamed] {
        run(move |schema| async move {
            test(schema.builder().max(1).prepared(prepared).connect().await.unwrap()).await;
        });
    }
}

/// Reads a value that the type cannot be, in each way; the error says so.
#[cfg(any(feature = "chrono", feature = "rust_decimal", feature = "time"))]
async fn cannot_be<T: Value>(db: &Database, ty: &str, value: &str) {
    let select = format!("select 1::bigint as id, '{value}'::{ty} as value");
    let scalar = db.fetch_one::<(i64, T)>(&select, ()).await.unwrap_err();
    let rust = std::any::type_name::<T>();
    let why = chain(&scalar)[1].clone();
    assert_eq!(why, format!("column `value` of type {ty} is {value}, which no `{rust}` can be"));
    let named = db.fetch_one::<Stored<T>>(&select, ()).await.unwrap_err();
    assert!(
        chain(&named)[1]
            .ends_with(&format!("is {value}, which no `{}` can be", std::any::type_name::<Option<T>>()))
    );
    let copied = db.copy_out::<(i64, T)>(&select).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(chain(&copied)[1], why);
    let many = format!("select array['{value}'::{ty}]");
    let many = db.fetch_scalar::<Vec<T>>(&many, ()).await.unwrap_err();
    assert!(chain(&many)[1].contains("cannot be read as"), "{many:?}");
}

#[cfg(feature = "chrono")]
#[test]
#[ignore = "real tier"]
fn chrono() {
    use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};
    use evenkeel_postgres::tokio_postgres::types::{Date, Timestamp};

    each_mode(|db| async move {
        let date = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).unwrap();
        let time = |h, m, s, us| NaiveTime::from_hms_micro_opt(h, m, s, us).unwrap();
        let dates = [date(2000, 1, 1), date(1, 1, 1), date(-4000, 2, 29), date(9999, 12, 31)];
        let times = [time(0, 0, 0, 0), time(23, 59, 59, 999_999)];
        let both: Vec<NaiveDateTime> =
            dates.iter().flat_map(|date| times.map(|time| date.and_time(time))).collect();
        let utc: Vec<DateTime<Utc>> = both.iter().map(NaiveDateTime::and_utc).collect();
        let offset: Vec<DateTime<FixedOffset>> = utc.iter().map(|utc| utc.fixed_offset()).collect();
        round_trips(&db, "date", &dates).await;
        round_trips(&db, "time", &times).await;
        round_trips(&db, "timestamp", &both).await;
        round_trips(&db, "timestamptz", &utc).await;
        round_trips(&db, "timestamptz", &offset).await;
        for infinity in ["infinity", "-infinity"] {
            cannot_be::<NaiveDate>(&db, "date", infinity).await;
            cannot_be::<NaiveDateTime>(&db, "timestamp", infinity).await;
            cannot_be::<DateTime<Utc>>(&db, "timestamptz", infinity).await;
        }
        let infinite = [Timestamp::PosInfinity, Timestamp::NegInfinity, Timestamp::Value(utc[0])];
        round_trips(&db, "timestamptz", &infinite).await;
        round_trips(&db, "date", &[Date::PosInfinity, Date::NegInfinity, Date::Value(dates[0])]).await;
    });
}

#[cfg(feature = "time")]
#[test]
#[ignore = "real tier"]
fn time() {
    use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

    each_mode(|db| async move {
        let date = |y, d| Date::from_ordinal_date(y, d).unwrap();
        let dates = [date(2000, 1), date(1, 1), date(-4000, 366), date(9999, 365)];
        assert_eq!(dates[2].month(), Month::December);
        let times = [Time::MIDNIGHT, Time::from_hms_micro(23, 59, 59, 999_999).unwrap()];
        let both: Vec<PrimitiveDateTime> =
            dates.iter().flat_map(|date| times.map(|time| date.with_time(time))).collect();
        let utc: Vec<OffsetDateTime> = both.iter().map(|both| both.assume_utc()).collect();
        round_trips(&db, "date", &dates).await;
        round_trips(&db, "time", &times).await;
        round_trips(&db, "timestamp", &both).await;
        round_trips(&db, "timestamptz", &utc).await;
        for infinity in ["infinity", "-infinity"] {
            cannot_be::<Date>(&db, "date", infinity).await;
            cannot_be::<PrimitiveDateTime>(&db, "timestamp", infinity).await;
            cannot_be::<OffsetDateTime>(&db, "timestamptz", infinity).await;
        }
    });
}

#[cfg(feature = "uuid")]
#[test]
#[ignore = "real tier"]
fn uuid() {
    use uuid::Uuid;

    each_mode(|db| async move {
        let some = Uuid::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f);
        round_trips(&db, "uuid", &[Uuid::nil(), Uuid::max(), some]).await;
        let text: String = db.fetch_scalar("select ($1::uuid)::text", (some,)).await.unwrap();
        assert_eq!(text, some.to_string());
    });
}

#[cfg(feature = "serde_json")]
#[test]
#[ignore = "real tier"]
fn serde_json() {
    use evenkeel_postgres::tokio_postgres::types::Json;
    use serde_json::{Value as Any, json};

    each_mode(|db| async move {
        let values =
            [json!(null), json!(true), json!("π\n"), json!([1, -2.5, {}]), json!({"a": {"b": [null]}})];
        round_trips::<Any>(&db, "json", &values).await;
        round_trips::<Any>(&db, "jsonb", &values).await;
        round_trips(&db, "jsonb", &[Json(vec![(1_i64, "a".to_owned())])]).await;
        let wrong =
            db.fetch_one::<(Json<Vec<i64>>,)>("select '[\"a\"]'::jsonb as list", ()).await.unwrap_err();
        let text = std::error::Error::source(&wrong).unwrap().to_string();
        assert!(text.starts_with("column `list` of type jsonb cannot be read as"), "{text}");
    });
}

#[cfg(feature = "rust_decimal")]
#[test]
#[ignore = "real tier"]
fn rust_decimal() {
    use rust_decimal::Decimal;

    each_mode(|db| async move {
        let number = |text: &str| Decimal::from_str_exact(text).unwrap();
        let numbers = ["0", "-0.01", "1234567890.0987654321", "0.0000000000000000000000000001", "10000"];
        let mut numbers: Vec<Decimal> = numbers.iter().map(|text| number(text)).collect();
        numbers.extend([Decimal::MAX, Decimal::MIN]);
        round_trips(&db, "numeric", &numbers).await;
        let text: String = db.fetch_scalar("select $1::numeric::text", (number("12.340"),)).await.unwrap();
        assert_eq!(text, "12.340");
        for special in ["NaN", "infinity", "-infinity"] {
            cannot_be::<Decimal>(&db, "numeric", special).await;
        }
        let long = db.fetch_one::<(Decimal,)>("select 1e40::numeric as n", ()).await.unwrap_err();
        let rust = std::any::type_name::<Decimal>();
        assert_eq!(chain(&long)[1], format!("column `n` of type numeric cannot be read as `{rust}`"));
    });
}
