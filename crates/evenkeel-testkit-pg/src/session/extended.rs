//! The extended protocol: prepared statements and portals.

use std::sync::Arc;

use pgwire::messages::{
    PgWireBackendMessage, PgWireFrontendMessage,
    data::{NoData, ParameterDescription},
    extendedquery::{
        Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete,
        TARGET_TYPE_BYTE_PORTAL,
    },
    response::EmptyQueryResponse,
};
use tokio_postgres::types::Type;

use super::{
    Interrupt, Session,
    output::{Output, description},
};
use crate::{
    error::SqlError,
    sql::{RawStatement, Sql, cast_of, parse, split_statements},
    store::Field,
    tables::Description,
    value::{Cell, from_text, to_text},
};

/// A prepared statement.
#[derive(Debug)]
pub(super) struct Prepared {
    /// `None` for an empty statement.
    raw: Option<RawStatement>,
    types: Vec<Type>,
    pub(super) fields: Option<Vec<Field>>,
}

impl Prepared {
    fn columns(&self) -> usize {
        self.fields.as_ref().map_or(0, Vec::len)
    }
}

/// A prepared statement with its parameters.
#[derive(Debug)]
pub(super) struct Portal {
    prepared: Arc<Prepared>,
    parameters: Vec<(Type, Cell)>,
    /// For each column, whether it is sent in binary format.
    binary: Vec<bool>,
    /// The number of its statement, and the output left to send.
    run: Option<(usize, Output)>,
}

impl Session {
    pub(super) async fn extended(&mut self, message: PgWireFrontendMessage) -> Result<(), Interrupt> {
        let reply = match message {
            PgWireFrontendMessage::Parse(parse) => self.parse(parse)?,
            PgWireFrontendMessage::Bind(bind) => self.bind(&bind)?,
            PgWireFrontendMessage::Describe(describe) => self.describe(&describe)?,
            PgWireFrontendMessage::Close(close) => self.close(&close),
            PgWireFrontendMessage::Execute(execute) => return self.execute(&execute).await,
            PgWireFrontendMessage::Flush(_) => return Ok(self.wire.flush().await?),
            // Messages after a COPY that has failed.
            _ => return Ok(()),
        };
        self.wire.put(&reply);
        Ok(())
    }

    fn parse(&mut self, message: Parse) -> Result<PgWireBackendMessage, SqlError> {
        let mut statements = split_statements(&message.query);
        if statements.len() > 1 {
            return Err(SqlError::new("42601", "cannot insert multiple commands into a prepared statement"));
        }
        let given = message.type_oids.iter().map(|oid| Type::from_oid(*oid)).collect();
        let prepared = match statements.pop() {
            Some(raw) => self.prepare(raw, given)?,
            None => Prepared { raw: None, types: Vec::new(), fields: None },
        };
        self.statements.insert(message.name.unwrap_or_default(), Arc::new(prepared));
        Ok(PgWireBackendMessage::ParseComplete(ParseComplete::new()))
    }

    fn prepare(&self, raw: RawStatement, given: Vec<Option<Type>>) -> Result<Prepared, SqlError> {
        let sql = parse(&raw);
        self.check_transaction(&sql)?;
        let shared = &self.state.shared;
        let scripted = shared.describe(&raw.text);
        let copies = matches!(sql, Ok(Sql::Copy(_) | Sql::CopyQuery(..)));
        let described = shared.tables.as_ref().and_then(|tables| tables.describe(&raw.text));
        let stored = match described {
            Some(Description { parameters, columns }) => Ok((parameters, columns)),
            None => sql.and_then(|sql| shared.store(|store| store.describe(&sql, given.clone()))),
        };
        let (types, fields) = match (scripted, stored) {
            (None, stored) => stored?,
            (Some(script), stored) => {
                let (known, fields) = match stored {
                    Ok((known, fields)) => (known.into_iter().map(Some).collect(), fields),
                    Err(_) => (given, None),
                };
                let ty = |number: usize| {
                    let known = known.get(number).cloned().flatten();
                    let scripted = script.parameters.get(number).cloned();
                    scripted.or(known).or_else(|| cast_of(&raw, number)).unwrap_or(Type::TEXT)
                };
                let types = (0..raw.parameters()).map(ty).collect();
                (types, script.fields.unwrap_or(fields).filter(|_| !copies))
            }
        };
        Ok(Prepared { raw: Some(raw), types, fields })
    }

