//! The way back to a session as it was at first.

use std::sync::atomic::AtomicU8;

use tokio_postgres::SimpleQueryMessage;

use super::{Condition, Connection, Stage};

impl Connection {
    /// Takes back what users have left in the session, and ends their transaction.
    pub(crate) async fn reset(&mut self) -> Result<(), tokio_postgres::Error> {
        let sql = match (self.condition(), self.stage) {
            (Condition::Clean, _) => "ROLLBACK".to_owned(),
            // The server logs a warning where there is nothing to roll back, unless it begins here.
            (_, Stage::Outside) => format!("BEGIN; ROLLBACK; {RESET}"),
            (_, Stage::Inside | Stage::Committing) => format!("ROLLBACK; {RESET}"),
        };
        let answers = self.client.simple_query(&sql).await?;
        if self.condition() != Condition::Clean {
            let left: String = answers.iter().filter_map(deallocation).collect();
            if !left.is_empty() {
                self.client.batch_execute(&left).await?;
            }
            (*self.draws.get_mut(), *self.drew.get_mut()) = (false, false);
        }
        self.condition = AtomicU8::new(Condition::Clean as u8);
        self.stage = Stage::Outside;
        Ok(())
    }

    /// Waits until the server is done with all that was sent.
    pub(crate) async fn drain(&self) -> Result<(), tokio_postgres::Error> {
        let end = if self.stage == Stage::Inside { "ROLLBACK" } else { "" };
        self.client.batch_execute(end).await
    }
}

/// What `DISCARD ALL` does but for the prepared statements: those of tokio-postgres are used again, and of those that
/// were made by `PREPARE` the names are asked for.
const RESET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
    SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES; \
    SELECT pg_catalog.quote_ident(name) AS deallocate FROM pg_catalog.pg_prepared_statements WHERE from_sql";

/// The statement that takes back a `PREPARE` of which this row is.
fn deallocation(answer: &SimpleQueryMessage) -> Option<String> {
    let SimpleQueryMessage::Row(row) = answer else { return None };
    let name = row.try_get("deallocate").ok()??;
    Some(format!("DEALLOCATE {name}; "))
}
