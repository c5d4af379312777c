//! The parameters of a statement.

use tokio_postgres::types::ToSql;

/// The parameters of a statement: a tuple, in the order of `$1`, `$2` and so on.
///
/// `()` is for none, `(id,)` for one, up to twelve of any types that are [`ToSql`]. A reference to a tuple works as well,
/// and so does a slice, an array or a `Vec` of references: `&[&id]` to values of one type, or of `&(dyn ToSql + Sync)`
/// where their number is not known before. The trait is sealed. A slice of values of several types, as `&[&id, &name]`, is for
/// [`query`](crate::Database::query) and its relatives, whose parameter is no generic one; elsewhere it is the tuple `(id, name)`.
///
/// The [`ToSql`] of a Rust type decides which types of the server it fits: the number `1` is an `i32`, so it fits an
/// `integer` and not a `bigint`.
///
/// # Examples
///
/// ```no_run
/// use evenkeel_postgres::tokio_postgres::types::ToSql;
/// # use evenkeel_postgres::{Database, Error};
///
/// # async fn example(db: Database, names: Vec<String>) -> Result<(), Error> {
/// db.execute("delete from users where id = $1 and name = $2", (7_i64, "Ada")).await?;
///
/// let list: Vec<String> = (1..=names.len()).map(|n| format!("${n}")).collect();
/// let names: Vec<&(dyn ToSql + Sync)> = names.iter().map(|name| name as _).collect();
/// db.execute(&format!("delete from users where name in ({})", list.join(", ")), &names).await?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` are no parameters of a statement",
    label = "not a tuple of types that are `ToSql`",
    note = "a single parameter is written `(value,)`, and none is `()`",
    note = "a slice has items of `&(dyn ToSql + Sync)`, or references to values of one type, as `&[&value]` has"
)]
pub trait Params: sealed::Refs {}

#[diagnostic::do_not_recommend]
impl<P: sealed::Refs + ?Sized> Params for P {}

pub(crate) mod sealed {
    use tokio_postgres::types::ToSql;

    #[diagnostic::on_unimplemented(message = "`{Self}` are no parameters of a statement")]
    pub trait Refs: Send + Sync {
        fn refs(&self) -> Vec<&(dyn ToSql + Sync)>;
    }
}

#[diagnostic::do_not_recommend]
impl<P: sealed::Refs + ?Sized> sealed::Refs for &P {
    fn refs(&self) -> Vec<&(dyn ToSql + Sync)> {
        (**self).refs()
    }
}

impl sealed::Refs for [&(dyn ToSql + Sync)] {
    fn refs(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.to_vec()
    }
}

impl<T: ToSql + Sync> sealed::Refs for [&T] {
    fn refs(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.iter().map(|value| *value as _).collect()
    }
}

/// Strings have no size of their own, so that they are no case of the above.
impl sealed::Refs for [&str] {
    fn refs(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.iter().map(|text| text as _).collect()
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync, const N: usize> sealed::Refs for [T; N]
where
    [T]: sealed::Refs,
{
    fn refs(&self) -> Vec<&(dyn ToSql + Sync)> {
        self[..].refs()
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync> sealed::Refs for Vec<T>
where
    [T]: sealed::Refs,
{
    fn refs(&self) -> Vec<&(dyn ToSql + Sync)> {
        self[..].refs()
    }
}

macro_rules! tuples {
    () => {
        impl sealed::Refs for () {
            fn refs(&self) -> Vec<&(dyn ToSql + Sync)> {
                Vec::new()
            }
        }
    };
    ($first:ident $($name:ident)*) => {
        impl<$first: ToSql + Send + Sync, $($name: ToSql + Send + Sync),*> sealed::Refs for ($first, $($name,)*) {
            fn refs(&self) -> Vec<&(dyn ToSql + Sync)> {
                #[expect(non_snake_case, reason = "the variables have the names of the types")]
                let ($first, $($name,)*) = self;
                vec![$first, $($name),*]
            }
        }

        tuples!($($name)*);
    };
}

tuples!(A B C D E F G H I J K L);
