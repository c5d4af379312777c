//! Texts that live for as long as the program, each once: those of streams and consumers, so that handles are `Copy`.

use std::{collections::BTreeMap, sync::Mutex};

use evenkeel_base::lock;

/// The part of the subjects of acks that all messages of a consumer have, and what is read from it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The subject, up to its numbers.
    pub(super) text: &'static str,
    pub(super) stream: &'static str,
    /// Whether five numbers end the subject; newer servers may add tokens to the long form.
    pub(super) is_short: bool,
}

/// The start of the subjects of acks.
pub(super) const ACK: &str = "$JS.ACK.";

/// The tokens of an ack subject, and those in front of its numbers; without and with the domain and the hash of the account.
const FORMS: [(usize, usize); 2] = [(9, 4), (11, 6)];

static ROUTES: Mutex<BTreeMap<&'static str, &'static Route>> = Mutex::new(BTreeMap::new());

impl Route {
    /// Reads the route of the subject of an ack; `None` for the subject of anything else. A program has as many as it has
    /// consumers.
    pub(super) fn of(subject: &str) -> Option<&'static Self> {
        if !subject.starts_with(ACK) {
            return None;
        }
        let tokens = 1 + subject.bytes().filter(|byte| *byte == b'.').count();
        let (least, before) = FORMS.into_iter().rfind(|(least, _)| tokens >= *least)?;
        let is_short = before == 4;
        if is_short && tokens > least {
            return None;
        }
        let end = subject.match_indices('.').nth(before - 1)?.0 + 1;
        let mut routes = lock(&ROUTES);
        if let Some(known) = routes.get(&subject[..end]) {
            return Some(known);
        }
        let text: &'static str = Box::leak(subject[..end].into());
        let stream = text.split('.').nth(before - 2)?;
        let route: &'static Self = Box::leak(Box::new(Self { text, stream, is_short }));
        routes.insert(text, route);
        Some(route)
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::Route;

    #[test]
    fn a_route_is_kept_once() {
        let first = Route::of("$JS.ACK.ORDERS.c.3.100.7.17.42").unwrap();
        let second = Route::of("$JS.ACK.ORDERS.c.4.101.8.18.41").unwrap();
        assert!(ptr::eq(first, second));
        assert_eq!((first.stream, first.text, first.is_short), ("ORDERS", "$JS.ACK.ORDERS.c.", true));
        let other = Route::of("$JS.ACK.OTHERS.c.3.100.7.17.42").unwrap();
        assert_eq!(other.stream, "OTHERS");
    }
}
