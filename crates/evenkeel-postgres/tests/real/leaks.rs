//! Statements that look like work on tables, and leave something in the session.

use evenkeel_postgres::{Database, Error, TxOptions};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use crate::harness::{TestSchema, pid, run};

/// A function that leaves as much as possible in the session, and others of the same kind with names of keywords.
async fn with_functions(schema: &TestSchema) -> Database {
    let db = schema.db(1).await;
    db.batch_execute("create table t (id int, n int); insert into t values (1, 1); create table u (n int); create sequence s")
        .await
        .unwrap();
    const NAMES: &str = "f over filter by set sets conflict join insert merge update within materialized temp key nothing work";
    for name in NAMES.split(' ') {
        db.batch_execute(&format!(
            "create function \"{name}\"(n int default 1) returns int language plpgsql as $$ begin
                 perform set_config('a.b', 'left', false), pg_advisory_lock(n), nextval('s');
                 execute 'create temp table if not exists left_table (n int)';
                 execute 'listen left_channel';
                 if not exists (select from pg_prepared_statements where name = 'left Statement') then
                     execute 'prepare \"left Statement\" as select 1';
                 end if;
                 if not exists (select from pg_cursors where name = 'left_cursor') then
                     execute 'declare left_cursor cursor with hold for select 1';
                 end if;
                 return n;
             end $$"
        ))
        .await
        .unwrap();
    }
    db
}

/// Returns what an earlier user has left in the session.
const LEFT: &str = "select concat_ws(' ',
    (select 'table ' || min(relname) from pg_class where relnamespace = pg_my_temp_schema()),
    'setting ' || nullif(current_setting('a.b', true), ''),
    (select 'settings ' || string_agg(name, ' ' order by name) from pg_settings
        where source = 'session' and name <> 'client_encoding'
        and not (name = 'application_name' and setting like 'test_%')),
    (select 'lock ' || min(objid) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
    (select 'channel ' || min(c) from pg_listening_channels() c),
    (select 'cursor ' || min(name) from pg_cursors where is_holdable),
    (select 'statement ' || min(name) from pg_prepared_statements where from_sql),
    (select 'role ' || current_user where current_user <> session_user))";

async fn left(db: &Database) -> String {
    let (left,): (String,) = db.fetch_one(LEFT, ()).await.unwrap();
    left
}

/// Statements that leave something if the session is not reset.
const LEAVES: [&str; 31] = [
    "select 1 as n into temp left_table",
    "select 1 as n into temporary table left_table from t",
    "select 1 as n into pg_temp.left_table",
    "(select 1 as n into temp left_table)",
    "with x as (select 1 as n) select * into temp left_table from x",
    "select n insert into temp left_table from t",
    "select n as merge into pg_temp.left_table from t",
    "select set_config('a.b', 'left', false)",
    "select pg_catalog . \"set_config\" ('a.b', 'left', false)",
    "select * from set_config('a.b', 'left', false)",
    "values (set_config('a.b', 'left', false))",
    "update pg_settings set setting = '7s' where name = 'statement_timeout'",
    "select pg_advisory_lock(1)",
    // No other test has this lock at the same time.
    "select 1 from t where pg_try_advisory_lock_shared(id + 100)",
    "select f()",
    "select (f(1))",
    "select \"f\"(1)",
    "select over(1), filter(1)",
    "select conflict(1), \"by\"(1)",
    "insert into t select 1 from t a join t b on conflict(1) = 1",
    "select case when true then insert(1) end",
    "insert into t values (f(), 1) returning n",
    "update t set n = f(1) where n = 1",
    "delete from t where f(n) = 0",
    "with x as (insert into t values (1, f()) returning n) select n from x",
    "explain analyze create temp table left_table as select 1 as n",
    "prepare \"left Statement\" as select 1",
    "declare left_cursor cursor with hold for select 1",
    "listen left_channel",
    "do $$ begin perform f(); end $$",
    "set role pg_read_all_data",
];

#[test]
#[ignore = "real tier"]
fn nothing_is_left_by_what_looks_like_a_read() {
    run(|schema| async move {
        let db = with_functions(&schema).await;
        db.execute("set a.b = ''", ()).await.unwrap();
        let pid = pid(&db).await;
        assert_eq!(left(&db).await, "");
        for sql in LEAVES {
            // Within a transaction it shows that the reset is needed. A statement that is refused there leaves nothing.
            let within: Result<String, Error> = db
                .transaction(TxOptions::new(), async |tx| {
                    tx.execute(sql, ()).await?;
                    Ok(tx.fetch_one::<(String,)>(LEFT, ()).await?.0)
                })
                .await;
            let takes_effect_at_commit = sql.starts_with("listen");
            assert_eq!(within.unwrap().is_empty(), takes_effect_at_commit, "{sql}");
            assert_eq!(left(&db).await, "", "{sql}");
            db.execute(sql, ()).await.unwrap();
            assert_eq!(left(&db).await, "", "{sql}");
            db.batch_execute(&format!("select 1; {sql}")).await.unwrap();
            assert_eq!(left(&db).await, "", "{sql}");
        }
        assert_eq!(crate::harness::pid(&db).await, pid, "it was reset, and not made again");
    });
}

