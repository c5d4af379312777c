//! Tells from the text of statements whether they need their session beyond their transaction, for poolers that give a
//! session to others after each transaction.

use super::tokens::{Token, Tokens, is_in};

macro_rules! outlasts {
    ($what:literal, $way:literal) => {
        Some(concat!(
            $what,
            " outlasts its transaction, after which a pooler in transaction mode gives the session to others: ",
            $way,
            ", or set `Builder::pool_mode` if the pooler is in session mode"
        ))
    };
}

/// Why there can be no listener.
pub(crate) const LISTEN: Option<&str> =
    outlasts!("`LISTEN`", "connect a database for the listener to the server itself");
const SET: Option<&str> = outlasts!("a setting of the session", "use `SET LOCAL` in a transaction");
const SET_CONFIG: Option<&str> =
    outlasts!("`set_config` without `true` as its last argument", "write `true` there, in a transaction");
const LOCK: Option<&str> =
    outlasts!("an advisory lock of the session", "use `pg_advisory_xact_lock` in a transaction");
const TEMP: Option<&str> =
    outlasts!("a temporary object", "create a table `ON COMMIT DROP` in a transaction");
const HOLD: Option<&str> = outlasts!("a cursor `WITH HOLD`", "use `stream`");
const PREPARE: Option<&str> =
    outlasts!("`PREPARE`", "pass the statement itself, which is prepared where it runs");
const LOAD: Option<&str> =
    outlasts!("`LOAD`", "let the server load the library, by `session_preload_libraries`");
const SEQUENCE: Option<&str> =
    outlasts!("the last value of a sequence", "use `RETURNING`, or ask in the transaction that drew it");

/// Reads statements, and returns why they cannot run, with another way. `in_tx` says whether they run in a transaction.
pub(crate) fn session_use(sql: &str, in_tx: bool) -> Option<&'static str> {
    let (found, has_backslashes) = read(sql, false, in_tx);
    found.or_else(|| if has_backslashes { read(sql, true, in_tx).0 } else { None })
}

fn read(sql: &str, escapes: bool, in_tx: bool) -> (Option<&'static str>, bool) {
    let mut tokens = Tokens::new(sql, escapes);
    let mut scanner = SessionScanner { in_tx, ..SessionScanner::default() };
    tokens.by_ref().for_each(|token| scanner.push(token));
    scanner.end_statement();
    (scanner.found, tokens.has_backslashes)
}

