//! Numbers.

use std::str::FromStr;

/// A whole number from `MIN` to `MAX`; with [`u64::MAX`] there is no upper limit to speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Number<MIN, MAX> {
    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Number<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(number) if (MIN..=MAX).contains(&number) => Ok(Self(number)),
            _ if MAX == u64::MAX => Err(format!("takes a number from {MIN}, not `{text}`")),
            _ => Err(format!("takes a number from {MIN} to {MAX}, not `{text}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    #[test]
    fn a_number_is_within_its_limits() {
        for (text, number) in [("1", Some(1)), ("12", Some(12)), ("+5", Some(5)), ("0", None), ("13", None)] {
            let parsed = text.parse::<Number<1, 12>>();
            assert_eq!(parsed.as_ref().ok().map(|number| number.get()), number, "{text}");
        }
        for text in ["", "x", "-1", "1.5", "1e3", " 1", "99999999999999999999"] {
            let error = text.parse::<Number<1, 12>>().unwrap_err();
            assert_eq!(error, format!("takes a number from 1 to 12, not `{text}`"));
            let error = text.parse::<Number<0, { u64::MAX }>>().unwrap_err();
            assert_eq!(error, format!("takes a number from 0, not `{text}`"));
        }
    }
}