/// A text that has a call only where a backslash escapes the quote after it.
#[test]
#[ignore = "real tier"]
fn nothing_is_left_whichever_way_the_server_reads_strings() {
    run(|schema| async move {
        with_functions(&schema).await;
        for (setting, is_call) in [("off", 1), ("on", 0)] {
            let db = schema.db_with(1, &format!("-c standard_conforming_strings={setting}")).await;
            for sql in
                [r"select '\'' || f(1)::text || '\''", r"select 1 where 'x' ~ '\'' or f(1) = 2 or 'x' = '\''"]
            {
                let called = db.execute(sql, ()).await.is_ok();
                assert_eq!(i32::from(called), is_call, "{sql}");
                assert_eq!(left(&db).await, "", "{sql}");
            }
        }
    });
}

#[test]
#[ignore = "real tier"]
fn whatever_is_trusted_leaves_nothing() {
    run(|schema| async move {
        let db = with_functions(&schema).await;
        let one_of = |all: &'static [&'static str]| prop::sample::select(all);
        // Mostly valid statements.
        let value = one_of(&[
            "1",
            "n",
            "count(*)",
            "lower('X')",
            "f(1)",
            "over(1)",
            "filter(1)",
            "\"by\"(1)",
            "conflict(1)",
            "\"join\"(1)",
            "insert(1)",
            "merge(1)",
            "update(1)",
            "within(1)",
            "sets(1)",
            "key(1)",
            "nothing(1)",
            "materialized(1)",
            "work(1)",
            "temp(1)",
            "set(1)",
            "set_config('a.b', 'left', false)",
            "coalesce(n, f(2))",
            "(select f(1))",
            "case when n > 0 then f(n) end",
            "pg_advisory_lock(1)",
            "sum(f(n)) over (order by n)",
            "count(*) filter (where f(n) = 1)",
            "array[f(1)]",
            "cast(f(1) as numeric(3))",
            "f",
            "distinct on (n) filter(1)",
            "distinct on (lower('x')) f(1)",
            "(1) operator(pg_catalog.+) f(1)",
            "lower('x')::text operator(pg_catalog.||) over(1)",
            "(n) in (1) and f(1) = 1",
        ]);
        let into = one_of(&[
            "",
            "",
            "",
            " into temp l",
            " as insert into uemp l",
            " insert into pg_temp.l",
            " as \"into\"",
            " merge into temp l",
        ]);
        let from = one_of(&[
            "",
            " from t",
            " from t as a (x, n)",
            " from t a join t b using (n)",
            " from t join lateral f(t.n) g on true",
            " from t left join (select 1) as b(z) on (true)",
            " from f(1) as g(n)",
            " from t where f(n) = 1 for update",
            " from t group by (n)",
            " from t group by rollup (n)",
            " from rows from (f(1)) as r(n)",
            " from t a join t b on conflict(1) = 1",
            " from t where exists (select f(1))",
            " from (select 1) x(n), f(1) y(m)",
            " from unnest(array[1]) \"n\"(n) join f(1) f(m) on (m = 1)",
        ]);
        let around = one_of(&[
            "@",
            "(@)",
            "@;",
            "with x as (@) select 1",
            "with x (a) as materialized (@) table x",
            "with insert as (@) @",
            "with update as (@) select set(1)",
            "insert into u (n) @",
            "insert into u @",
            "insert into u select * from (@) q on conflict do nothing",
            "with x as (insert into u (n) @ returning n) @",
            "select * from (@) q",
            "select exists (@)",
            "values ((@))",
            "update u set n = (@)",
            "update u set (n) = row((@))",
            "update u set n = set((@))",
            "delete from u where n in (@)",
            "@ union all @",
            "explain @",
            "@ returning n",
            "merge into u using (select 1 as x) q on n = x when matched then update set n = (@)",
            "merge into u using (@) q on true when not matched then insert (n) values (f(1))",
        ]);
        let space = one_of(&[" ", "  ", "/* ( */", "--\n", "\n"]);
        let sentence = (value, into, from, around, space).prop_map(|(value, into, from, around, space)| {
            around.replace('@', &format!("select {value}{into}{from}")).replace(' ', space)
        });
        // Other functions.
        let part = one_of(&[
            "select",
            "values",
            "insert into u",
            "with x as",
            "from t",
            "(",
            ")",
            ",",
            "1",
            "n",
            "'a'",
            "as",
            "on",
            "by",
            "insert",
            "merge",
            "into temp l",
            "f(1)",
            "lower",
            "coalesce(",
            "pg_catalog.",
            "\"f\"",
            "conflict",
            "distinct",
            "case when true then",
            "end",
            "returning n",
            "e'\\''",
            "$$ f() $$",
            ";",
            "::",
            "materialized",
            "not",
            "over (",
            "distinct on (n)",
            "operator(pg_catalog.+)",
            "(1)",
            "x(n)",
        ]);
        let noise = prop::collection::vec(part, 1..9).prop_map(|parts| parts.join(" "));
        let any = prop_oneof![4 => sentence, 1 => noise];
        let mut runner = TestRunner::deterministic();
        let (mut ran, total) = (0, 1500);
        for _ in 0..total {
            let sql = any.new_tree(&mut runner).unwrap().current();
            ran += i32::from(db.execute(&sql, ()).await.is_ok());
            assert_eq!(left(&db).await, "", "{sql}");
        }
        assert!(ran > total / 5, "{ran} of {total} were right");
    });
}