/// Reads statements token by token.
#[derive(Default)]
struct SessionScanner<'a> {
    in_tx: bool,
    found: Option<&'static str>,
    // The first tokens of the present statement, and the last ones, the latest first.
    first: [Option<Token<'a>>; 2],
    last: [Option<Token<'a>>; 4],
    // For each open parenthesis, whether it is that of `set_config`.
    open: Vec<bool>,
    // In `CREATE`: the object is temporary; it ends with the transaction.
    is_temp: bool,
    drops: bool,
}

impl<'a> SessionScanner<'a> {
    fn push(&mut self, token: Token<'a>) {
        if token == Token::Sign(b';') && self.open.is_empty() {
            return self.end_statement();
        }
        if let Some(free) = self.first.iter_mut().find(|first| first.is_none()) {
            *free = Some(token);
        }
        match token {
            Token::Sign(b'(') => {
                let called = self.called();
                self.open.push(called.is_some_and(|name| is_named(name, "set_config")));
                self.call(called);
            }
            Token::Sign(b')') => {
                let is_config = self.open.pop().unwrap_or(false);
                if is_config && !self.last[0].is_some_and(|last| last.is("true")) {
                    self.find(SET_CONFIG);
                }
            }
            token => self.word(token),
        }
        self.last.rotate_right(1);
        self.last[0] = Some(token);
    }

    fn find(&mut self, found: Option<&'static str>) {
        self.found = self.found.or(found);
    }

    /// The function that may be called by a parenthesis after the last token: one of the server, which is not only named.
    fn called(&self) -> Option<Token<'a>> {
        let [name, before, schema, third] = self.last;
        let before = match before {
            Some(Token::Sign(b'.')) if schema.is_some_and(|schema| is_named(schema, "pg_catalog")) => third,
            Some(Token::Sign(b'.')) => return None,
            before => before,
        };
        let names =
            matches!(before, Some(Token::Word(word)) if is_in("aggregate function procedure routine", word));
        name.filter(|_| !names)
    }

    fn call(&mut self, called: Option<Token<'a>>) {
        let Some(name) = called else { return };
        const LOCKS: [&str; 7] = [
            "pg_advisory_lock",
            "pg_advisory_lock_shared",
            "pg_advisory_unlock",
            "pg_advisory_unlock_all",
            "pg_advisory_unlock_shared",
            "pg_try_advisory_lock",
            "pg_try_advisory_lock_shared",
        ];
        if LOCKS.iter().any(|lock| is_named(name, lock)) {
            self.find(LOCK);
        }
        if !self.in_tx && ["currval", "lastval"].iter().any(|known| is_named(name, known)) {
            self.find(SEQUENCE);
        }
    }

    fn word(&mut self, token: Token<'a>) {
        let is_before = |index: usize, keyword| self.last[index].is_some_and(|token| token.is(keyword));
        let is_temp = token.is("temp") || token.is("temporary");
        let is_schema = is_named(token, "pg_temp");
        let makes_table = |into: usize| {
            is_before(into, "into") && !is_before(into + 1, "insert") && !is_before(into + 1, "merge")
        };
        let has_scope = is_before(0, "local") || is_before(0, "global");
        if ((is_temp || is_schema) && makes_table(0))
            || (is_temp && has_scope && makes_table(1))
            || (is_schema && is_before(0, "table") && makes_table(1))
        {
            return self.find(TEMP);
        }
        let begins = |keyword| self.first[0].is_some_and(|first| first.is(keyword));
        if begins("create") {
            // At another position they are the name of an object, or that of the table of an index.
            let before = |words| matches!(self.last[0], Some(Token::Word(word)) if is_in(words, word));
            self.is_temp |= (is_temp && before("create replace local global"))
                || (is_schema
                    && before("table view sequence function procedure aggregate type domain exists"));
            self.drops |= token.is("drop") && is_before(0, "commit") && is_before(1, "on");
        } else if begins("declare") && token.is("hold") && is_before(0, "with") {
            self.find(HOLD);
        }
    }

    fn end_statement(&mut self) {
        let [Some(Token::Word(word)), second] = self.first else { return self.clear() };
        let second_is = |words| matches!(second, Some(Token::Word(second)) if is_in(words, second));
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        let found = if is("listen") {
            LISTEN
        } else if (is("set") && !second_is("local transaction constraints")) || is_in("reset discard", word) {
            SET
        } else if is("create") && self.is_temp && !self.drops {
            TEMP
        } else if (is("prepare") && !second_is("transaction")) || is_in("execute deallocate", word) {
            PREPARE
        } else if is("load") {
            LOAD
        } else {
            None
        };
        self.find(found);
        self.clear();
    }

    fn clear(&mut self) {
        *self = Self { in_tx: self.in_tx, found: self.found, ..Self::default() };
    }
}

