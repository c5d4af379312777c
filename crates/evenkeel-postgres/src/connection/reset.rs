//! Resets a session to its state after the connect.

use std::sync::atomic::AtomicU8;

use tokio_postgres::{Error, SimpleQueryMessage};

use super::{Condition, Connection, TxState};

impl Connection {
    /// Removes everything that users have left in the session, and ends their transaction.
    pub(crate) async fn reset(&mut self) -> Result<(), Error> {
        let is_shared = self.pooling().is_shared;
        let sql = match (self.condition(), self.tx_state) {
            (Condition::Clean, _) => "ROLLBACK".to_owned(),
            // The session is one of others by now.
            (_, TxState::Idle) if is_shared => "BEGIN; ROLLBACK".to_owned(),
            (_, TxState::Open | TxState::Committing) if is_shared => "ROLLBACK".to_owned(),
            // The server logs a warning where there is nothing to roll back, unless a transaction begins here.
            (_, TxState::Idle) => format!("BEGIN; ROLLBACK; {RESET}{}", self.set_name()),
            (_, TxState::Open | TxState::Committing) => format!("ROLLBACK; {RESET}{}", self.set_name()),
        };
        let answers = self.client().simple_query(&sql).await?;
        if self.condition() != Condition::Clean {
            let deallocations: String = answers.iter().filter_map(deallocation).collect();
            if !deallocations.is_empty() {
                self.client().batch_execute(&deallocations).await?;
            }
            (*self.uses_sequences.get_mut(), *self.used_sequences.get_mut()) = (false, false);
        }
        self.condition = AtomicU8::new(Condition::Clean as u8);
        self.end_tx();
        Ok(())
    }

    /// Returns the statement that sets the application name of the configuration.
    fn set_name(&self) -> String {
        self.application_name().map_or_else(String::new, |name| {
            let name = name.replace('\\', "\\\\").replace('\'', "''");
            format!(
                "; SELECT pg_catalog.set_config('application_name', E'{name}', false) \
                 WHERE pg_catalog.current_setting('application_name') <> E'{name}'"
            )
        })
    }

    /// Waits until the server has finished everything that was sent.
    pub(crate) async fn drain(&self) -> Result<(), Error> {
        let end = if self.tx_state == TxState::Open { "ROLLBACK" } else { "" };
        self.client().batch_execute(end).await
    }
}

/// The parts of `DISCARD ALL` except for prepared statements: those of tokio-postgres are used again, and the names of
/// those that were made by `PREPARE` are asked for.
///
/// `RESET ALL` undoes what a pooler has set for the client: the encoding that the client needs, and its name. Without a pooler
/// there is nothing to set again.
const RESET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; \
    SELECT pg_catalog.set_config('client_encoding', 'UTF8', false) \
    WHERE pg_catalog.current_setting('client_encoding') <> 'UTF8'; \
    UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES; \
    SELECT pg_catalog.quote_ident(name) AS deallocate FROM pg_catalog.pg_prepared_statements WHERE from_sql";

/// Returns the statement that undoes the `PREPARE` in this row.
fn deallocation(answer: &SimpleQueryMessage) -> Option<String> {
    let SimpleQueryMessage::Row(row) = answer else { return None };
    let name = row.try_get("deallocate").ok()??;
    Some(format!("DEALLOCATE {name}; "))
}