#[test]
#[ignore = "real tier"]
fn what_triggers_leave_is_reset_where_it_is_asked_for() {
    run(|schema| async move {
        with_functions(&schema).await;
        let db = schema.builder().max(1).reset_always().connect().await.unwrap();
        db.batch_execute(
            "create function leave() returns trigger language plpgsql as $$ begin perform f(); return new; end $$;
             create trigger leave before insert on t for each row execute function leave();
             create view v as select f() as n",
        )
        .await
        .unwrap();
        for sql in ["insert into t values (1, 1)", "select * from v"] {
            db.execute(sql, ()).await.unwrap();
            assert_eq!(left(&db).await, "", "{sql}");
        }
        assert_eq!(db.snapshot().created, 1);
    });
}

#[test]
#[ignore = "real tier"]
fn what_cannot_run_here_holds_up_no_next_user() {
    run(|schema| async move {
        let db = schema
            .builder()
            .max(1)
            .cleanup_timeout(std::time::Duration::from_millis(500))
            .connect()
            .await
            .unwrap();
        db.batch_execute("create table t (n int)").await.unwrap();
        for sql in ["copy t to stdout", "copy t from stdin"] {
            assert!(db.execute(sql, ()).await.is_err(), "{sql}");
            assert_eq!(left(&db).await, "");
            assert!(db.batch_execute(sql).await.is_err(), "{sql}");
            assert_eq!(left(&db).await, "");
        }
    });
}

/// Returns the functions that need no reset, as the source lists them.
fn trusted_functions() -> Vec<&'static str> {
    let source = include_str!("../../src/sql/effect.rs");
    let (_, list) = source.split_once("const FUNCTIONS: &str = \"").unwrap();
    let (list, _) = list.split_once('"').unwrap();
    list.split(|c: char| c.is_ascii_whitespace() || c == '\\').filter(|name| !name.is_empty()).collect()
}

#[test]
#[ignore = "real tier"]
fn trusted_functions_are_the_servers_and_change_nothing() {
    run(|schema| async move {
        let db = schema.db(1).await;
        let names = trusted_functions();
        assert!(names.len() > 200 && names.is_sorted(), "{names:?}");
        let volatile = "select proname::text from pg_proc where pronamespace = 'pg_catalog'::regnamespace
            and proname = any($1) and provolatile = 'v' group by 1 order by 1";
        let volatile: Vec<(String,)> = db.fetch_all(volatile, (&names,)).await.unwrap();
        let volatile: Vec<&str> = volatile.iter().map(|(name,)| &**name).collect();
        let known = "clock_timestamp gen_random_uuid nextval pg_advisory_xact_lock pg_advisory_xact_lock_shared \
            pg_is_in_recovery pg_notify pg_relation_size pg_sleep pg_table_size pg_total_relation_size \
            pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared random";
        assert_eq!(volatile.join(" "), known);
        let unknown = "select name from unnest($1::text[]) name where not exists (select from pg_proc
            where proname = name and pronamespace = 'pg_catalog'::regnamespace) order by name";
        let unknown: Vec<(String,)> = db.fetch_all(unknown, (&names,)).await.unwrap();
        let unknown: Vec<&str> = unknown.iter().map(|(name,)| &**name).collect();
        assert_eq!(
            unknown,
            ["cast", "coalesce", "greatest", "least", "nullif", "trim"],
            "the rest is syntax"
        );
    });
}
