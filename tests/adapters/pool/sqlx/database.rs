//! A database of sqlx with connections alone: there are no rows, no values and no statements, and none can be made.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use evenkeel_tck::pool::{Backend, Object};
use log::LevelFilter;
use sqlx_core::{
    Either, Error, Url,
    arguments::{Arguments, IntoArguments},
    column::{Column, ColumnIndex},
    connection::{ConnectOptions, Connection},
    database::Database,
    encode::Encode,
    error::BoxDynError,
    from_row::FromRow,
    query::Query,
    query_as::QueryAs,
    query_scalar::QueryScalar,
    row::Row,
    sql_str::{SqlSafeStr, SqlStr},
    statement::Statement,
    transaction::{Transaction, TransactionManager},
    type_info::TypeInfo,
    types::Type,
    value::{Value, ValueRef},
};

/// The database.
#[derive(Debug)]
pub(super) struct Nothing;

impl Database for Nothing {
    type Connection = Connected;
    type TransactionManager = Never;
    type Row = Never;
    type QueryResult = Results;
    type Column = Never;
    type TypeInfo = Never;
    type Value = Never;
    type ValueRef<'r> = Never;
    type Arguments = NoArguments;
    type ArgumentBuffer = ();
    type Statement = Never;

    const NAME: &'static str = "nothing";
    const URL_SCHEMES: &'static [&'static str] = &[];
}

/// A connection.
pub(super) struct Connected {
    pub(super) object: Object,
    checks: bool,
}

impl Connection for Connected {
    type Database = Nothing;
    type Options = Options;

    async fn close(self) -> Result<(), Error> {
        Ok(())
    }

    async fn close_hard(self) -> Result<(), Error> {
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Error> {
        if self.checks { self.object.check().await.map_err(super::error) } else { Ok(()) }
    }

    fn begin(&mut self) -> impl Future<Output = Result<Transaction<'_, Nothing>, Error>> + Send + '_ {
        Transaction::begin(self, None::<&'static str>.map(SqlSafeStr::into_sql_str))
    }

    fn shrink_buffers(&mut self) {}

    async fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn should_flush(&self) -> bool {
        false
    }
}

/// The way to make a connection.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) backend: Backend,
    pub(super) checks: bool,
}

impl ConnectOptions for Options {
    type Connection = Connected;

    fn from_url(_: &Url) -> Result<Self, Error> {
        Err(Error::Configuration("there is no URL of nothing".into()))
    }

    async fn connect(&self) -> Result<Connected, Error> {
        let object = self.backend.create().await.map_err(super::error)?;
        Ok(Connected { object, checks: self.checks })
    }

    fn log_statements(self, _: LevelFilter) -> Self {
        self
    }

    fn log_slow_statements(self, _: LevelFilter, _: Duration) -> Self {
        self
    }
}

impl FromStr for Options {
    type Err = Error;

    fn from_str(_: &str) -> Result<Self, Error> {
        Err(Error::Configuration("there is no URL of nothing".into()))
    }
}

/// No value has this type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Never {}

#[derive(Default)]
pub(super) struct Results;

impl Extend<Self> for Results {
    fn extend<I: IntoIterator<Item = Self>>(&mut self, _: I) {}
}

#[derive(Default)]
pub(super) struct NoArguments;

impl Arguments for NoArguments {
    type Database = Nothing;

    fn reserve(&mut self, _: usize, _: usize) {}

    fn add<'t, T: Encode<'t, Nothing> + Type<Nothing>>(&mut self, _: T) -> Result<(), BoxDynError> {
        Err("nothing takes no arguments".into())
    }

    fn len(&self) -> usize {
        0
    }
}

impl IntoArguments<Nothing> for NoArguments {
    fn into_arguments(self) -> Self {
        self
    }
}

impl TransactionManager for Never {
    type Database = Nothing;

    async fn begin(_: &mut Connected, _: Option<SqlStr>) -> Result<(), Error> {
        Ok(())
    }

    async fn commit(_: &mut Connected) -> Result<(), Error> {
        Ok(())
    }

    async fn rollback(_: &mut Connected) -> Result<(), Error> {
        Ok(())
    }

    fn start_rollback(_: &mut Connected) {}

    fn get_transaction_depth(_: &Connected) -> usize {
        0
    }
}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl TypeInfo for Never {
    fn is_null(&self) -> bool {
        match *self {}
    }

    fn name(&self) -> &str {
        match *self {}
    }
}

impl Row for Never {
    type Database = Nothing;

    fn columns(&self) -> &[Self] {
        match *self {}
    }

    fn try_get_raw<I: ColumnIndex<Self>>(&self, _: I) -> Result<Self, Error> {
        match *self {}
    }
}

impl Column for Never {
    type Database = Nothing;

    fn ordinal(&self) -> usize {
        match *self {}
    }

    fn name(&self) -> &str {
        match *self {}
    }

    fn type_info(&self) -> &Self {
        match *self {}
    }
}

impl Value for Never {
    type Database = Nothing;

    fn as_ref(&self) -> Self {
        match *self {}
    }

    fn type_info(&self) -> Cow<'_, Self> {
        match *self {}
    }

    fn is_null(&self) -> bool {
        match *self {}
    }
}

impl ValueRef<'_> for Never {
    type Database = Nothing;

    fn to_owned(&self) -> Self {
        match *self {}
    }

    fn type_info(&self) -> Cow<'_, Self> {
        match *self {}
    }

    fn is_null(&self) -> bool {
        match *self {}
    }
}

impl Statement for Never {
    type Database = Nothing;

    fn into_sql(self) -> SqlStr {
        match self {}
    }

    fn sql(&self) -> &SqlStr {
        match *self {}
    }

    fn parameters(&self) -> Option<Either<&[Self], usize>> {
        match *self {}
    }

    fn columns(&self) -> &[Self] {
        match *self {}
    }

    fn query(&self) -> Query<'_, Nothing, NoArguments> {
        match *self {}
    }

    fn query_with<A: IntoArguments<Nothing>>(&self, _: A) -> Query<'_, Nothing, A> {
        match *self {}
    }

    fn query_as<O: for<'r> FromRow<'r, Self>>(&self) -> QueryAs<'_, Nothing, O, NoArguments> {
        match *self {}
    }

    fn query_as_with<'s, O, A>(&'s self, _: A) -> QueryAs<'s, Nothing, O, A>
    where
        O: for<'r> FromRow<'r, Self>,
        A: IntoArguments<Nothing>,
    {
        match *self {}
    }

    fn query_scalar<O>(&self) -> QueryScalar<'_, Nothing, O, NoArguments>
    where
        (O,): for<'r> FromRow<'r, Self>,
    {
        match *self {}
    }

    fn query_scalar_with<'s, O, A>(&'s self, _: A) -> QueryScalar<'s, Nothing, O, A>
    where
        (O,): for<'r> FromRow<'r, Self>,
        A: IntoArguments<Nothing>,
    {
        match *self {}
    }
}
