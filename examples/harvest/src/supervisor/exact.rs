//! Compares the rows in the store with those of the embedded API.

use std::{collections::HashSet, fmt};

use serde::Serialize;

use crate::{error::Fatal, server::Site, stats::Failure, store::Store};

/// The users that are compared at a time.
const USERS: i64 = 2000;

/// The result of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Comparison {
    /// The rows that are in both, and the same.
    pub(crate) users: u64,
    pub(crate) orders: u64,
    /// Users with a document that could not be read, which are not compared.
    pub(crate) unread: u64,
    /// Users that are missing, or have other values or orders than in the API.
    pub(crate) wrong: u64,
    pub(crate) first_wrong: Option<i64>,
    /// Users in the store that the API does not have.
    pub(crate) foreign: u64,
}

impl Comparison {
    /// Compares all rows; `failures` are the documents that could not be read.
    pub(super) async fn of(store: &Store, site: &Site, failures: &[Failure]) -> Result<Self, Fatal> {
        let unread: HashSet<i64> = failures.iter().filter_map(|failure| user_of(&failure.url)).collect();
        let mut comparison = Self::default();
        let last = site.users as i64;
        let mut first = 1;
        while first <= last {
            let end = last.min(first + USERS - 1);
            let stored = store.rows(first..=end).await?;
            let (mut users, mut orders) = (stored.users.iter().peekable(), stored.orders.iter().peekable());
            for id in first..=end {
                let user = users.next_if(|user| user.0 == id);
                let of_user: Vec<_> = std::iter::from_fn(|| orders.next_if(|order| order.1 == id)).collect();
                if unread.contains(&id) {
                    comparison.unread += 1;
                    continue;
                }
                let (expected, expected_orders) = site.rows(id as u64);
                if user == Some(&expected) && of_user.iter().copied().eq(&expected_orders) {
                    comparison.users += 1;
                    comparison.orders += of_user.len() as u64;
                } else {
                    comparison.wrong += 1;
                    comparison.first_wrong.get_or_insert(id);
                }
            }
            first = end + 1;
        }
        comparison.foreign = store.users_outside(1..=last).await?;
        Ok(comparison)
    }

    pub(super) const fn is_exact(&self) -> bool {
        self.wrong == 0
    }
}

/// Returns the user of a document, from its URL.
fn user_of(url: &str) -> Option<i64> {
    url.split("/users/").nth(1)?.split('/').next()?.parse().ok()
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { users, orders, unread, wrong, first_wrong, foreign } = self;
        match first_wrong {
            None => write!(f, "exact: {users} users and {orders} orders are those of the API, each once")?,
            Some(id) => write!(
                f,
                "WRONG: {wrong} users are missing or not those of the API, the first of them is {id}; {users} users and \
                 {orders} orders are"
            )?,
        }
        if *unread > 0 {
            write!(f, "; {unread} users have a document that could not be read")?;
        }
        if *foreign > 0 {
            write!(f, "; {foreign} users are of other runs")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_in_the_url() {
        for (url, user) in [
            ("http://h/users/17/orders.json", Some(17)),
            ("http://h/a/users/17/prefs.json?key=1", Some(17)),
            ("http://h/users-2.json#/items/3", None),
            ("http://h/users/x/prefs.json", None),
        ] {
            assert_eq!(user_of(url), user, "{url}");
        }
    }

    #[test]
    fn the_result_says_whether_the_rows_are_exact() {
        let exact = Comparison { users: 10, orders: 25, ..Comparison::default() };
        assert!(exact.is_exact());
        assert_eq!(exact.to_string(), "exact: 10 users and 25 orders are those of the API, each once");
        let wrong = Comparison { wrong: 2, first_wrong: Some(7), unread: 1, foreign: 3, ..exact };
        assert!(!wrong.is_exact());
        assert_eq!(
            wrong.to_string(),
            "WRONG: 2 users are missing or not those of the API, the first of them is 7; 10 users and 25 orders are; 1 \
             users have a document that could not be read; 3 users are of other runs"
        );
    }
}