    fn bind(&mut self, message: &Bind) -> Result<PgWireBackendMessage, SqlError> {
        let prepared = self.statement(message.statement_name.as_deref())?;
        let (got, wanted) = (message.parameters.len(), prepared.types.len());
        if got != wanted {
            let message = format!("bind message supplies {got} parameters, but {wanted} are required");
            return Err(SqlError::new("08P01", message));
        }
        let binary = formats(&message.parameter_format_codes, wanted);
        let parameter = |((data, ty), binary): ((&Cell, &Type), bool)| {
            let cell = match data {
                Some(data) if !binary => {
                    let text = std::str::from_utf8(data);
                    let text = text.map_err(|_| SqlError::new("22021", "invalid byte sequence"))?;
                    Some(from_text(ty, text)?)
                }
                data => data.clone(),
            };
            Ok((ty.clone(), cell))
        };
        let parameters = message.parameters.iter().zip(&prepared.types).zip(binary).map(parameter);
        let parameters = parameters.collect::<Result<_, SqlError>>()?;
        let binary = formats(&message.result_column_format_codes, prepared.columns());
        let portal = Portal { prepared, parameters, binary, run: None };
        self.portals.insert(message.portal_name.clone().unwrap_or_default(), portal);
        Ok(PgWireBackendMessage::BindComplete(BindComplete::new()))
    }

    fn describe(&mut self, message: &Describe) -> Result<PgWireBackendMessage, SqlError> {
        let (prepared, binary) = if message.target_type == TARGET_TYPE_BYTE_PORTAL {
            let name = message.name.as_deref().unwrap_or_default();
            let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
            (portal.prepared.clone(), portal.binary.clone())
        } else {
            let prepared = self.statement(message.name.as_deref())?;
            let types = prepared.types.iter().map(Type::oid).collect();
            let parameters = ParameterDescription::new(types);
            self.wire.put(&PgWireBackendMessage::ParameterDescription(parameters));
            let binary = vec![false; prepared.columns()];
            (prepared, binary)
        };
        Ok(match &prepared.fields {
            Some(fields) => PgWireBackendMessage::RowDescription(description(fields, &binary)),
            None => PgWireBackendMessage::NoData(NoData::new()),
        })
    }

    fn statement(&self, name: Option<&str>) -> Result<Arc<Prepared>, SqlError> {
        let name = name.unwrap_or_default();
        let missing = || SqlError::new("26000", format!("prepared statement \"{name}\" does not exist"));
        self.statements.get(name).cloned().ok_or_else(missing)
    }

    fn close(&mut self, message: &Close) -> PgWireBackendMessage {
        let name = message.name.as_deref().unwrap_or_default();
        if message.target_type == TARGET_TYPE_BYTE_PORTAL {
            self.portals.remove(name);
        } else {
            self.statements.remove(name);
        }
        PgWireBackendMessage::CloseComplete(CloseComplete::new())
    }

    async fn execute(&mut self, message: &Execute) -> Result<(), Interrupt> {
        let name = message.name.as_deref().unwrap_or_default();
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        let Some(raw) = &portal.prepared.raw else {
            self.wire.put(&PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()));
            self.portals.insert(name.to_owned(), portal);
            return Ok(());
        };
        let number = match &portal.run {
            Some((number, _)) => *number,
            None => self.state.begin(&raw.text, portal.parameters.iter().map(shown).collect()),
        };
        let signals = self.state.signals.clone();
        let limit = usize::try_from(message.max_rows).unwrap_or(0);
        let result = tokio::select! {
            biased;
            error = signals.interrupted() => Err(Interrupt::Error(error)),
            result = self.execute_portal(&mut portal, number, limit) => result,
        };
        self.state.set_outcome(number, &result);
        result?;
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    /// Executes a portal, or resumes it; returns the command tag at its end.
    async fn execute_portal(
        &mut self,
        portal: &mut Portal,
        number: usize,
        limit: usize,
    ) -> Result<Option<String>, Interrupt> {
        let Portal { prepared, parameters, binary, run } = portal;
        if let (None, Some(raw)) = (&run, &prepared.raw) {
            let output = self.answer(raw, parameters, Some(prepared), number).await?;
            *run = Some((number, output));
        }
        match run {
            Some((_, output)) => output.send(&mut self.wire, binary, limit).await,
            None => Ok(None),
        }
    }
}

/// Returns for each value whether it is in binary format.
fn formats(codes: &[i16], values: usize) -> Vec<bool> {
    let code = |index: usize| match codes {
        [] => 0,
        [all] => *all,
        codes => codes.get(index).copied().unwrap_or(0),
    };
    (0..values).map(|index| code(index) == 1).collect()
}

/// Formats a parameter for the record.
fn shown((ty, cell): &(Type, Cell)) -> Option<String> {
    let data = cell.as_ref()?;
    to_text(ty, data).or_else(|_| to_text(&Type::BYTEA, data)).ok()
}

fn no_portal(name: &str) -> SqlError {
    SqlError::new("34000", format!("portal \"{name}\" does not exist"))
}
