//! The types of parameters and results, known before a statement runs.

use tokio_postgres::types::Type;

use super::{Field, Store, counts, no_column};
use crate::{
    error::SqlError,
    sql::{Expr, Item, Sql},
};

/// The known types of the parameters.
type Types = Vec<Option<Type>>;

impl Store {
    /// Infers the types of the parameters of a statement, and of the columns of its result.
    pub(crate) fn describe(
        &self,
        sql: &Sql,
        mut types: Types,
    ) -> Result<(Vec<Type>, Option<Vec<Field>>), SqlError> {
        let (table, items) = match sql {
            Sql::Insert { table, columns, rows, returning } => {
                let indices = self.table(table)?.indices(columns)?;
                for row in rows {
                    for (expr, index) in row.iter().zip(&indices) {
                        expr.ty(Some(&self.table(table)?.columns[*index].ty), &[], &mut types)?;
                    }
                }
                (Some(table), returning)
            }
            Sql::Update { table, set, filter, returning } => {
                self.equalities(table, set, &mut types)?;
                self.equalities(table, filter, &mut types)?;
                (Some(table), returning)
            }
            Sql::Delete { table, filter, returning } => {
                self.equalities(table, filter, &mut types)?;
                (Some(table), returning)
            }
            Sql::Select { items, table, filter, order, .. } => {
                if let Some(table) = table {
                    self.equalities(table, filter, &mut types)?;
                    for (name, _) in order {
                        self.table(table)?.index(name)?;
                    }
                }
                (table.as_ref(), items)
            }
            Sql::CopyQuery(query, _) => {
                let (types, _) = self.describe(query.as_ref().map_err(Clone::clone)?, types)?;
                return Ok((types, None));
            }
            Sql::Copy(copy) => {
                self.copied(copy)?;
                return Ok((known(types), None));
            }
            _ => return Ok((known(types), None)),
        };
        let fields = self.fields(items, table.map(String::as_str), &mut types)?;
        Ok((known(types), (!items.is_empty()).then_some(fields)))
    }

    /// The columns of a result.
    pub(super) fn fields(
        &self,
        items: &[Item],
        table: Option<&str>,
        types: &mut Types,
    ) -> Result<Vec<Field>, SqlError> {
        let all = match table {
            Some(table) => self.table(table)?.fields(),
            None => Vec::new(),
        };
        let has_others = items.iter().any(|item| !matches!(item, Item::Count { .. }));
        if table.is_some() && counts(items) && has_others {
            return Err(SqlError::new("42803", "a column beside count(*)"));
        }
        let mut fields = Vec::new();
        for item in items {
            match item {
                Item::All => fields.extend_from_slice(&all),
                Item::Count { name } => fields.push((name.clone(), Type::INT8)),
                Item::Expr { expr, name } => fields.push((name.clone(), expr.ty(None, &all, types)?)),
            }
        }
        Ok(fields)
    }

    fn equalities(
        &self,
        table: &str,
        equalities: &[(String, Expr)],
        types: &mut Types,
    ) -> Result<(), SqlError> {
        let table = self.table(table)?;
        let fields = table.fields();
        for (name, expr) in equalities {
            let ty = &table.columns[table.index(name)?].ty;
            expr.ty(Some(ty), &fields, types)?;
        }
        Ok(())
    }
}

impl Expr {
    /// Infers its type, which is `hint` where the expression leaves it open; sets types of parameters that have none.
    pub(super) fn ty(
        &self,
        hint: Option<&Type>,
        fields: &[Field],
        types: &mut Types,
    ) -> Result<Type, SqlError> {
        let open = |ty: Type| hint.cloned().unwrap_or(ty);
        Ok(match self {
            Expr::Null | Expr::Text(_) => open(Type::TEXT),
            Expr::Bool(_) => open(Type::BOOL),
            Expr::Number(text) => open(match text.parse::<i64>() {
                Ok(number) if i32::try_from(number).is_ok() => Type::INT4,
                Ok(_) => Type::INT8,
                Err(_) => Type::FLOAT8,
            }),
            Expr::Param(number) => {
                if types.len() <= *number {
                    types.resize(number + 1, None);
                }
                types[*number].get_or_insert_with(|| open(Type::TEXT)).clone()
            }
            Expr::Column(name) => {
                let field = fields.iter().find(|(field, _)| field == name);
                field.ok_or_else(|| no_column(name))?.1.clone()
            }
            Expr::Cast(expr, ty) => {
                expr.ty(Some(ty), fields, types)?;
                ty.clone()
            }
            Expr::Add(a, b, _) => {
                // A number adopts the type of the other operand.
                let (first, second) = if matches!(**a, Expr::Number(_)) { (b, a) } else { (a, b) };
                let ty = first.ty(hint, fields, types)?;
                second.ty(Some(&ty), fields, types)?;
                ty
            }
            Expr::Call(name, arguments) => call(name, arguments, fields, types)?,
        })
    }
}

/// Infers the type of a call.
fn call(name: &str, arguments: &[Expr], fields: &[Field], types: &mut Types) -> Result<Type, SqlError> {
    let (takes, gives): (&[Type], _) = match name {
        "pg_backend_pid" => (&[], Type::INT4),
        "pg_sleep" => (&[Type::FLOAT8], Type::VOID),
        "pg_notify" => (&[Type::TEXT, Type::TEXT], Type::VOID),
        "pg_advisory_unlock_all" => (&[], Type::VOID),
        _ => return Err(SqlError::new("42883", format!("function {name} does not exist"))),
    };
    if takes.len() != arguments.len() {
        let message = format!("function {name} takes {} argument(s)", takes.len());
        return Err(SqlError::new("42883", message));
    }
    for (expr, ty) in arguments.iter().zip(takes) {
        expr.ty(Some(ty), fields, types)?;
    }
    Ok(gives)
}

fn known(types: Types) -> Vec<Type> {
    types.into_iter().map(|ty| ty.unwrap_or(Type::TEXT)).collect()
}
