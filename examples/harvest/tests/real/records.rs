//! Invalid records: each costs no other, with the same texts on both stores.

use serde_json::Value;

use crate::{
    flaws::failures,
    server::{Answer, Server, answer, document},
    workdir::Workdir,
};

/// A page with valid users around invalid ones; some users have invalid documents.
fn serve(path: &str) -> Answer {
    let sound =
        |id: u64| format!(r#"{{"id": {id}, "name": "User {id}", "email": "a@b.test", "active": true}}"#);
    let huge = "é".repeat(1 << 19);
    let body = match path {
        "/users.json" => [
            sound(1),
            r#"{"id": 101, "name": "A\u0000", "email": "a@b.test", "active": true}"#.into(),
            r#"{"id": 102, "name": "\ud800", "email": "a@b.test", "active": true}"#.into(),
            r#"{"id": 9223372036854775808, "name": "A", "email": "a@b.test", "active": true}"#.into(),
            format!(r#"{{"id": 2, "name": "{huge}", "email": "", "active": false}}"#),
            r#"{"id": "105", "name": "A", "email": "a@b.test", "active": true}"#.into(),
            format!(r#"{{"id": 106, "name": "A", "email": "a@b.test", "active": "{huge}"}}"#),
            r#"{"id": 107, "name": "A", "active": true}"#.into(),
            "null".into(),
            "{\"id\": 109, \"name\": \"A\0\", \"email\": \"a@b.test\", \"active\": true}".into(),
            r#"{"id": 110, "name": "A", "email": "\'", "active": true}"#.into(),
            r#"{"id": 111, "name": "A", "email": "a@b.test", "active": true, "score": NaN}"#.into(),
            sound(1),
            sound(3),
        ]
        .join(", "),
        "/users-2.json" => [
            sound(1),
            sound(4),
            sound(5),
            r#"{"id": -7, "name": "", "email": "\u007f", "active": true}"#.into(),
        ]
        .join(", "),
        "/users/1/orders.json" => {
            let order = |id: &str, cents: &str, currency: &str| {
                format!(
                    r#"{{"order": {id}, "cents": {cents}, "currency": "{currency}", "placed": "99999-99-99"}}"#
                )
            };
            let orders = [
                order("10", "5", "EUR"),
                order("11", "1e99", "EUR"),
                order("12", "5.5", "EUR"),
                order("13", "5", r"\u0000"),
                order("14", "-9223372036854775808", "EUR"),
                order("10", "6", "EUR"),
                order("15", "Infinity", "EUR"),
            ];
            return answer(
                200,
                "application/json",
                format!(r#"{{"user": 1, "orders": [{}]}}"#, orders.join(", ")),
            );
        }
        "/users/3/prefs.json" => {
            let body = r#"{"user": 3, "theme": "\u0000", "locale": "pl", "newsletter": true}"#;
            return answer(200, "application/json", body);
        }
        "/users/4/prefs.json" => {
            let body = b"{\"user\": 4, \"theme\": \"Zo\xeb\", \"locale\": \"pl\", \"newsletter\": true}";
            return answer(200, "application/json", &body[..]);
        }
        "/users/-7/orders.json" => return answer(200, "application/json", r#"{"user": -7, "orders": []}"#),
        "/users/-7/prefs.json" => {
            let body = r#"{"user": -7, "theme": "dark", "locale": "pl", "newsletter": true}"#;
            return answer(200, "application/json", body);
        }
        path => return document(path),
    };
    let next = if path == "/users.json" { r#""users-2.json""# } else { "null" };
    answer(200, "application/json", format!(r#"{{"items": [{body}], "next": {next}}}"#))
}

fn told(report: &Value, base: &str) -> Vec<(String, String)> {
    failures(report).into_iter().map(|(url, reason)| (url.replace(base, ""), reason.to_owned())).collect()
}

async fn harvested(workdir: &Workdir) -> (Value, Vec<(String, String)>) {
    let server = Server::start(async |path: String| serve(&path)).await;
    let report = workdir.run(&format!("--url {}", server.base), 0).await;
    let told = told(&report, &server.base);
    (report, told)
}

#[tokio::test]
#[ignore = "real tier"]
async fn a_bad_record_is_reported_and_all_others_are_stored() {
    let workdir = Workdir::new();
    let (report, told) = harvested(&workdir).await;
    let expected = [
        ("/users.json#/items/1", "user 101: its name has a NUL character"),
        ("/users.json#/items/10", "user 110: invalid escape"),
        ("/users.json#/items/11", "user 111: expected value"),
        ("/users.json#/items/2", "user 102: "),
        ("/users.json#/items/3", "user: invalid value: integer `9223372036854775808`, expected i64"),
        ("/users.json#/items/5", "user: invalid type: string \"105\", expected i64"),
        ("/users.json#/items/6", "user 106: invalid type: string \"éé"),
        ("/users.json#/items/7", "user 107: missing field `email`"),
        ("/users.json#/items/8", "user: not an object"),
        ("/users.json#/items/9", "user 109: control character"),
        ("/users/1/orders.json#/orders/1", "order 11: "),
        ("/users/1/orders.json#/orders/2", "order 12: invalid type: floating point `5.5`, expected i64"),
        ("/users/1/orders.json#/orders/3", "order 13: its currency has a NUL character"),
        ("/users/1/orders.json#/orders/6", "order 15: expected value"),
        ("/users/3/prefs.json", "its theme has a NUL character"),
        ("/users/4/prefs.json", "its theme is not UTF-8"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for ((url, reason), (at, begin)) in told.iter().zip(expected) {
        assert!(url == at && reason.starts_with(begin) && reason.len() < 1100, "{url}: {reason}");
    }
    // Users 1 to 5 and -7; two orders of the first, one of each other but the last.
    assert_eq!(
        (&report["users"], &report["orders"], &report["unfinished"]),
        (&6.into(), &6.into(), &0.into())
    );
    assert_eq!(workdir.number("SELECT count(*) FROM users").await, 6);
    assert_eq!(workdir.number("SELECT count(*) FROM orders").await, 6);
    assert_eq!(workdir.number("SELECT length(name) FROM users WHERE id = 2").await, 1 << 19);
    assert_eq!(workdir.number("SELECT cents FROM orders WHERE id = 14").await, i64::MIN);
    assert_eq!(workdir.number("SELECT cents FROM orders WHERE id = 10").await, 6, "the last of two");
}

#[tokio::test]
#[ignore = "real tier"]
async fn both_stores_have_the_same_rows_and_say_the_same() {
    let Some(postgres) = Workdir::postgres().await else { return };
    let sqlite = Workdir::new();
    let (mine, mine_told) = harvested(&sqlite).await;
    let (other, other_told) = harvested(&postgres).await;
    assert_eq!(mine_told, other_told);
    for name in ["users", "orders", "pages", "unfinished", "documents", "ended"] {
        assert_eq!(mine[name], other[name], "{name}");
    }
    assert_eq!(sqlite.dump().await, postgres.dump().await);
}

/// A link of 10,000 characters does not fit an index in PostgreSQL.
#[tokio::test]
#[ignore = "real tier"]
async fn a_long_link_is_a_link() {
    for workdir in [Some(Workdir::new()), Workdir::postgres().await].into_iter().flatten() {
        let server = Server::start(async |path: String| match path.as_str() {
            "/users.json" => {
                crate::server::page(1..=2, Some(&format!("users-2.json?cursor={}", "x".repeat(10_000))))
            }
            path if path.starts_with("/users-2.json") => answer(404, "text/html", ""),
            path => document(path),
        });
        let server = server.await;
        let report = workdir.run(&format!("--url {}", server.base), 0).await;
        let [(url, "404 Not Found")] = failures(&report)[..] else { panic!("{report}") };
        assert!(
            url.starts_with(&format!("{}/users-2.json?cursor=xxx", server.base)) && url.len() < 1100,
            "{url}"
        );
        assert_eq!((&report["users"], &report["ended"]), (&2.into(), &"complete".into()));
    }
}
