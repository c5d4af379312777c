//! Times with their unit.

use std::{str::FromStr, time::Duration};

/// A time: `10` and `10s` are seconds, and there are `500ms` and `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let time = match (number.parse(), unit) {
            (Ok(millis), "ms") => Some(Duration::from_millis(millis)),
            (Ok(secs), "s" | "") => Some(Duration::from_secs(secs)),
            (Ok(mins), "m") => mins.checked_mul(60).map(Duration::from_secs),
            _ => None,
        };
        time.map(Self).ok_or_else(|| format!("takes a time like 10, 10s, 500ms or 2m, not `{text}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, millis) in [("10", 10_000), ("10s", 10_000), ("500ms", 500), ("2m", 120_000), ("0", 0)] {
            assert_eq!(text.parse::<Time>().unwrap().0, Duration::from_millis(millis), "{text}");
        }
        for text in ["", "s", "1h", "1.5s", "-3", "10 s", "99999999999999999999", "999999999999999999m"] {
            let error = text.parse::<Time>().unwrap_err();
            assert_eq!(error, format!("takes a time like 10, 10s, 500ms or 2m, not `{text}`"));
        }
    }
}