/// Whether a token is this name, quoted or not.
fn is_named(token: Token<'_>, name: &str) -> bool {
    token.is(name) || token == Token::Quoted(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_outlasts_its_transaction_is_found() {
        for (sql, found) in [
            ("listen jobs", LISTEN),
            ("set x = 1", SET),
            ("SET SESSION statement_timeout = 1", SET),
            ("set session characteristics as transaction read only", SET),
            ("set role app", SET),
            ("set time zone 'UTC'", SET),
            ("reset all", SET),
            ("discard all", SET),
            ("insert into t values (1); /* */ set x = 1", SET),
            ("select set_config('a.b', 'c', false)", SET_CONFIG),
            ("select pg_catalog.\"set_config\"($1, lower($2), $3)", SET_CONFIG),
            ("select set_config('a.b', 'c', is_local => false)", SET_CONFIG),
            ("select pg_advisory_lock(1)", LOCK),
            ("create table t as select \"pg_catalog\".pg_advisory_lock(1)", LOCK),
            ("select 1 where pg_try_advisory_lock_shared (1, 2)", LOCK),
            ("select pg_advisory_unlock_all()", LOCK),
            ("create temp table t (n int8)", TEMP),
            ("create local temporary table t on commit delete rows as select 1", TEMP),
            ("create table if not exists pg_temp.t (n int8)", TEMP),
            ("create or replace temp view v as select 1", TEMP),
            ("create temp sequence s", TEMP),
            ("create type pg_temp.pair as (a int)", TEMP),
            ("create global temp table temp (n int8)", TEMP),
            ("create function pg_temp.f() returns int language sql as 'select 1'", TEMP),
            ("select 1 as n into temp t", TEMP),
            ("select * into temporary table t from u", TEMP),
            ("select * into pg_temp.t from u", TEMP),
            ("select * into local temp table t from u", TEMP),
            ("select * into table pg_temp.t from u", TEMP),
            ("declare c cursor with hold for select 1", HOLD),
            ("prepare p as select 1", PREPARE),
            ("execute p", PREPARE),
            ("deallocate all", PREPARE),
            ("load 'auto_explain'", LOAD),
            ("select 'a\\'; set x = 1; --'", SET),
        ] {
            assert_eq!(session_use(sql, true), found, "{sql}");
            assert_eq!(session_use(sql, false), found, "{sql}");
        }
        for sql in ["select lastval()", "select currval('s')"] {
            assert_eq!((session_use(sql, false), session_use(sql, true)), (SEQUENCE, None), "{sql}");
        }
    }

    #[test]
    fn what_ends_with_its_transaction_is_not() {
        for sql in [
            "",
            "set local x = 1",
            "set transaction isolation level serializable",
            "SET CONSTRAINTS ALL DEFERRED",
            "update t set x = 1",
            "select set_config('a.b', 'c', true)",
            "create function set_config(a int) returns int language sql return 1",
            "revoke execute on function pg_catalog.set_config(text, text, boolean) from public",
            "drop routine pg_advisory_lock(bigint)",
            "select app.set_config('a', 'b'), \"my app\".pg_advisory_lock(1), x.lastval(2)",
            "select set_config('a.b', lower('C'), TRUE) where (true)",
            "select pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(2)",
            "create temp table t (n int8) on commit drop",
            "create temporary table t on commit drop as select 1",
            "create table temp (n int8, temporary int8)",
            "create table t as select temp from u",
            "create index on pg_temp.t (n)",
            "create unlogged table s.temp as select * from pg_temp.t",
            "create type temp as enum ('a')",
            "create schema temp create table t (n int8)",
            "create materialized view temporary as select 1",
            "create trigger temp after insert on t for each row execute function f()",
            "select set_config('a.b', 'c', is_local => true)",
            "insert into temp values (1)",
            "insert into pg_temp.t values (1)",
            "merge into temporary using u on true when matched then delete",
            "declare c cursor for select 1",
            "declare c cursor without hold for select 1",
            "prepare transaction 'x'",
            "notify jobs, 'set x = 1'",
            "unlisten *",
            "select 'set x = 1; listen jobs', \"; reset\" -- ; discard all",
            "do $$ begin set x = 1; end $$",
            "begin; set local x = 1; commit",
            "select listen, load from execute",
        ] {
            assert_eq!(session_use(sql, false), None, "{sql}");
        }
    }

    #[test]
    fn each_text_names_another_way() {
        for text in [LISTEN, SET, SET_CONFIG, LOCK, TEMP, HOLD, PREPARE, LOAD, SEQUENCE] {
            let text = text.unwrap_or_default();
            assert!(text.contains(" outlasts its transaction, after which a pooler in transaction mode"));
            assert!(
                text.ends_with(", or set `Builder::pool_mode` if the pooler is in session mode"),
                "{text}"
            );
        }
    }
}
