//! A clock of PostgreSQL that can be set: sessions find a function `now` in a schema of their own before the real one.

/// The statements that create it.
pub(crate) fn hidden(schema: &str) -> String {
    format!(
        "create schema {schema}_clock;
         create table {schema}_clock.ahead as select interval '0' as by;
         create function {schema}_clock.now() returns timestamptz language sql stable
             as 'select pg_catalog.now() + by from {schema}_clock.ahead'"
    )
}

/// The option of the sessions that see it.
pub(crate) fn option(schema: &str) -> String {
    format!("-c search_path={schema}_clock,public,pg_catalog")
}

/// The statement that sets it forward by seconds, its parameter.
pub(crate) fn set(schema: &str) -> String {
    format!("update {schema}_clock.ahead set by = by + make_interval(secs => $1)")
}
