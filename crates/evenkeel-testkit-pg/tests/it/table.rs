//! The tables, and the SQL that they understand.

use std::collections::BTreeMap;

use evenkeel_testkit::World;
use proptest::{collection::vec, prelude::*};

use super::{code, names, server, text, users};

#[test]
fn rows_are_inserted_selected_updated_and_deleted() {
    World::run(async |_| {
        let (_server, client) = users().await;
        let inserted = client
            .query(
                "insert into users (name, id) values ($1, $2), ('Di', 4) returning id, name",
                &[&"Cy", &3_i64],
            )
            .await
            .unwrap();
        let inserted: Vec<(i64, &str)> = inserted.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(inserted, [(3, "Cy"), (4, "Di")]);
        assert_eq!(
            client
                .execute("update users set name = 'Al' where id = $1 and name = 'Ada'", &[&1_i64])
                .await
                .unwrap(),
            1
        );
        assert_eq!(client.execute("update users set name = 'x' where id = 9", &[]).await.unwrap(), 0);
        assert_eq!(
            client.execute("update users set id = id + 10 - $1 where name = 'Di'", &[&1_i64]).await.unwrap(),
            1
        );
        assert_eq!(
            client
                .query_one("delete from users where id = 2 returning *", &[])
                .await
                .unwrap()
                .get::<_, &str>("name"),
            "Bob"
        );
        assert_eq!(names(&client).await, ["Al", "Cy", "Di"]);
        assert_eq!(client.query_one("select count(*) from users", &[]).await.unwrap().get::<_, i64>(0), 3);
        assert_eq!(
            client
                .query_one("select count(*) as n from users where id = 13", &[])
                .await
                .unwrap()
                .get::<_, i64>("n"),
            1
        );
        let last = text(&client, "SELECT u_id FROM users").await.unwrap_err();
        assert_eq!(code(&last), "42703");
        let last = text(&client, "SELECT id AS u_id, name FROM public.users ORDER BY id DESC LIMIT 1;").await;
        assert_eq!(last.unwrap(), [["13", "Di"].map(|text| Some(text.to_owned()))]);
        assert_eq!(client.execute("delete from users", &[]).await.unwrap(), 3);
    });
}

#[test]
fn a_count_without_a_table_may_have_columns_beside_it_in_both_protocols() {
    World::run(async |_| {
        let (_server, client) = users().await;
        let sql = "select count(*), 7 as n";
        let row = client.query_one(sql, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i32>("n")), (1, 7));
        assert_eq!(text(&client, sql).await.unwrap(), [["1", "7"].map(|text| Some(text.to_owned()))]);
    });
}

#[test]
fn null_equals_nothing_and_comes_last() {
    World::run(async |_| {
        let (_server, client) = users().await;
        client
            .batch_execute("insert into users (id) values (3); update users set name = null where id = 1")
            .await
            .unwrap();
        let rows = client.query("select id from users where name = $1", &[&None::<&str>]).await.unwrap();
        assert!(rows.is_empty());
        let ids = text(&client, "select id from users order by name, id desc").await.unwrap();
        assert_eq!(ids, ["2", "3", "1"].map(|id| [Some(id.to_owned())]));
    });
}

#[test]
fn constraints_are_kept_and_a_statement_is_done_whole_or_not_at_all() {
    World::run(async |_| {
        let (_server, client) = users().await;
        for (sql, expected) in [
            ("insert into users values (3, 'Cy'), (1, 'x')", "23505"),
            ("insert into users values (null, 'x')", "23502"),
            ("insert into users (name) values ('x')", "23502"),
            ("update users set id = 2", "23505"),
            ("insert into users values (1, 'x', 2)", "42601"),
            ("insert into users (id, name) values (3)", "42601"),
            ("insert into users values ('x')", "22P02"),
            ("select * from nobody", "42P01"),
            ("select nothing from users", "42703"),
            ("select now()", "42883"),
            ("select pg_sleep()", "42883"),
            ("select id, count(*) from users", "42803"),
            ("create table users (id int4)", "42P07"),
            ("create table t (a int4, a int4)", "42701"),
            ("create table t (a thing)", "42704"),
            ("drop table t", "42P01"),
            ("select * from users where id > 1", "42601"),
            ("select * from users, t", "42601"),
            ("with a as (select 1) select * from a", "42601"),
            ("explain select 1", "42601"),
        ] {
            assert_eq!(code(&client.batch_execute(sql).await.unwrap_err()), expected, "{sql}");
            assert_eq!(code(&client.execute(sql, &[]).await.unwrap_err()), expected, "{sql}");
        }
        assert_eq!(names(&client).await, ["Ada", "Bob"]);
    });
}

