//! Keeps statements from ending the transaction that they run in.
//!
//! # How it works
//!
//! A statement whose text surely ends the transaction is refused before it is sent. Where the text leaves a doubt, the
//! server is asked before and after it for the microsecond in which the current transaction began: another answer means
//! another transaction. A transaction that has failed answers nothing; then the question is asked again before the
//! commit, after which the failure was either disproved or makes the commit impossible.

use tokio_postgres::SimpleQueryMessage;

use super::{Connection, TxState, run::refuse_copy};
use crate::{
    Error,
    sql::{copies::copies, effect::SqlEffect, ends_tx::EndsTx},
    sqlstate::is_in_failed_transaction,
};

/// Identifies a transaction by the microsecond in which it began.
///
/// It calls only functions of the server, whatever the search path, and has the same form under all settings.
const IDENTITY: &str = "SELECT pg_catalog.int8(pg_catalog.float8mul(\
    pg_catalog.date_part('epoch', pg_catalog.transaction_timestamp()), 1000000))";

impl Connection {
    /// Runs any number of statements, whose effect on the session is unknown.
    pub(crate) async fn run_batch(&self, sql: &str) -> Result<(), Error> {
        let ends_tx = if self.tx_state == TxState::Open { EndsTx::of(sql) } else { EndsTx::No };
        self.refuse_tx_end(ends_tx == EndsTx::Yes)?;
        self.refuse_session_use(sql, SqlEffect::UNKNOWN)?;
        refuse_copy(copies(sql))?;
        let is_doubtful = ends_tx == EndsTx::Maybe;
        if is_doubtful {
            self.remember_identity().await?;
        }
        self.record_effect(SqlEffect::UNKNOWN);
        let result = self.control(sql).await.map_err(Error::from);
        if is_doubtful { self.compare_identity(result).await } else { result }
    }

    /// Refuses a statement that would end the transaction: the part before it would be stored alone.
    pub(crate) fn refuse_tx_end(&self, ends_tx: bool) -> Result<(), Error> {
        if !ends_tx || self.tx_state != TxState::Open {
            return Ok(());
        }
        self.tx().has_ended = true;
        Err(Error::Ended)
    }

    /// Compares the identity once more before a commit, if a failure kept it from being compared.
    pub(crate) async fn check_identity(&self) -> Result<(), Error> {
        if self.tx().is_identity_unsure { self.compare_identity(Ok(())).await } else { Ok(()) }
    }

    async fn remember_identity(&self) -> Result<(), Error> {
        if self.tx().identity.is_some() {
            return Ok(());
        }
        match self.identity().await {
            Ok(identity) => self.tx().identity = Some(identity),
            // The transaction has failed. A statement that goes back to a savepoint must not count as another one.
            Err(error) if is_in_failed_transaction(&error) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Returns `result`, or an error if there is another transaction than before, or none.
    async fn compare_identity(&self, result: Result<(), Error>) -> Result<(), Error> {
        match self.identity().await {
            Ok(identity) if self.tx().is_same(&identity) => result,
            Ok(_) => Err(Error::Ended),
            Err(error) if is_in_failed_transaction(&error) => {
                self.tx().is_identity_unsure = true;
                result
            }
            Err(error) => result.and(Err(error.into())),
        }
    }

    async fn identity(&self) -> Result<Option<String>, tokio_postgres::Error> {
        let messages = self.recorded(IDENTITY, self.client().simple_query(IDENTITY)).await?;
        let value = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(ToOwned::to_owned),
            _ => None,
        };
        Ok(messages.iter().find_map(value))
    }
}
