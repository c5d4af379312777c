//! The documents of the API, and their records.

use std::str::FromStr;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::json;

/// `users.json`, `users-2.json`, ...
#[derive(Debug)]
pub(crate) struct PageDoc {
    items: Vec<Raw>,
    next: Option<Raw>,
}

/// The text of a record. Records are parsed one by one, so that an invalid one costs no other.
type Raw = Box<str>;

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) active: bool,
}

/// `users/{id}/orders.json`
#[derive(Debug)]
pub(crate) struct OrdersDoc {
    pub(crate) user: i64,
    orders: Vec<Raw>,
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
    theme: String,
    locale: String,
    newsletter: bool,
}

#[derive(Debug)]
pub(crate) struct Prefs {
    pub(crate) theme: String,
    pub(crate) locale: String,
    pub(crate) newsletter: bool,
}

/// The fields of a document.
struct Fields<'a>(Vec<(String, &'a str)>);

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Result<Self, String> {
        json::fields(text).map(Self)
    }

    fn get(&self, name: &str) -> Result<Option<&'a str>, String> {
        let mut found = self.0.iter().filter(|(of, _)| of == name).map(|(_, value)| *value);
        let value = found.next();
        if found.next().is_none() { Ok(value) } else { Err(format!("it has `{name}` twice")) }
    }

    fn records(&self, name: &str) -> Result<Vec<Raw>, String> {
        let list = self.get(name)?.ok_or_else(|| format!("it has no `{name}`"))?;
        let records = json::elements(list).map_err(|reason| format!("its `{name}`: {reason}"))?;
        Ok(records.into_iter().map(Raw::from).collect())
    }
}

impl FromStr for PageDoc {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fields = Fields::of(text)?;
        Ok(Self { items: fields.records("items")?, next: fields.get("next")?.map(Raw::from) })
    }
}

impl FromStr for OrdersDoc {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fields = Fields::of(text)?;
        let user = fields.get("user")?.ok_or("it has no `user`")?;
        let user = serde_json::from_str(user).map_err(|error| format!("its `user`: {error}"))?;
        Ok(Self { user, orders: fields.records("orders")? })
    }
}

impl FromStr for PrefsDoc {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The whole document is one record.
        json::fields(text)?;
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

/// A record that cannot be stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The position in the document, as a JSON pointer.
    pub(crate) pointer: String,
    pub(crate) reason: String,
}

impl PageDoc {
    /// Returns the users, and the records that are not valid users.
    pub(crate) fn users(&self) -> (Vec<User>, Vec<Flaw>) {
        records("items", &self.items)
    }

    /// Returns the link to the next page, relative to the URL of this page, or `None` on the last page. APIs have several
    /// ways to write that there is none.
    pub(crate) fn next(&self) -> Result<Option<String>, String> {
        let Some(next) = &self.next else { return Ok(None) };
        match &**next {
            "null" | "false" => Ok(None),
            text => match serde_json::from_str::<String>(text) {
                Ok(link) => Ok(Some(link).filter(|link| !link.trim().is_empty())),
                Err(error) => Err(format!("its next page is no link: {error}")),
            },
        }
    }
}

impl OrdersDoc {
    /// Returns the orders, and the records that are not valid orders.
    pub(crate) fn orders(&self) -> (Vec<Order>, Vec<Flaw>) {
        records("orders", &self.orders)
    }
}

impl PrefsDoc {
    /// Returns the preferences, or the reason why they cannot be stored.
    pub(crate) fn prefs(self) -> Result<Prefs, String> {
        let Self { theme, locale, newsletter, .. } = self;
        storable(&[("theme", &theme), ("locale", &locale)])?;
        Ok(Prefs { theme, locale, newsletter })
    }
}

/// A kind of record.
trait Record: DeserializeOwned {
    /// The name of this kind, and the field with the number of a record.
    const NAME: (&str, &str);

    fn texts(&self) -> Vec<(&'static str, &str)>;
}

impl Record for User {
    const NAME: (&str, &str) = ("user", "id");

    fn texts(&self) -> Vec<(&'static str, &str)> {
        vec![("name", &self.name), ("email", &self.email)]
    }
}

impl Record for Order {
    const NAME: (&str, &str) = ("order", "order");

