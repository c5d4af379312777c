//! The replies of scripts to statements.

use std::time::Duration;

use evenkeel_testkit::{World, assert_took};
use evenkeel_testkit_pg::{Reply, Server, Type};

use super::{code, server, text, users};
use crate::{MS, SECOND, panic_of};

/// For each of `times` executions, its SQLSTATE or the number of affected rows.
async fn results(server: &Server, sql: &str, times: usize) -> Vec<String> {
    let client = server.client().await.expect("a connection");
    let mut results = vec![];
    for _ in 0..times {
        results.push(match client.execute(sql, &[]).await {
            Ok(rows) => rows.to_string(),
            Err(error) => code(&error).to_owned(),
        });
    }
    results
}

#[test]
fn replies_come_in_order_and_the_last_for_ever() {
    World::run(async |_| {
        let server = server();
        let mut script = server.on("update t");
        script.reply(Reply::error("40001")).times(2).then(Reply::error("40P01")).then(Reply::affected(3));
        assert_eq!(results(&server, "update t", 5).await, ["40001", "40001", "40P01", "3", "3"]);
        script.reply(Reply::affected(1)).times(1);
        assert_eq!(results(&server, "update t", 2).await, ["1", "42601"]);
        script.then(Reply::affected(2));
        assert_eq!(results(&server, "update t", 1).await, ["2"]);
    });
}

#[test]
fn scripts_match_by_text_prefix_closure_and_number() {
    World::run(async |_| {
        let server = server();
        server.on_nth(2).reply(Reply::affected(2));
        server.on_every(4).reply(Reply::affected(4));
        server.on("  DELETE\n from A ; ").reply(Reply::affected(10));
        server.on_prefix("delete from B").reply(Reply::affected(20));
        server.when(|sql| sql.ends_with('c')).reply(Reply::affected(30));
        assert_eq!(results(&server, "delete from a", 4).await, ["10", "2", "10", "4"]);
        assert_eq!(results(&server, "delete  from b where x", 1).await, ["20"]);
        assert_eq!(results(&server, "delete from c", 3).await, ["30", "30", "4"]);
        assert_eq!(results(&server, "delete from a b", 1).await, ["42601"]);
    });
}

#[test]
fn a_script_without_a_reply_answers_nothing() {
    World::run(async |_| {
        let server = server();
        let mut script = server.on("select 1");
        let client = server.client().await.unwrap();
        assert_eq!(text(&client, "select 1").await.unwrap(), [[Some("1".to_owned())]]);
        script.reply(Reply::columns(&[("a", Type::INT4)]));
        assert!(text(&client, "select 1").await.unwrap().is_empty());
    });
}

#[test]
fn latency_is_exact_and_of_one_statement() {
    World::run(async |_| {
        let (server, client) = users().await;
        let users = Reply::columns(&[("n", Type::INT8)]).row(&[&7_i64]);
        server.on("select n").reply(users).latency(250 * MS);
        server.on_prefix("select name").reply(Reply::run().latency(3 * SECOND));
        let statement = client.prepare("select n").await.unwrap();
        let row = assert_took!(client.query_one(&statement, &[]), 250 * MS).unwrap();
        assert_eq!(row.get::<_, i64>("n"), 7);
        assert_eq!(assert_took!(text(&client, "select n; select n"), 500 * MS).unwrap().len(), 2);
        assert_eq!(assert_took!(super::names(&client), 3 * SECOND), ["Ada", "Bob"]);
        assert_took!(client.query("select id from users", &[]), Duration::ZERO).unwrap();
    });
}

#[test]
fn parameters_have_the_types_that_the_script_or_the_statement_says() {
    World::run(async |_| {
        let server = server();
        let sql = "call f($1, $2::int4, $3, $4::varchar(9)[])";
        server.on(sql).reply(Reply::affected(0)).parameters(&[Type::INT8]);
        let client = server.client().await.unwrap();
        assert_eq!(
            client.prepare(sql).await.unwrap().params(),
            [Type::INT8, Type::INT4, Type::TEXT, Type::VARCHAR_ARRAY]
        );
        client.execute(sql, &[&1_i64, &2_i32, &"x", &vec!["y"]]).await.unwrap();
        let recorded = &server.statements()[0];
        assert_eq!(recorded.parameters[..3], ["1", "2", "x"].map(|text| Some(text.to_owned())));
        assert!(recorded.parameters[3].as_ref().unwrap().starts_with("\\x00000001"));
    });
}

