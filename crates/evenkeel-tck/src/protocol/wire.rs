//! One line of the protocol: its times, its numbers, a turn of the suite, and the reply.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// The version of the protocol.
pub(crate) const VERSION: u64 = 1;

/// Numbers from here on are text: JSON's are floats in some languages.
const LARGEST: u128 = 1 << 53;

const SECOND: u128 = 1_000_000_000;

/// A message of the suite, or an event of the adapter.
pub(crate) type Object = Map<String, Value>;

/// A turn of the suite, or the reply to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Turn {
    pub(crate) number: u64,
    pub(crate) at: Duration,
    /// How long the adapter may run on, in a turn of the suite.
    pub(crate) until: Duration,
    /// The messages of the suite, or the events of the adapter.
    pub(crate) items: Vec<Object>,
}

impl Turn {
    /// The line of the suite.
    pub(crate) fn line(&self) -> String {
        let (at, until) = (from_time(self.at), from_time(self.until));
        format!("{}\n", json!({"turn": self.number, "at": at, "until": until, "messages": self.items}))
    }

    /// The line of the adapter.
    pub(crate) fn reply(&self) -> String {
        format!("{}\n", json!({"turn": self.number, "at": from_time(self.at), "events": self.items}))
    }

    /// Reads a line of the suite (`messages`) or of the adapter (`events`).
    pub(crate) fn read(line: &str, items: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("no JSON ({error})"))?;
        let number = value.get("turn").and_then(Value::as_u64).ok_or("no number `turn`")?;
        let at = value.get("at").and_then(to_time).ok_or("no time `at`")?;
        let until = value.get("until").map_or(Some(at), to_time).ok_or("no time `until`")?;
        let found = value.get(items).and_then(Value::as_array).ok_or_else(|| format!("no list `{items}`"))?;
        let items = found.iter().map(|item| item.as_object().cloned().ok_or("an item that is no object"));
        Ok(Self { number, at, until, items: items.collect::<Result<_, _>>()? })
    }
}

/// Whole nanoseconds.
pub(crate) fn from_time(time: Duration) -> Value {
    let nanos = time.as_nanos();
    match u64::try_from(nanos) {
        Ok(small) if nanos < LARGEST => small.into(),
        _ => nanos.to_string().into(),
    }
}

pub(crate) fn to_time(value: &Value) -> Option<Duration> {
    let nanos: u128 = match value {
        Value::String(text) => text.parse().ok()?,
        number => number.as_u64()?.into(),
    };
    let secs = u64::try_from(nanos / SECOND).unwrap_or(u64::MAX);
    Some(Duration::new(secs, (nanos % SECOND) as u32))
}

/// A number, or text where JSON has no number.
pub(crate) fn from_float(number: f64) -> Value {
    match number {
        finite if finite.is_finite() => finite.into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => "NaN".into(),
    }
}

pub(crate) fn to_float(value: &Value) -> Option<f64> {
    value.as_str().map_or_else(|| value.as_f64(), |text| text.parse::<f64>().ok())
}

pub(crate) fn from_u64(number: u64) -> Value {
    if u128::from(number) < LARGEST { number.into() } else { number.to_string().into() }
}

pub(crate) fn to_u64(value: &Value) -> Option<u64> {
    value.as_str().map_or_else(|| value.as_u64(), |text| text.parse::<u64>().ok())
}

/// The members of an object, read by name. A missing one is an error that names it.
pub(crate) trait Members {
    fn member(&self, name: &str) -> Option<&Value>;

    fn text(&self, name: &str) -> Result<&str, String> {
        self.member(name).and_then(Value::as_str).ok_or_else(|| format!("no text `{name}`"))
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        self.member(name).and_then(to_u64).ok_or_else(|| format!("no number `{name}`"))
    }

    fn small(&self, name: &str) -> Result<u32, String> {
        self.number(name)?.try_into().map_err(|_| format!("`{name}` is too large"))
    }

    fn time(&self, name: &str) -> Result<Duration, String> {
        self.member(name).and_then(to_time).ok_or_else(|| format!("no time `{name}`"))
    }

    fn optional_time(&self, name: &str) -> Result<Option<Duration>, String> {
        if self.is_there(name) { self.time(name).map(Some) } else { Ok(None) }
    }

    fn optional_number(&self, name: &str) -> Result<Option<u64>, String> {
        if self.is_there(name) { self.number(name).map(Some) } else { Ok(None) }
    }

    fn flag(&self, name: &str) -> bool {
        self.member(name).and_then(Value::as_bool).unwrap_or_default()
    }

    fn is_there(&self, name: &str) -> bool {
        self.member(name).is_some_and(|value| !value.is_null())
    }
}

impl Members for Object {
    fn member(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }
}

impl Members for Value {
    fn member(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }
}

/// An object of `json!`.
pub(crate) fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{Turn, from_float, from_time, object, to_float, to_time};

    #[test]
    fn times_and_numbers_survive_the_line() {
        for time in
            [Duration::ZERO, Duration::from_nanos(1), Duration::from_nanos((1 << 53) - 1), Duration::MAX]
        {
            assert_eq!(to_time(&from_time(time)), Some(time));
        }
        assert_eq!(from_time(Duration::from_nanos(1 << 53)), json!("9007199254740992"));
        for number in [0.0, -2.0, 1e300, f64::INFINITY] {
            assert_eq!(to_float(&from_float(number)), Some(number));
        }
        assert!(to_float(&from_float(f64::NAN)).is_some_and(f64::is_nan));
        assert_eq!(to_time(&json!(-1)), None);
    }

    #[test]
    fn a_turn_survives_the_line_and_other_lines_are_told() {
        let turn = Turn {
            number: 7,
            at: Duration::from_millis(1),
            until: Duration::MAX,
            items: vec![object(json!({"do": "begin"}))],
        };
        assert_eq!(Turn::read(turn.line().trim(), "messages"), Ok(turn));
        for (line, why) in [
            ("sunny", "no JSON (expected value at line 1 column 1)"),
            ("7", "no number `turn`"),
            (r#"{"turn":1}"#, "no time `at`"),
            (r#"{"turn":1,"at":-1}"#, "no time `at`"),
            (r#"{"turn":1,"at":0}"#, "no list `events`"),
            (r#"{"turn":1,"at":0,"events":[3]}"#, "an item that is no object"),
        ] {
            assert_eq!(Turn::read(line, "events"), Err(why.to_owned()), "{line}");
        }
    }
}
