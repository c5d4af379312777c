//! The documents of the API, and what is made of them.

use serde::Deserialize;

/// `users.json`, `users-2.json`, ...
#[derive(Debug, Deserialize)]
pub(crate) struct PageDoc {
    pub(crate) items: Vec<User>,
    /// Relative to the page's own URL.
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) active: bool,
}

/// `users/{id}/orders.json`
#[derive(Debug, Deserialize)]
pub(crate) struct OrdersDoc {
    pub(crate) user: i64,
    pub(crate) orders: Vec<Order>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Order {
    #[serde(rename = "order")]
    pub(crate) id: i64,
    pub(crate) cents: i64,
    pub(crate) currency: String,
}

/// `users/{id}/prefs.json`
#[derive(Debug, Deserialize)]
pub(crate) struct PrefsDoc {
    pub(crate) user: i64,
    #[serde(flatten)]
    pub(crate) prefs: Prefs,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Prefs {
    pub(crate) theme: String,
    pub(crate) locale: String,
    pub(crate) newsletter: bool,
}

/// One of the two documents that belong to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) user: i64,
    pub(crate) part: Part,
}

/// What a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Orders,
    Prefs,
}

impl Call {
    /// Both documents of a user.
    pub(crate) const fn both(user: i64) -> [Self; 2] {
        [Self { user, part: Part::Orders }, Self { user, part: Part::Prefs }]
    }
}

/// What could be read of a document: nothing of one that failed.
#[derive(Debug)]
pub(crate) enum Document {
    Orders(Vec<Order>),
    Prefs(Option<Prefs>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_to_the_last_of_64_bits() {
        for cents in [i64::MIN, -5, 0, 9_007_199_254_740_993, i64::MAX] {
            let text =
                format!(r#"{{"user": 1, "orders": [{{"order": 7, "cents": {cents}, "currency": "EUR"}}]}}"#);
            let doc: OrdersDoc = serde_json::from_str(&text).unwrap();
            assert_eq!(doc.orders[0].cents, cents);
        }
    }

    #[test]
    fn a_last_page_says_null_or_nothing() {
        for text in [r#"{"items": [], "next": null}"#, r#"{"items": []}"#] {
            assert_eq!(serde_json::from_str::<PageDoc>(text).unwrap().next, None);
        }
    }
}
