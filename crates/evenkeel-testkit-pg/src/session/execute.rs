//! The execution of statements: by scripts, by the tables, and of those about the session.

use std::future::pending;

use bytes::BytesMut;
use pgwire::messages::{
    PgWireBackendMessage, PgWireFrontendMessage, copy::CopyInResponse, response::TransactionStatus,
};
use tokio::time::sleep;
use tokio_postgres::types::Type;

use super::{
    Interrupt, Session,
    extended::Prepared,
    output::{Output, code, put},
};
use crate::{
    copy,
    error::{SqlError, notice},
    fault::{Faults, ReplyStep, at},
    reply::{Body, Reply},
    sql::{Copy, Format, RawStatement, Sql, parse},
    store::{Answer, ExecContext},
    value::Cell,
};

impl Session {
    /// Answers a statement from the scripts, or from the tables.
    ///
    /// Dropping it at an await leaves nothing half done.
    pub(super) async fn answer(
        &mut self,
        raw: &RawStatement,
        parameters: &[(Type, Cell)],
        prepared: Option<&Prepared>,
        number: usize,
    ) -> Result<Output, Interrupt> {
        let sql = parse(raw);
        self.check_transaction(&sql)?;
        let reply = self.state.shared.reply(&raw.text, number);
        let Reply { mut body, latency, notices, faults } = reply.unwrap_or_else(Reply::run);
        self.at_ready = at(&faults, ReplyStep::ReadyForQuery);
        if !latency.is_zero() {
            sleep(latency).await;
        }
        for message in notices {
            self.wire.put(&PgWireBackendMessage::NoticeResponse(notice(&message)));
        }
        let shared = self.state.shared.clone();
        if matches!(body, Body::Run)
            && !is_about_the_session(&sql)
            && let Some(tables) = &shared.tables
            && let Some(answer) = tables.run(self.state.pid, &raw.text, parameters)
        {
            body = answer.await.body;
        }
        let copied = match &sql {
            Ok(Sql::Copy(copy)) => Some((copy.from, copy.format)),
            Ok(Sql::CopyQuery(_, format)) => Some((false, *format)),
            _ => None,
        };
        let mut output = match (body, copied) {
            (Body::Run, _) => self.run_sql(raw, sql?, parameters, &faults).await?,
            (Body::Done(affected), copied) => {
                if let Some((true, format)) = copied {
                    self.receive_copy(format == Format::Binary, 0, &faults).await?;
                }
                Output::new(Answer::tagged(tag(raw, affected)))
            }
            (Body::Rows(fields, rows), copied) => {
                let tag = tag(raw, rows.len() as u64);
                let output = Output::new(Answer { tag, fields: Some(fields), rows });
                match copied {
                    Some((false, format)) => output.copy_out(format == Format::Binary),
                    _ => output,
                }
            }
            (Body::Error(error), _) => {
                // A commit that fails ends the transaction.
                if matches!(sql, Ok(Sql::Commit | Sql::Rollback)) {
                    self.roll_back();
                }
                return Err(error.into());
            }
            (Body::Break { reset }, _) => return Err(Interrupt::Break { reset }),
            (Body::Stall, _) => pending().await,
        };
        output.faults = faults;
        match prepared {
            Some(prepared) if !output.is_copy() && prepared.fields != output.fields => {
                let message = "the columns of the reply are not those that were described";
                Err(SqlError::new("0A000", message).into())
            }
            _ => Ok(output),
        }
    }

    /// Fails if the transaction has failed, and the statement does not end it.
    pub(super) fn check_transaction(&self, sql: &Result<Sql, SqlError>) -> Result<(), SqlError> {
        let ends = matches!(sql, Ok(Sql::Commit | Sql::Rollback | Sql::RollbackTo(_)));
        if self.status == TransactionStatus::Error && !ends {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(SqlError::new("25P02", message));
        }
        Ok(())
    }

    async fn run_sql(
        &mut self,
        raw: &RawStatement,
        sql: Sql,
        parameters: &[(Type, Cell)],
        faults: &Faults,
    ) -> Result<Output, Interrupt> {
        let tag = match sql {
            Sql::Begin => {
                if self.status == TransactionStatus::Transaction {
                    let warning = notice("there is already a transaction in progress");
                    self.wire.put(&PgWireBackendMessage::NoticeResponse(warning));
                }
                self.status = TransactionStatus::Transaction;
                "BEGIN"
            }
            Sql::Commit if self.status != TransactionStatus::Error => {
                self.commit();
                "COMMIT"
            }
            Sql::Commit | Sql::Rollback => {
                self.roll_back();
                "ROLLBACK"
            }
            Sql::Savepoint(name) => {
                self.in_transaction("SAVEPOINT")?;
                self.state.add_savepoint(&name);
                "SAVEPOINT"
            }
            Sql::RollbackTo(name) => {
                self.in_transaction("ROLLBACK TO SAVEPOINT")?;
                self.state.roll_back_to(&name)?;
                self.status = TransactionStatus::Transaction;
                "ROLLBACK"
            }
            Sql::Release(name) => {
                self.in_transaction("RELEASE SAVEPOINT")?;
                self.state.release(&name)?;
                "RELEASE"
            }
            Sql::Listen(channel) => {
                self.state.signals.listen(&channel);
                "LISTEN"
            }
            Sql::Unlisten(channel) => {
                self.state.signals.unlisten(channel.as_deref());
                "UNLISTEN"
            }
            Sql::Notify(channel, payload) => {
                self.queue(&[(channel.clone(), payload.clone())])?;
                self.state.notify.push((channel, payload));
                "NOTIFY"
            }
            Sql::Ignored(tag) => {
                if raw.is_all() {
                    self.forget(tag);
                }
                tag
            }
            Sql::Copy(Copy { format: Format::Other, .. }) | Sql::CopyQuery(_, Format::Other) => {
                return Err(SqlError::new("0A000", "the test kit knows COPY in text and binary alone").into());
            }
            Sql::Copy(copy) if copy.from => {
                let binary = copy.format == Format::Binary;
                let fields = self.state.shared.store(|store| store.copied(&copy))?;
                let data = self.receive_copy(binary, fields.len(), faults).await?;
                let rows = copy::decode(&fields, data.freeze(), binary)?;
                let undo = &mut self.state.undo;
                let answer = self.state.shared.store(|store| store.insert(&copy, rows, undo))?;
                return Ok(Output::new(answer));
            }
            Sql::Copy(Copy { ref table, ref columns, format, .. }) => {
                let select = Sql::everything(table, columns);
                return Ok(self.run_tables(&select, parameters).await?.copy_out(format == Format::Binary));
            }
            Sql::CopyQuery(query, format) => {
                let output = self.run_tables(&*query?, parameters).await?;
                return Ok(output.copy_out(format == Format::Binary));
            }
            sql => return self.run_tables(&sql, parameters).await,
        };
        Ok(Output::new(Answer::tagged(tag)))
    }

