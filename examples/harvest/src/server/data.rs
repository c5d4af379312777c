//! The documents of the embedded server, computed from a seed.

use serde_json::{Value, json};

#[cfg(feature = "queue")]
use crate::store::{OrderRow, UserRow};

const FIRST: [&str; 12] =
    ["Ada", "Alan", "Barbara", "Edsger", "Frances", "Grace", "Hedy", "Ken", "Leslie", "Radia", "Tony", "Zoë"];
const LAST: [&str; 12] = [
    "Allen", "Dijkstra", "Hoare", "Hopper", "Lamarr", "Lamport", "Liskov", "Lovelace", "Perlman", "Thompson",
    "Turing", "Wałęsa",
];
const THEMES: [&str; 3] = ["light", "dark", "system"];
const LOCALES: [&str; 6] = ["en", "de", "fr", "pl", "ja", "ar"];
const CURRENCIES: [&str; 4] = ["EUR", "USD", "GBP", "JPY"];

/// The users of the server, in pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    pub(crate) users: u64,
    pub(crate) page_size: u64,
    pub(crate) seed: u64,
}

impl Site {
    /// Returns the document at this path, if there is one.
    pub(super) fn document(&self, path: &str) -> Option<Value> {
        let name = path.strip_prefix('/')?.strip_suffix(".json")?;
        if name == "users" {
            return self.page(1);
        }
        if let Some(number) = name.strip_prefix("users-") {
            return self.page(number.parse().ok()?);
        }
        let (id, document) = name.strip_prefix("users/")?.split_once('/')?;
        let id: u64 = id.parse().ok().filter(|id| (1..=self.users).contains(id))?;
        match document {
            "orders" => Some(self.orders(id)),
            "prefs" => Some(self.prefs(id)),
            _ => None,
        }
    }

    /// Returns the rows that a harvest has of a user.
    #[cfg(feature = "queue")]
    pub(crate) fn rows(&self, id: u64) -> (UserRow, Vec<OrderRow>) {
        let (user, prefs, orders) = (self.user(id), self.prefs(id), self.orders(id));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let row = (
            id as i64,
            text(&user["name"]),
            text(&user["email"]),
            user["active"] == true,
            Some(text(&prefs["theme"])),
            Some(text(&prefs["locale"])),
            prefs["newsletter"].as_bool(),
        );
        let orders = orders["orders"].as_array().into_iter().flatten().map(|order| {
            let number = |name: &str| order[name].as_i64().unwrap_or_default();
            (number("order"), id as i64, number("cents"), text(&order["currency"]))
        });
        (row, orders.collect())
    }

    fn page(&self, number: u64) -> Option<Value> {
        let pages = self.users.div_ceil(self.page_size).max(1);
        if !(1..=pages).contains(&number) {
            return None;
        }
        let first = (number - 1) * self.page_size + 1;
        let last = (number * self.page_size).min(self.users);
        let items: Vec<Value> = (first..=last).map(|id| self.user(id)).collect();
        let next = (number < pages).then(|| format!("users-{}.json", number + 1));
        Some(json!({ "items": items, "next": next }))
    }

    fn user(&self, id: u64) -> Value {
        let draw = self.draw(id, 0);
        json!({
            "id": id,
            "name": format!("{} {}", pick(&FIRST, draw), pick(&LAST, draw >> 16)),
            "email": format!("user{id}@example.test"),
            "active": !(draw >> 32).is_multiple_of(8),
        })
    }

    fn orders(&self, id: u64) -> Value {
        let count = self.draw(id, 1) % 6;
        let orders: Vec<Value> = (0..count)
            .map(|n| {
                let draw = self.draw(id, 2 + n);
                json!({ "order": id * 100 + n, "cents": draw % 50_000, "currency": pick(&CURRENCIES, draw >> 32) })
            })
            .collect();
        json!({ "user": id, "orders": orders })
    }

    fn prefs(&self, id: u64) -> Value {
        let draw = self.draw(id, 99);
        json!({
            "user": id,
            "theme": pick(&THEMES, draw),
            "locale": pick(&LOCALES, draw >> 16),
            "newsletter": (draw >> 32).is_multiple_of(3),
        })
    }

    const fn draw(&self, id: u64, what: u64) -> u64 {
        mix(self.seed ^ mix(id ^ mix(what)))
    }
}

fn pick(from: &'static [&'static str], draw: u64) -> &'static str {
    from[(draw & 0xffff) as usize % from.len()]
}

/// One step of splitmix64: every bit of the output depends on every bit of the input.
pub(crate) const fn mix(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: Site = Site { users: 25, page_size: 10, seed: 1 };

    #[test]
    fn the_pages_hold_every_user_once_in_order() {
        let mut path = Some(String::from("users.json"));
        let mut ids = Vec::new();
        while let Some(name) = path {
            let page = SITE.document(&format!("/{name}")).unwrap();
            ids.extend(page["items"].as_array().unwrap().iter().map(|user| user["id"].as_u64().unwrap()));
            path = page["next"].as_str().map(str::to_owned);
        }
        assert_eq!(ids, (1..=25).collect::<Vec<_>>());
    }

    #[test]
    fn no_users_are_one_empty_page() {
        let site = Site { users: 0, ..SITE };
        assert_eq!(site.document("/users.json").unwrap(), json!({ "items": [], "next": null }));
        assert_eq!(site.document("/users-2.json"), None);
    }

    #[test]
    fn the_same_seed_has_the_same_documents_and_another_has_others() {
        let again = Site { ..SITE };
        let other = Site { seed: 2, ..SITE };
        let path = "/users/7/prefs.json";
        assert_eq!(SITE.document(path), again.document(path));
        let differ = |path: &str| SITE.document(path) != other.document(path);
        assert!((1..=25).any(|id| differ(&format!("/users/{id}/orders.json"))));
    }

    #[test]
    fn what_is_not_there_is_none() {
        let strays = ["/", "/users", "/users/0/prefs.json", "/users/26/orders.json", "/users/3/avatar.json"];
        for path in strays.into_iter().chain(["/users/x/prefs.json", "/users-0.json", "/users-4.json", ""]) {
            assert_eq!(SITE.document(path), None, "{path}");
        }
    }
}