    fn texts(&self) -> Vec<(&'static str, &str)> {
        vec![("currency", &self.currency)]
    }
}

fn records<T: Record>(list: &str, raw: &[Raw]) -> (Vec<T>, Vec<Flaw>) {
    let (mut records, mut flaws) = (Vec::with_capacity(raw.len()), Vec::new());
    for (index, raw) in raw.iter().enumerate() {
        match record(raw) {
            Ok(record) => records.push(record),
            Err(reason) => {
                flaws.push(Flaw {
                    pointer: format!("/{list}/{index}"),
                    reason: with_number::<T>(raw, &reason),
                });
            }
        }
    }
    (records, flaws)
}

fn record<T: Record>(raw: &str) -> Result<T, String> {
    json::fields(raw)?;
    let record: T = serde_json::from_str(raw).map_err(|error| error.to_string())?;
    storable(&record.texts())?;
    Ok(record)
}

/// Replaces bytes that are not UTF-8: a character that Unicode reserves for internal use.
pub(crate) const NOT_UTF8: &str = "\u{fdd0}";

/// Rejects texts that PostgreSQL cannot store (NUL), for all stores, so that they have the same rows.
fn storable(texts: &[(&str, &str)]) -> Result<(), String> {
    for (field, text) in texts {
        if text.contains('\0') {
            return Err(format!("its {field} has a NUL character"));
        }
        if text.contains(NOT_UTF8) {
            return Err(format!("its {field} is not UTF-8"));
        }
    }
    Ok(())
}

/// Adds the kind and number of the record to a reason, where it has a number.
fn with_number<T: Record>(raw: &str, reason: &str) -> String {
    let (name, key) = T::NAME;
    let fields = json::fields(raw).unwrap_or_default();
    match fields.iter().rfind(|(of, _)| of == key).and_then(|(_, value)| value.parse::<i64>().ok()) {
        Some(number) => format!("{name} {number}: {reason}"),
        None => format!("{name}: {reason}"),
    }
}

/// One of the two documents that belong to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) user: i64,
    pub(crate) part: Part,
}

/// The part of a user that a document has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Orders,
    Prefs,
}

impl Call {
    /// Returns both documents of a user.
    pub(crate) const fn both(user: i64) -> [Self; 2] {
        [Self { user, part: Part::Orders }, Self { user, part: Part::Prefs }]
    }
}

