//! A database of the test behind the server.

use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
};

use evenkeel_testkit::{World, assert_took, net::MemNet};
use evenkeel_testkit_pg::{
    AnswerFuture, Description, Reply, ReplyFault, ReplyStep, Server, Tables, Type, Value,
};
use tokio::time::{sleep, timeout};

use crate::{MS, SECOND, code};

/// Logs the statements that were run, and the ends of the transactions that had one.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<(Vec<String>, Vec<i32>)>>);

impl Log {
    fn state(&self) -> MutexGuard<'_, (Vec<String>, Vec<i32>)> {
        self.0.lock().expect("nothing panics under the lock")
    }

    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.state().0)
    }

    fn line(&self, line: String) {
        self.state().0.push(line);
    }
}

/// The statements of this database.
const READ: &str = "select read($1)";
const WAIT: &str = "select wait($1)";
const FAIL: &str = "update fail set n = $1";
const WRITE: &str = "update write set n = $1";

fn own(sql: &str) -> Option<&'static str> {
    let own = [(READ, "read"), (WAIT, "wait"), (FAIL, "fail"), (WRITE, "write")];
    own.into_iter().find(|(text, _)| *text == sql).map(|(_, name)| name)
}

impl Tables for Log {
    fn describe(&self, sql: &str) -> Option<Description> {
        let name = own(sql)?;
        let columns = (name != "write").then(|| vec![("n".to_owned(), Type::INT8)]);
        Some(Description { parameters: vec![Type::INT8], columns })
    }

    fn run<'a>(&'a self, session: i32, sql: &'a str, parameters: &'a [Value]) -> Option<AnswerFuture<'a>> {
        let name = own(sql)?;
        Some(Box::pin(async move {
            self.line(format!("{session} {name} {parameters:?}"));
            self.state().1.push(session);
            match name {
                "wait" => pending().await,
                "fail" => Reply::error("23505"),
                "write" => Reply::affected(3),
                _ => Reply::columns(&[("n", Type::INT8)]).row(&[&7_i64]).row(&[&8_i64]),
            }
        }))
    }

    fn end(&self, session: i32, is_committed: bool) {
        let had_one = {
            let open = &mut self.state().1;
            let before = open.len();
            open.retain(|of| *of != session);
            open.len() < before
        };
        if had_one {
            self.line(format!("{session} {}", if is_committed { "commit" } else { "rollback" }));
        }
    }
}

fn server() -> (Server, Log) {
    let log = Log::default();
    (Server::mem_with(&MemNet::new(), "db.test", log.clone()).expect("a free address"), log)
}

const ONE: &str = "[(Int8, Some(b\"\\0\\0\\0\\0\\0\\0\\0\\x01\"))]";

#[test]
fn statements_of_the_database_run_there_and_the_others_in_the_server() {
    World::run(async |_| {
        let (server, log) = server();
        server.setup("create table t (id int8)");
        let client = server.client().await.unwrap();
        let rows = client.query(READ, &[&1_i64]).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [7, 8]);
        assert_eq!(client.execute(WRITE, &[&1_i64]).await.unwrap(), 3);
        assert_eq!(client.execute("insert into t values (1)", &[]).await.unwrap(), 1);
        let lines = [format!("1 read {ONE}"), "1 commit".into(), format!("1 write {ONE}"), "1 commit".into()];
        assert_eq!(log.lines(), lines);
        let simple = client.simple_query(&format!("{WRITE}; select 1")).await.unwrap();
        assert_eq!(simple.len(), 4);
        assert_eq!(log.lines(), ["1 write []", "1 commit"]);
    });
}

#[test]
fn a_transaction_ends_with_its_commit_an_error_or_its_session() {
    World::run(async |_| {
        let (server, log) = server();
        let mut client = server.client().await.unwrap();
        let transaction = client.transaction().await.unwrap();
        transaction.execute(WRITE, &[&1_i64]).await.unwrap();
        transaction.execute(WRITE, &[&1_i64]).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(log.lines()[2..], ["1 commit"]);

        assert_eq!(code(&client.execute(FAIL, &[&1_i64]).await.unwrap_err()), "23505");
        assert_eq!(log.lines()[1..], ["1 rollback"]);

        client.batch_execute(&format!("begin; {WRITE}")).await.unwrap();
        drop(client);
        sleep(MS).await;
        assert_eq!(log.lines()[1..], ["1 rollback"]);
    });
}

#[test]
fn faults_of_scripts_are_those_of_its_statements() {
    World::run(async |_| {
        let (server, log) = server();
        let lost = Reply::run().fault(ReplyStep::ReadyForQuery, ReplyFault::Reset).latency(SECOND);
        server.on(WRITE).reply(lost).times(1).then(Reply::error("40001")).times(1);
        let client = server.client().await.unwrap();
        assert!(assert_took!(client.execute(WRITE, &[&1_i64]), SECOND).is_err());
        assert_eq!(log.lines(), [format!("1 write {ONE}"), "1 commit".into()]);
        let client = server.client().await.unwrap();
        assert_eq!(code(&client.execute(WRITE, &[&1_i64]).await.unwrap_err()), "40001");
        assert!(log.lines().is_empty());
        assert_eq!(client.execute(WRITE, &[&1_i64]).await.unwrap(), 3);
    });
}

#[test]
fn a_statement_that_is_cancelled_is_dropped() {
    World::run(async |_| {
        let (server, log) = server();
        let client = server.client().await.unwrap();
        let wait = client.query(WAIT, &[&1_i64]);
        assert!(timeout(SECOND, wait).await.is_err());
        server.connector().cancel(&client.cancel_token()).await.unwrap();
        assert_eq!(client.execute(WRITE, &[&1_i64]).await.unwrap(), 3);
        let lines =
            [format!("1 wait {ONE}"), "1 rollback".into(), format!("1 write {ONE}"), "1 commit".into()];
        assert_eq!(log.lines(), lines);
    });
}

#[test]
fn the_address_is_free_or_an_error() {
    World::run(async |_| {
        let net = MemNet::new();
        let _server = Server::mem(&net, "db.test").unwrap();
        assert!(Server::mem_with(&net, "db.test", Log::default()).is_err());
    });
}
