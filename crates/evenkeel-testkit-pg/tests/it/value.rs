//! Parameters and results, in both formats.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evenkeel_testkit::World;
use evenkeel_testkit_pg::{Reply, Type};
use tokio_postgres::types::ToSql;

use super::{code, server, text};

#[test]
fn common_types_make_the_round_trip_in_binary() {
    World::run(async |_| {
        let server = server();
        server.setup(
            "create table t (a bool, b int2, c int4, d int8, e float4, f float8, g text, h varchar(9), i bytea)",
        );
        let client = server.client().await.unwrap();
        let insert = "insert into t values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let values: [&(dyn ToSql + Sync); 9] =
            [&true, &-1_i16, &70_000_i32, &i64::MIN, &0.5_f32, &-1e300_f64, &"é\t", &"", &&b"\0\xff"[..]];
        assert_eq!(client.execute(insert, &values).await.unwrap(), 1);
        let nulls: [&(dyn ToSql + Sync); 9] = [
            &None::<bool>,
            &None::<i16>,
            &None::<i32>,
            &None::<i64>,
            &None::<f32>,
            &None::<f64>,
            &None::<&str>,
            &None::<&str>,
            &None::<&[u8]>,
        ];
        assert_eq!(client.execute(insert, &nulls).await.unwrap(), 1);

        let rows = client.query("select * from t", &[]).await.unwrap();
        let row = &rows[0];
        assert!(row.get::<_, bool>("a"));
        assert_eq!(
            (row.get::<_, i16>("b"), row.get::<_, i32>("c"), row.get::<_, i64>("d")),
            (-1, 70_000, i64::MIN)
        );
        assert_eq!((row.get::<_, f32>("e"), row.get::<_, f64>("f")), (0.5, -1e300));
        assert_eq!((row.get::<_, &str>("g"), row.get::<_, &str>("h")), ("é\t", ""));
        assert_eq!(row.get::<_, &[u8]>("i"), b"\0\xff");
        assert_eq!((rows[1].get::<_, Option<bool>>(0), rows[1].get::<_, Option<&[u8]>>(8)), (None, None));

        let texts = text(&client, "select * from t").await.unwrap();
        let expected = ["t", "-1", "70000", "-9223372036854775808", "0.5"];
        assert_eq!(texts[0][..5], expected.map(|text| Some(text.to_owned())));
        assert_eq!(texts[0][6..], ["é\t", "", "\\x00ff"].map(|text| Some(text.to_owned())));
        assert_eq!(texts[1], vec![None; 9]);
    });
}

#[test]
fn a_statement_without_a_table_gives_its_values() {
    World::run(async |_| {
        let server = server();
        let client = server.client().await.unwrap();
        let row =
            client.query_one("select 1, 'a' as b, null, $1::int8 + 1, true, 2.5", &[&41_i64]).await.unwrap();
        assert_eq!((row.get::<_, i32>(0), row.get::<_, &str>("b")), (1, "a"));
        assert_eq!((row.get::<_, Option<&str>>(2), row.get::<_, i64>(3)), (None, 42));
        assert_eq!((row.get::<_, bool>(4), row.get::<_, f64>(5)), (true, 2.5));
        let expected = [["1", "7"].map(|text| Some(text.to_owned())).to_vec()];
        assert_eq!(text(&client, "select 1, '7'::int4").await.unwrap(), expected);
    });
}

#[test]
fn types_are_those_of_the_columns_or_of_the_client() {
    World::run(async |_| {
        let server = server();
        server.setup("create table t (a int8, b text)");
        let client = server.client().await.unwrap();
        let statement = client.prepare("select b, a from t where a = $1 and b = $2").await.unwrap();
        assert_eq!(statement.params(), [Type::INT8, Type::TEXT]);
        let columns: Vec<_> =
            statement.columns().iter().map(|column| (column.name(), column.type_())).collect();
        assert_eq!(columns, [("b", &Type::TEXT), ("a", &Type::INT8)]);
        // An int4 is compared with an int8.
        client.execute("insert into t values (7, 'x')", &[]).await.unwrap();
        let typed = client.prepare_typed("select b from t where a = $1", &[Type::INT4]).await.unwrap();
        assert_eq!(client.query_one(&typed, &[&7_i32]).await.unwrap().get::<_, &str>(0), "x");
        let array = client.prepare("select $1::int8[] as ids").await.unwrap();
        let row = client.query_one(&array, &[&vec![1_i64, 2]]).await.unwrap();
        assert_eq!(row.get::<_, Vec<i64>>("ids"), [1, 2]);
        let unknown = client.prepare("select $1").await.unwrap();
        assert_eq!(unknown.params(), [Type::TEXT]);
        assert_eq!(client.prepare("delete from t").await.unwrap().columns().len(), 0);
    });
}

#[test]
fn any_type_can_be_scripted_in_binary() {
    World::run(async |_| {
        let server = server();
        let columns = Reply::columns(&[("ids", Type::INT4_ARRAY), ("at", Type::TIMESTAMPTZ)]);
        let at = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        server.on("select ids, at from t").reply(columns.row(&[&vec![1_i32, 2], &at]));
        let client = server.client().await.unwrap();
        let row = client.query_one("select ids, at from t", &[]).await.unwrap();
        assert_eq!(row.get::<_, Vec<i32>>(0), [1, 2]);
        assert_eq!(row.get::<_, SystemTime>(1), at);
        assert_eq!(code(&text(&client, "select ids, at from t").await.unwrap_err()), "0A000");
    });
}