#[test]
fn an_error_before_a_table_leaves_its_columns_known() {
    World::run(async |_| {
        let (server, client) = users().await;
        server.on_prefix("select").reply(Reply::error("40001")).times(1);
        let statement = client.prepare("select name from users where id = $1").await.unwrap();
        assert_eq!(statement.params(), [Type::INT8]);
        assert_eq!(code(&client.query(&statement, &[&1_i64]).await.unwrap_err()), "40001");
        assert_eq!(client.query_one(&statement, &[&1_i64]).await.unwrap().get::<_, &str>(0), "Ada");
    });
}

#[test]
fn a_reply_with_other_columns_than_were_described_is_refused() {
    World::run(async |_| {
        let (server, client) = users().await;
        let statement = client.prepare("select name from users").await.unwrap();
        server.on_prefix("select").reply(Reply::columns(&[("other", Type::INT4)]));
        assert_eq!(code(&client.query(&statement, &[]).await.unwrap_err()), "0A000");
    });
}

#[test]
fn notices_and_messages_are_those_of_the_reply() {
    World::run(async |_| {
        let server = server();
        server.on("vacuum").reply(Reply::error("55P03").message("could not obtain lock"));
        let client = server.client().await.unwrap();
        let error = client.batch_execute("vacuum").await.unwrap_err();
        assert_eq!(
            (code(&error), error.as_db_error().unwrap().message()),
            ("55P03", "could not obtain lock")
        );
        assert_eq!(error.as_db_error().unwrap().severity(), "ERROR");
    });
}

#[test]
fn what_was_expected_and_did_not_happen_fails_the_test() {
    let message = panic_of(|| {
        World::run(async |_| {
            let server = server();
            server.on("vacuum").reply(Reply::affected(0)).expect(2);
            server.on_every(7).reply(Reply::affected(0)).expect(0);
            results(&server, "vacuum", 1).await;
        });
    });
    assert!(
        message.starts_with("the server db.test:5432 was not used as it should be:\n  vacuum ("),
        "{message}"
    );
    assert!(message.ends_with("expected 2 statement(s), got 1"), "{message}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |test: fn(&Server)| panic_of(|| World::run(async |_| test(&server())));
    assert_eq!(
        refused(|server| {
            let _ = server.on("a").reply(Reply::affected(0)).times(0);
        }),
        "a reply that is given zero times"
    );
    assert_eq!(
        refused(|server| {
            let _ = server.on("a").times(1);
        }),
        "the script has no reply yet"
    );
    assert_eq!(
        refused(|server| {
            let _ = server.on_nth(0);
        }),
        "statements are counted from 1"
    );
    assert_eq!(
        refused(|server| {
            let _ = server.on_every(0);
        }),
        "every zeroth statement"
    );
    assert_eq!(
        refused(|_| {
            let _ = Reply::error("4000");
        }),
        "no SQLSTATE: \"4000\""
    );
    assert_eq!(
        refused(|_| {
            let _ = Reply::fatal("4000a");
        }),
        "no SQLSTATE: \"4000a\""
    );
    assert_eq!(
        refused(|_| {
            let _ = Reply::run().row(&[]);
        }),
        "a row of a reply without columns"
    );
    assert_eq!(
        refused(|_| {
            let _ = Reply::run().message("");
        }),
        "a message of a reply that is no error"
    );
    let columns = || Reply::columns(&[("a", Type::INT4)]);
    assert_eq!(
        panic_of(|| {
            let _ = columns().row(&[]);
        }),
        "0 values for 1 columns"
    );
    assert!(
        panic_of(|| {
            let _ = columns().row(&[&"x"]);
        })
        .starts_with("no value for column \"a\": ")
    );
    assert_eq!(
        refused(|server| server.setup("insert into t values (1)")),
        "insert into t values (1): relation \"t\" does not exist (42P01)"
    );
}
