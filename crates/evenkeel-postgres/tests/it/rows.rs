//! Rows as tuples and as structs, by the names of their columns; and parameters as slices.

use std::{future::poll_fn, pin::pin};

use evenkeel_postgres::{
    Database, Error, FromRow, TxOptions, from_row,
    tokio_postgres::types::{FromSqlOwned, ToSql},
};
use evenkeel_testkit::World;
use evenkeel_testkit_pg::{Reply, Server, Type};
use futures::Stream;

use crate::mock::{builder, chain, server};

#[derive(Debug, PartialEq)]
struct User {
    id: i64,
    name: Option<String>,
    r#type: i32,
    is_admin: bool,
}

from_row!(User { id, name, r#type, is_admin: "Is Admin" });

const USERS: &str = "select * from users";

fn user(id: i64) -> User {
    User { id, name: (id % 2 > 0).then(|| format!("user {id}")), r#type: 7, is_admin: id == 1 }
}

/// The reply to [`USERS`]: columns in an order of their own, and one more than the struct has.
fn users(count: i64) -> Reply {
    let columns = [
        ("Is Admin", Type::BOOL),
        ("type", Type::INT4),
        ("more", Type::FLOAT8),
        ("name", Type::TEXT),
        ("id", Type::INT8),
    ];
    (1..=count).map(user).fold(Reply::columns(&columns), |reply, user| {
        reply.row(&[&user.is_admin, &user.r#type, &0.5, &user.name, &user.id])
    })
}

fn database(reply: Reply) -> (Server, Database) {
    let server = server();
    server.on(USERS).reply(reply);
    let db = builder(&server).build().unwrap();
    (server, db)
}

async fn next<S: Stream>(stream: &mut std::pin::Pin<&mut S>) -> Option<S::Item> {
    poll_fn(|cx| stream.as_mut().poll_next(cx)).await
}

#[test]
fn a_struct_is_read_by_name_wherever_a_tuple_is() {
    World::run(async |_| {
        let (_server, db) = database(users(3));
        let three: Vec<User> = (1..=3).map(user).collect();
        assert_eq!(db.fetch_all::<User>(USERS, ()).await.unwrap(), three);
        let mut rows = pin!(db.stream::<User>(USERS, ()));
        for user in &three {
            assert_eq!(next(&mut rows).await.unwrap().unwrap(), *user);
        }
        assert!(next(&mut rows).await.is_none());
        let in_tx = db.transaction(TxOptions::new(), async |tx| {
            let mut rows = pin!(tx.stream::<User>(USERS, ()));
            assert_eq!(next(&mut rows).await.unwrap()?, user(1));
            while next(&mut rows).await.transpose()?.is_some() {}
            tx.fetch_all::<User>(USERS, ()).await
        });
        assert_eq!(in_tx.await.unwrap(), three);

        let (_server, db) = database(users(1));
        assert_eq!(db.fetch_one::<User>(USERS, ()).await.unwrap(), user(1));
        assert_eq!(db.fetch_opt::<User>(USERS, ()).await.unwrap(), Some(user(1)));
        let one = db.transaction(TxOptions::new(), async |tx| tx.fetch_one::<User>(USERS, ()).await);
        assert_eq!(one.await.unwrap(), user(1));
    });
}

#[derive(Debug, PartialEq)]
struct Page<T, const N: usize> {
    item: T,
    total: i64,
}

impl<T, const N: usize> FromRow for Page<T, N>
where
    T: FromSqlOwned,
{
    from_row!(item, total: concat!("count", "_of_all"),);
}

from_row!(Private::Row<i32> { value });

#[expect(non_snake_case, reason = "a module with the name of a type, to be a path")]
mod Private {
    pub(super) struct Row<T> {
        pub(super) value: T,
    }
}

#[test]
fn a_struct_may_be_generic() {
    World::run(async |_| {
        let columns = [("item", Type::TEXT), ("count_of_all", Type::INT8), ("value", Type::INT4)];
        let (_server, db) = database(Reply::columns(&columns).row(&[&"a", &2_i64, &3]));
        let page: Page<String, 1> = db.fetch_one(USERS, ()).await.unwrap();
        assert_eq!(page, Page { item: "a".to_owned(), total: 2 });
        assert_eq!(db.fetch_one::<Private::Row<i32>>(USERS, ()).await.unwrap().value, 3);
        let number = db.fetch_one::<Page<i32, 1>>(USERS, ()).await.unwrap_err();
        assert_eq!(chain(&number)[1], "column `item` is of type text, which no `i32` fits");
    });
}

/// The error of the rows when they are read as this type.
async fn refused<R: FromRow + std::fmt::Debug>(reply: Reply) -> Vec<String> {
    let (_server, db) = database(reply);
    let all = db.fetch_all::<R>(USERS, ()).await.unwrap_err();
    assert!(matches!(all, Error::Decode(_)), "{all:?}");
    let mut rows = pin!(db.stream::<R>(USERS, ()));
    let streamed = loop {
        if let Err(error) = next(&mut rows).await.expect("a row that cannot be read") {
            break error;
        }
    };
    assert_eq!(chain(&streamed), chain(&all));
    assert!(next(&mut rows).await.is_none());
    chain(&all)
}

#[test]
fn an_error_names_the_column_and_its_types_and_the_columns_that_there_are() {
    #[derive(Debug)]
    #[expect(dead_code, reason = "never made")]
    struct One {
        id: i64,
    }
    from_row!(One { id });

    World::run(async |_| {
        const FIRST: &str = "a row is not what it was to be read as";
        let columns = |columns: &[(&str, Type)]| Reply::columns(columns);
        let missing = columns(&[("Id", Type::INT8), ("name", Type::TEXT)]).row(&[&1_i64, &"a"]);
        assert_eq!(
            refused::<One>(missing).await,
            [
                FIRST,
                "there is no column `id`, to be read as `i64`; the columns are `Id` (int8), `name` (text)"
            ]
        );
        let twice = columns(&[("id", Type::INT8), ("id", Type::TEXT)]).row(&[&1_i64, &"a"]);
        assert_eq!(
            refused::<One>(twice).await[1],
            "there is more than one column `id`, to be read as `i64`; the columns are `id` (int8), `id` (text)"
        );
        let wrong = columns(&[("id", Type::INT4)]).row(&[&1]);
        let wrong_type = [
            FIRST,
            "column `id` is of type int4, which no `i64` fits",
            "cannot convert between the Rust type `i64` and the Postgres type `int4`",
        ];
        assert_eq!(refused::<One>(wrong.clone()).await, wrong_type);
        assert_eq!(refused::<(i64,)>(wrong).await, wrong_type);
        // The first row can be read, the second one cannot.
        let null = columns(&[("id", Type::INT8)]).row(&[&1_i64]).row(&[&None::<i64>]);
        let is_null = "column `id` of type int8 is null, and `i64` is no `Option`";
        assert_eq!(refused::<One>(null.clone()).await[1], is_null);
        assert_eq!(refused::<(i64,)>(null).await[1], is_null);
        let names: Vec<String> = (0..100).map(|n| format!("c{n}")).collect();
        let names: Vec<(&str, Type)> = names.iter().map(|name| (name.as_str(), Type::INT4)).collect();
        let many = columns(&names).row(&vec![&1 as &(dyn ToSql + Sync); 100]);
        let many = &refused::<One>(many).await[1];
        assert!(many.ends_with("`c30` (int4), `c31` (int4), and 68 more"), "{many}");
    });
}

#[test]
fn parameters_may_be_slices() {
    World::run(async |_| {
        let server = server();
        server.setup("create table t (a int4, b text)");
        let db = builder(&server).build().unwrap();
        let insert = "insert into t (a) values ($1)";
        assert_eq!(db.execute(insert, &[&1]).await.unwrap(), 1);
        assert_eq!(db.execute(insert, [&2]).await.unwrap(), 1);
        let value = 3;
        assert_eq!(db.execute(insert, &[&value][..]).await.unwrap(), 1);
        let values: [&(dyn ToSql + Sync); 2] = [&4, &"four"];
        let two = "insert into t (a, b) values ($1, $2)";
        assert_eq!(db.execute(two, &values).await.unwrap(), 1);
        assert_eq!(db.execute(two, values).await.unwrap(), 1);
        assert_eq!(db.execute(two, &values[..]).await.unwrap(), 1);
        assert_eq!(db.execute(two, &values.to_vec()).await.unwrap(), 1);
        assert_eq!(db.execute_many(two, vec![values; 2]).await.unwrap(), 2);
        let sent = db.fetch_all::<(i32, Option<String>)>("select a, b from t order by a", ()).await.unwrap();
        let four = (4, Some("four".to_owned()));
        assert_eq!(sent[..3], [(1, None), (2, None), (3, None)]);
        assert_eq!(sent[3..], [&four; 6].map(Clone::clone));
    });
}
