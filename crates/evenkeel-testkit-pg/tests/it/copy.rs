//! COPY in and out.

use std::pin::pin;

use bytes::Bytes;
use evenkeel_testkit::{World, assert_took};
use evenkeel_testkit_pg::{Reply, Type};
use futures::{SinkExt, StreamExt, TryStreamExt};
use tokio_postgres::{
    Client,
    binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream},
};

use super::{code, done, names, users};
use crate::SECOND;

/// Runs a COPY with these data; returns the number of rows, or the error.
async fn copy_in(client: &Client, sql: &str, data: &[&'static [u8]]) -> Result<u64, String> {
    let sink = client.copy_in::<_, Bytes>(sql).await.map_err(|error| code(&error).to_owned())?;
    let mut sink = pin!(sink);
    for part in data {
        sink.send(Bytes::from_static(part)).await.expect("sent");
    }
    sink.finish().await.map_err(|error| code(&error).to_owned())
}

async fn copy_out(client: &Client, sql: &str) -> Vec<u8> {
    let parts: Vec<Bytes> =
        client.copy_out(sql).await.expect("a copy").try_collect().await.expect("all of it");
    parts.concat()
}

#[test]
fn text_is_copied_in_and_out() {
    World::run(async |_| {
        let (server, client) = users().await;
        let copied = copy_in(&client, "copy users from stdin", &[b"3\tC", b"y\\t\\\\\\n\n4\t\\N\n"]).await;
        assert_eq!(copied, Ok(2));
        assert_eq!(server.statements()[0].outcome, done("COPY 2"));
        let copied =
            copy_in(&client, "copy users (name, id) from stdin with (format text)", &[b"Ed\t5\n\\.\n"]).await;
        assert_eq!(copied, Ok(1));
        let out = copy_out(&client, "copy users to stdout").await;
        assert_eq!(String::from_utf8(out).unwrap(), "1\tAda\n2\tBob\n3\tCy\\t\\\\\\n\n4\t\\N\n5\tEd\n");
        assert_eq!(
            copy_out(&client, "copy users (name) to stdout").await,
            b"Ada\nBob\nCy\\t\\\\\\n\n\\N\nEd\n"
        );
    });
}

#[test]
fn binary_is_copied_in_and_out() {
    World::run(async |_| {
        let (_server, client) = users().await;
        let types = [Type::INT8, Type::TEXT];
        let sink = client.copy_in("copy users from stdin binary").await.unwrap();
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
        for id in 3..5000_i64 {
            let name = (id % 2 == 0).then(|| format!("user {id}"));
            writer.as_mut().write(&[&id, &name]).await.unwrap();
        }
        assert_eq!(writer.finish().await.unwrap(), 4997);

        let stream = client.copy_out("copy users to stdout (format binary)").await.unwrap();
        let rows: Vec<_> = BinaryCopyOutStream::new(stream, &types).try_collect().await.unwrap();
        assert_eq!(rows.len(), 4999);
        assert_eq!((rows[0].get::<i64>(0), rows[0].get::<&str>(1)), (1, "Ada"));
        assert_eq!((rows[4998].get::<i64>(0), rows[4998].get::<Option<&str>>(1)), (4999, None));
        client.batch_execute("truncate users").await.unwrap();
        let stream = client.copy_out("copy users to stdout binary").await.unwrap();
        assert!(pin!(BinaryCopyOutStream::new(stream, &types)).next().await.is_none());
    });
}

#[test]
fn what_cannot_be_copied_leaves_the_table_and_the_connection_as_they_were() {
    World::run(async |_| {
        let (_server, client) = users().await;
        for (data, expected) in [
            (&b"3\tCy\n1\tx\n"[..], "23505"),
            (b"3\n", "22P04"),
            (b"3\tCy\tx\n", "22P04"),
            (b"x\tCy\n", "22P02"),
            (b"3\t\xff\n", "22021"),
        ] {
            assert_eq!(copy_in(&client, "copy users from stdin", &[data]).await, Err(expected.to_owned()));
        }
        assert_eq!(
            copy_in(&client, "copy users from stdin binary", &[b"PGCOPY"]).await,
            Err("22P04".to_owned())
        );
        assert_eq!(copy_in(&client, "copy nobody from stdin", &[]).await, Err("42P01".to_owned()));
        assert_eq!(names(&client).await, ["Ada", "Bob"]);
    });
}

#[test]
fn a_copy_that_is_dropped_is_taken_back() {
    World::run(async |_| {
        let (server, client) = users().await;
        let sink = client.copy_in::<_, Bytes>("copy users from stdin").await.unwrap();
        let mut sink = Box::pin(sink);
        sink.send(Bytes::from_static(b"3\tCy\n")).await.unwrap();
        drop(sink);
        assert_eq!(names(&client).await, ["Ada", "Bob"]);
        assert_eq!(server.statements()[0].outcome, super::failed("57014"));
        let stream = client.copy_out("copy users to stdout").await.unwrap();
        drop(stream);
        assert_eq!(names(&client).await, ["Ada", "Bob"]);
    });
}

#[test]
fn copies_are_scripted_too() {
    World::run(async |_| {
        let (server, client) = users().await;
        server.on_prefix("copy t from").reply(Reply::affected(7)).latency(SECOND).then(Reply::error("57P01"));
        assert_eq!(assert_took!(copy_in(&client, "copy t from stdin", &[b"anything"]), SECOND), Ok(7));
        assert_eq!(copy_in(&client, "copy t from stdin", &[]).await, Err("57P01".to_owned()));
        // After that tokio-postgres sends one sync too many, and mistakes its answer for the answer to another message.
        let client = server.client().await.unwrap();
        let rows = Reply::columns(&[("a", Type::INT4), ("b", Type::TEXT)]).row(&[&1, &"x"]).row(&[&2, &"y"]);
        server.on_prefix("copy t to").reply(rows.clone()).then(rows.reset_after(1));
        assert_eq!(copy_out(&client, "copy t to stdout").await, b"1\tx\n2\ty\n");
        let mut rows = pin!(client.copy_out("copy t to stdout").await.unwrap());
        assert_eq!(rows.next().await.unwrap().unwrap(), "1\tx\n");
        assert!(rows.next().await.unwrap().is_err());
    });
}