/// The records of a document; none if it failed.
#[derive(Debug)]
pub(crate) enum Document {
    Orders(Vec<Order>),
    Prefs(Option<Prefs>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(items: &str) -> (Vec<User>, Vec<Flaw>) {
        let text = format!(r#"{{"items": [{items}], "next": null}}"#);
        text.parse::<PageDoc>().unwrap().users()
    }

    #[test]
    fn amounts_are_exact_to_the_last_of_64_bits() {
        for cents in [i64::MIN, -5, 0, 9_007_199_254_740_993, i64::MAX] {
            let text =
                format!(r#"{{"user": 1, "orders": [{{"order": 7, "cents": {cents}, "currency": "EUR"}}]}}"#);
            let doc: OrdersDoc = text.parse().unwrap();
            assert_eq!(doc.orders().0[0].cents, cents);
        }
    }

    #[test]
    fn a_last_page_says_so_in_many_ways() {
        for next in ["", r#", "next": null"#, r#", "next": "" "#, r#", "next": " ""#, r#", "next": false"#] {
            let text = format!(r#"{{"items": []{next}}}"#);
            assert_eq!(text.parse::<PageDoc>().unwrap().next(), Ok(None), "{next}");
        }
        for next in ["7", "{}", "true", r#""\ud800""#] {
            let text = format!(r#"{{"items": [], "next": {next}}}"#);
            assert!(text.parse::<PageDoc>().unwrap().next().is_err(), "{next}");
        }
    }

    #[test]
    fn a_record_that_makes_no_sense_costs_no_other() {
        const SOUND: &str =
            r#"{"id": 1, "name": "A", "email": "e", "active": true, "more": [1e999, "\ud800"]}"#;
        for (bad, reason) in [
            (r#"{"id": 2, "name": "A\u0000", "email": "e", "active": true}"#, "user 2: its name has a NUL"),
            (r#"{"id": 2, "name": "A", "email": "\u0000", "active": true}"#, "user 2: its email has a NUL"),
            (r#"{"id": 2, "name": "\ud800", "email": "e", "active": true}"#, "user 2: "),
            (r#"{"id": 2, "name": "A", "email": "e"}"#, "user 2: missing field `active`"),
            (r#"{"id": 2, "name": null, "email": "e", "active": true}"#, "user 2: invalid type: null"),
            (r#"{"id": 2, "name": "A", "email": "e", "active": "yes"}"#, "user 2: invalid type: string"),
            (r#"{"id": 9223372036854775808, "name": "A", "email": "e", "active": true}"#, "user: invalid"),
            (r#"{"id": 1e400, "name": "A", "email": "e", "active": true}"#, "user: number out of range"),
            (r#"{"id": "2", "name": "A", "email": "e", "active": true}"#, "user: invalid type: string"),
            (r#"{"id": 2, "id": 3, "name": "A", "email": "e", "active": true}"#, "user 3: duplicate field"),
            (r#"{"name": "A", "email": "e", "active": true}"#, "user: missing field `id`"),
            (
                "{\"id\": 2, \"name\": \"A\0\", \"email\": \"e\", \"active\": true}",
                "user 2: control character",
            ),
            (
                "{\"id\": 2, \"name\": \"A\nB\", \"email\": \"e\", \"active\": true}",
                "user 2: control character",
            ),
            (r#"{"id": 2, "name": "\x41", "email": "e", "active": true}"#, "user 2: invalid escape"),
            (r#"{"id": 2, "name": "A", "email": "e", "active": True}"#, "user 2: expected value"),
            (
                r#"{"id": 2, "name": "A", "email": "e", "active": true, "score": NaN}"#,
                "user 2: expected value",
            ),
            (r#"{"id": NaN, "name": "A", "email": "e", "active": true}"#, "user: expected value"),
            (r#"{"id": 2, "name": "A", "email": "e", "active": true,}"#, "user 2: trailing comma"),
            (r#"{"id": 2, "name" "A", "email": "e", "active": true}"#, "user: not valid JSON: expected `:`"),
            (r#"[2, "A", "e", true]"#, "user: not an object"),
            ("undefined", "user: not valid JSON: expected value"),
            ("", "user: not valid JSON: EOF"),
            ("null", "user: not an object"),
            ("7", "user: not an object"),
            ("[]", "user: not an object"),
        ] {
            let (users, flaws) = page(&format!("{SOUND}, {bad}, {SOUND}"));
            assert_eq!(users.len(), 2, "{bad}");
            let [Flaw { pointer, reason: told }] = &flaws[..] else { panic!("{bad}: {flaws:?}") };
            assert!(pointer == "/items/1" && told.starts_with(reason), "{bad}: {told}");
        }
    }

    #[test]
    fn a_list_of_nothing_is_empty_and_none_is_no_document() {
        assert_eq!(r#"{"items": null, "next": null}"#.parse::<PageDoc>().unwrap().users(), (vec![], vec![]));
        assert!(r#"{"user": 1, "orders": null}"#.parse::<OrdersDoc>().unwrap().orders().0.is_empty());
        for (text, reason) in [
            (r#"{"error": "boom"}"#, "it has no `items`"),
            (r#"{"items": {}}"#, "its `items`: not a list"),
            (r#"{"items": [], "items": []}"#, "it has `items` twice"),
            ("[[], null]", "not an object"),
            ("<html>", "not valid JSON: expected value at line 1 column 1"),
        ] {
            assert_eq!(text.parse::<PageDoc>().unwrap_err(), reason);
        }
        for (text, reason) in [
            ("{}", "it has no `user`"),
            (r#"{"user": "1", "orders": []}"#, "its `user`: invalid type: string"),
            (r#"{"user": 1}"#, "it has no `orders`"),
        ] {
            let told = text.parse::<OrdersDoc>().unwrap_err();
            assert!(told.starts_with(reason), "{told}");
        }
    }

    #[test]
    fn preferences_are_stored_as_they_are_or_not_at_all() {
        let prefs = |text: &str| text.parse::<PrefsDoc>().unwrap().prefs();
        let sound = r#"{"user": 1, "theme": "dark", "locale": "pl", "newsletter": true, "x": 1e999}"#;
        assert_eq!(prefs(sound).unwrap().theme, "dark");
        let nul = r#"{"user": 1, "theme": "dark", "locale": "\u0000", "newsletter": true}"#;
        assert_eq!(prefs(nul).unwrap_err(), "its locale has a NUL character");
    }
}