    async fn run_tables(&mut self, sql: &Sql, parameters: &[(Type, Cell)]) -> Result<Output, Interrupt> {
        let state = &mut self.state;
        let queued = state.notify.len();
        let mut context = ExecContext::new(state.pid, parameters, &mut state.undo, &mut state.notify);
        let result = state.shared.store(|store| store.run(sql, &mut context));
        let time = context.sleep;
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                self.state.notify.truncate(queued);
                return Err(error.into());
            }
        };
        self.queue(&self.state.notify[queued..])?;
        if !time.is_zero() {
            sleep(time).await;
        }
        Ok(Output::new(answer))
    }

    /// Fails if there is no room for these notifications.
    fn queue(&self, notify: &[(String, String)]) -> Result<(), SqlError> {
        match notify.iter().any(|(channel, _)| self.state.shared.is_full(channel)) {
            true => Err(SqlError::new("54000", "too many notifications in the NOTIFY queue")),
            false => Ok(()),
        }
    }

    /// Receives all data of a COPY.
    async fn receive_copy(
        &mut self,
        binary: bool,
        columns: usize,
        faults: &Faults,
    ) -> Result<BytesMut, Interrupt> {
        let format = code(binary);
        let response = CopyInResponse::new(format as i8, columns as i16, vec![format; columns]);
        let response = PgWireBackendMessage::CopyInResponse(response);
        put(&mut self.wire, &response, at(faults, ReplyStep::CopyResponse)).await?;
        self.wire.flush().await?;
        let (mut data, mut received) = (BytesMut::new(), 0);
        loop {
            if let Some(fault) = at(faults, ReplyStep::Rows(received)) {
                // Half a message is one of its own: there is none to send here.
                put(&mut self.wire, &PgWireBackendMessage::NoticeResponse(notice("half")), Some(fault))
                    .await?;
                self.wire.flush().await?;
            }
            match self.wire.receive().await? {
                PgWireFrontendMessage::CopyData(more) => {
                    data.extend_from_slice(&more.data);
                    received += 1;
                }
                PgWireFrontendMessage::CopyDone(_) => return Ok(data),
                PgWireFrontendMessage::CopyFail(fail) => {
                    let message = format!("COPY from stdin failed: {}", fail.message);
                    return Err(SqlError::new("57014", message).into());
                }
                PgWireFrontendMessage::Sync(_) | PgWireFrontendMessage::Flush(_) => {}
                PgWireFrontendMessage::Terminate(_) => return Err(Interrupt::Disconnected),
                _ => return Err(SqlError::new("08P01", "unexpected message during COPY").into()),
            }
        }
    }

    fn in_transaction(&self, what: &str) -> Result<(), SqlError> {
        match self.status {
            TransactionStatus::Idle => {
                Err(SqlError::new("25P01", format!("{what} can only be used in transaction blocks")))
            }
            _ => Ok(()),
        }
    }

    /// Applies `discard all`, `deallocate all` and `close all`.
    fn forget(&mut self, tag: &str) {
        if matches!(tag, "DISCARD" | "DEALLOCATE") {
            self.statements.clear();
        }
        if matches!(tag, "DISCARD" | "CLOSE CURSOR") {
            self.portals.clear();
        }
        if tag == "DISCARD" {
            self.state.signals.unlisten(None);
        }
    }
}

/// Whether the server itself runs a statement, whatever is behind it.
fn is_about_the_session(sql: &Result<Sql, SqlError>) -> bool {
    matches!(
        sql,
        Ok(Sql::Begin
            | Sql::Commit
            | Sql::Rollback
            | Sql::Savepoint(_)
            | Sql::RollbackTo(_)
            | Sql::Release(_)
            | Sql::Listen(_)
            | Sql::Unlisten(_)
            | Sql::Notify(..)
            | Sql::Ignored(_))
    )
}

/// The command tag of a scripted statement.
fn tag(raw: &RawStatement, rows: u64) -> String {
    let verb = raw.verb().to_uppercase();
    match verb.as_str() {
        "INSERT" => format!("INSERT 0 {rows}"),
        "UPDATE" | "DELETE" | "MERGE" | "SELECT" | "COPY" | "FETCH" | "MOVE" => format!("{verb} {rows}"),
        "WITH" | "VALUES" | "TABLE" => format!("SELECT {rows}"),
        _ => verb,
    }
}