#[test]
fn tables_are_created_dropped_and_emptied() {
    World::run(async |_| {
        let (_server, client) = users().await;
        client
            .batch_execute("create table if not exists users (id int4); truncate table users")
            .await
            .unwrap();
        assert!(names(&client).await.is_empty());
        client.batch_execute("drop table users; drop table if exists users").await.unwrap();
        client
            .batch_execute("create temp table users (id bigint not null unique, \"name\" text)")
            .await
            .unwrap();
        client.batch_execute("/* hi */ insert into users values (1, 'it''s; ok') -- done").await.unwrap();
        assert_eq!(names(&client).await, ["it's; ok"]);
    });
}

#[test]
fn statements_that_change_nothing_here_are_answered() {
    World::run(async |_| {
        let server = server();
        let client = server.client().await.unwrap();
        client
            .batch_execute(
                "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all();
                 DISCARD TEMP; DISCARD SEQUENCES; set statement_timeout = '5s'; deallocate all",
            )
            .await
            .unwrap();
        assert_eq!(server.statements().len(), 9);
        assert_eq!(server.statements()[7].sql, "set statement_timeout = '5s'");
    });
}

#[test]
fn several_commands_are_no_prepared_statement() {
    World::run(async |_| {
        let (_server, client) = users().await;
        assert_eq!(code(&client.prepare("select 1; select 2").await.unwrap_err()), "42601");
        let statement = client.prepare("select id from users").await.unwrap();
        client.batch_execute("deallocate all").await.unwrap();
        assert_eq!(code(&client.query(&statement, &[]).await.unwrap_err()), "26000");
    });
}

#[derive(Clone, Debug)]
enum Act {
    Insert(i64, i32),
    Update(i64, i32),
    Delete(i64),
    DeleteEqual(i32),
    Begin,
    Commit,
    Rollback,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..6_i64, 0..3_i32).prop_map(|(key, value)| Act::Insert(key, value)),
        2 => (0..6_i64, 0..3_i32).prop_map(|(key, value)| Act::Update(key, value)),
        2 => (0..6_i64).prop_map(Act::Delete),
        1 => (0..3_i32).prop_map(Act::DeleteEqual),
        1 => Just(Act::Begin),
        1 => Just(Act::Commit),
        1 => Just(Act::Rollback),
    ];
    vec(act, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The model is a map, and a copy of it for the transaction; a failed transaction can only end.
    #[test]
    fn a_table_is_a_map(acts in acts()) {
        World::run(async |_| {
            let server = server();
            server.setup("create table t (k int8 primary key, v int4)");
            let client = server.client().await.unwrap();
            let (mut map, mut saved, mut failed) = (BTreeMap::new(), None, false);
            for act in acts {
                let (sql, expected) = match act {
                    Act::Begin if failed => ("begin".to_owned(), Err("25P02")),
                    Act::Begin => {
                        saved.get_or_insert_with(|| map.clone());
                        ("begin".to_owned(), Ok(0))
                    }
                    Act::Commit | Act::Rollback => {
                        let commits = matches!(act, Act::Commit) && !failed;
                        failed = false;
                        match saved.take() {
                            Some(before) if !commits => map = before,
                            _ => {}
                        }
                        (if matches!(act, Act::Commit) { "commit" } else { "rollback" }.to_owned(), Ok(0))
                    }
                    _ if failed => ("select 1".to_owned(), Err("25P02")),
                    Act::Insert(key, value) => {
                        let free = !map.contains_key(&key);
                        map.entry(key).or_insert(value);
                        failed = saved.is_some() && !free;
                        (format!("insert into t values ({key}, {value})"), if free { Ok(1) } else { Err("23505") })
                    }
                    Act::Update(key, value) => {
                        let found = map.get_mut(&key).map(|old| *old = value).is_some();
                        (format!("update t set v = {value} where k = {key}"), Ok(u64::from(found)))
                    }
                    Act::Delete(key) => {
                        (format!("delete from t where k = {key}"), Ok(u64::from(map.remove(&key).is_some())))
                    }
                    Act::DeleteEqual(value) => {
                        let before = map.len();
                        map.retain(|_, old| *old != value);
                        (format!("delete from t where v = {value}"), Ok((before - map.len()) as u64))
                    }
                };
                let got = client.execute(&sql, &[]).await;
                assert_eq!(got.as_ref().map(|rows| *rows).map_err(code), expected, "{sql}");
            }
            client.batch_execute("commit").await.unwrap();
            if let (true, Some(before)) = (failed, saved) {
                map = before;
            }
            let rows = client.query("select k, v from t order by k", &[]).await.unwrap();
            let rows: BTreeMap<i64, i32> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            assert_eq!(rows, map);
        });
    }
}
