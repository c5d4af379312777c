//! The rows of the result, to compare them.

use std::ops::RangeInclusive;

use super::{Postgres, StoreError};

/// A user: id, name, email, active, theme, locale, newsletter.
pub(crate) type UserRow = (i64, String, String, bool, Option<String>, Option<String>, Option<bool>);
/// An order: id, user, cents, currency.
pub(crate) type OrderRow = (i64, i64, i64, String);

const USERS: &str = "
    SELECT id, name, email, active, theme, locale, newsletter FROM users WHERE id BETWEEN $1 AND $2 ORDER BY id";
const ORDERS: &str = "
    SELECT id, user_id, cents, currency FROM orders WHERE user_id BETWEEN $1 AND $2 ORDER BY user_id, id";
const OUTSIDE: &str = "SELECT count(*) FROM users WHERE id NOT BETWEEN $1 AND $2";

/// Users by their ids, and their orders by the ids of their users.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) users: Vec<UserRow>,
    pub(crate) orders: Vec<OrderRow>,
}

impl Postgres {
    pub(in crate::store) async fn rows(&self, ids: RangeInclusive<i64>) -> Result<Rows, StoreError> {
        let users = self.db.fetch_all::<UserRow>(USERS, (*ids.start(), *ids.end())).await?;
        let orders = self.db.fetch_all::<OrderRow>(ORDERS, (*ids.start(), *ids.end())).await?;
        Ok(Rows { users, orders })
    }

    pub(in crate::store) async fn users_outside(&self, ids: RangeInclusive<i64>) -> Result<u64, StoreError> {
        let (count,): (i64,) = self.db.fetch_one(OUTSIDE, (*ids.start(), *ids.end())).await?;
        Ok(count.unsigned_abs())
    }
}
