//! Parses the values of headers: numbers, spans and dates.
//!
//! # How it works
//!
//! A value is tried as a number, then as a span, then as a date, in that order, since a number may look like a date of some
//! format. A plain number below a thousand million seconds counts from now; a larger one is a Unix time, whose unit follows
//! from its size. All times are whole nanoseconds in an `i128`: a Unix time with a fraction does not fit into a float.
//!
//! Invariants: no value makes it panic, since every multiplication of foreign numbers is checked; a wait is never negative;
//! and values beyond [`LONGEST`] bytes are not looked at, so that the work for a response is bounded.

use std::{
    iter,
    time::{Duration, SystemTime},
};

use httpdate::parse_http_date;
use jiff::{
    Span, SpanRelativeTo, Timestamp,
    civil::DateTime,
    fmt::{rfc2822::DateTimeParser, strtime::BrokenDownTime},
    tz::Offset,
};

pub(crate) const NANOSECOND: i128 = 1;
pub(crate) const MICROSECOND: i128 = 1_000;
pub(crate) const MILLISECOND: i128 = 1_000_000;
pub(crate) const SECOND: i128 = 1_000_000_000;

/// Formats of dates beyond RFC 9110, RFC 3339 and RFC 2822: of cookies, `date`, JavaScript, Ruby and Go.
const OTHER_DATES: [&str; 10] = [
    "%a, %d %b %Y %H:%M:%S",
    // The year of two digits first: `%Y` would read it as a year of the first century.
    "%a, %d-%b-%y %H:%M:%S GMT",
    "%a, %d-%b-%Y %H:%M:%S GMT",
    "%A, %d-%b-%Y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S UTC %Y",
    "%a %b %d %H:%M:%S GMT %Y",
    "%a %b %d %H:%M:%S %z %Y",
    "%a %b %d %Y %H:%M:%S GMT%z",
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%Y/%m/%d %H:%M:%S",
];

/// The maximum length of a value in bytes, with its parameters; the longest known forms have a third of it.
const LONGEST: usize = 256;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    /// Nanoseconds from now, not negative.
    In(i128),
    /// Nanoseconds since 1970.
    At(i128),
}

impl When {
    /// Reads a value, where a plain number is in units of `unit` nanoseconds.
    pub(crate) fn read(value: &str, unit: i128) -> Option<Self> {
        let text = trimmed(value);
        // Structured fields mark a date by `@`.
        let text = text.strip_prefix('@').unwrap_or(text);
        if !text.contains(|c: char| c.is_ascii_digit()) {
            return None;
        }
        if let Some(number) = decimal(text) {
            return Self::of_number(number, unit);
        }
        span(text).map(Self::In).or_else(|| date(text).map(Self::At))
    }

    /// Reads a list of values, where `None` stands for one that cannot be read; dates have a comma of their own.
    pub(crate) fn read_all(value: &str, unit: i128) -> impl Iterator<Item = Option<Self>> {
        let mut parts = split(value, ',').peekable();
        iter::from_fn(move || {
            let part = parts.next()?;
            // A number does not go on behind a comma, and a parameter ends a value.
            let may_go_on = decimal(trimmed(part)).is_none() && !part.contains(';');
            let next = parts.peek().filter(|_| may_go_on);
            let both = next.and_then(|next| Self::read(&format!("{part},{next}"), unit));
            if both.is_some() || next.is_some() && is_weekday(part) {
                parts.next();
                return Some(both);
            }
            Some(Self::read(part, unit))
        })
    }

    /// Reads a number: from a thousand million seconds on it is a Unix time in seconds, milliseconds, microseconds or
    /// nanoseconds, otherwise a span.
    fn of_number(number: i128, unit: i128) -> Option<Self> {
        let from_now = number.checked_mul(unit)? / SECOND;
        if number < 0 {
            return None;
        }
        if from_now < 1_000_000_000 * SECOND {
            return Some(Self::In(from_now));
        }
        // The unit is the first that makes it a time before the year 5138.
        let mut times =
            [1, 1_000, 1_000_000, 1_000_000_000].into_iter().map(|per_second| number / per_second);
        times.find(|at| *at < 100_000_000_000 * SECOND).map(Self::At)
    }

    /// Returns the time from `now` until then, zero if it has passed.
    pub(crate) fn from(self, now: i128) -> Duration {
        let nanos = match self {
            Self::In(nanos) => nanos,
            Self::At(at) => (at - now).max(0),
        };
        Duration::new((nanos / SECOND) as u64, (nanos % SECOND) as u32)
    }
}

/// Returns whether less than one permit remains; `None` if the value is no number.
pub(crate) fn is_used_up(value: &str) -> Option<bool> {
    decimal(trimmed(value)).map(|number| number < SECOND)
}

pub(crate) fn since_epoch(time: SystemTime) -> i128 {
    let nanos = |time: Duration| time.as_nanos() as i128;
    time.duration_since(SystemTime::UNIX_EPOCH).map_or_else(|before| -nanos(before.duration()), nanos)
}

/// Reads a date, in nanoseconds since 1970; an earlier date is rejected, as it is the zero of some clock.
pub(crate) fn date(text: &str) -> Option<i128> {
    let text = text.split_once(" (").map_or(text, |(date, _)| date);
    let http = || parse_http_date(text).ok().map(since_epoch);
    let found = http().or_else(|| instant(text).map(Timestamp::as_nanosecond));
    found.filter(|nanos| *nanos >= 0)
}

fn instant(text: &str) -> Option<Timestamp> {
    let utc = |date: DateTime| Offset::UTC.to_timestamp(date).ok();
    let bare = text.strip_suffix(" UTC").or(text.strip_suffix(" GMT")).unwrap_or(text);
    // The offset of a named zone (`[Europe/Paris]`) is unknown here.
    let plain = || bare.parse().ok().filter(|_| !bare.contains('[')).and_then(utc);
    let mail = || is_mail_date(text).then(|| DateTimeParser::new().parse_timestamp(text).ok())?;
    let other = |format: &&str| {
        let parts =
            BrokenDownTime::parse(format, text).or_else(|_| BrokenDownTime::parse(format, bare)).ok()?;
        parts.to_timestamp().ok().or_else(|| parts.to_datetime().ok().and_then(utc))
    };
    let other = || OTHER_DATES.iter().find_map(other);
    text.parse().ok().or_else(plain).or_else(mail).or_else(other)
}

/// Returns whether the zone is one that the parser of mail dates knows; it reads every other zone as UTC.
fn is_mail_date(text: &str) -> bool {
    let zone = text.rsplit(' ').next().unwrap_or_default().to_ascii_uppercase();
    zone.starts_with(['+', '-']) || ["GMT", "UTC", "UT", "Z"].contains(&&*zone)
}

/// Returns whether the text is a day of the week: it belongs to the date behind it, even if they contradict each other.
fn is_weekday(text: &str) -> bool {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '"').to_ascii_lowercase();
    text.len() <= 9
        && ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].iter().any(|day| text.starts_with(day))
        && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Reads a span: `6m0s`, `1h 2m`, `30 seconds`, `PT30S`, `00:01:00`: in nanoseconds, not negative.
fn span(text: &str) -> Option<i128> {
    // The Greek letter looks like the sign for a millionth.
    let span: Span = text.to_lowercase().replace('μ', "µ").parse().ok()?;
    let nanos = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?.as_nanos();
    (nanos >= 0).then_some(nanos)
}

/// Reads a decimal number in thousand millionths; smaller parts are cut.
fn decimal(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i8>().ok()?),
        None => (text, 0),
    };
    let digits = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    // More digits would not fit, and are below a nanosecond.
    let fraction = &fraction[..fraction.len().min(18)];
    let number: i128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = 9 + i32::from(exponent) - fraction.len() as i32;
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    let scaled = match power {
        Some(power) if shift < 0 => number / power,
        Some(power) => number.checked_mul(power)?,
        None if shift < 0 || number == 0 => 0,
        None => return None,
    };
    Some(if mantissa.starts_with('-') { -scaled } else { scaled })
}

/// Strips white space, quotation marks and parameters; returns an empty text if the value is too long.
pub(crate) fn trimmed(value: &str) -> &str {
    if value.len() > LONGEST {
        return "";
    }
    let value = split(value, ';').next().unwrap_or_default();
    value.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'')
}

/// Splits at separators that are not in quotation marks.
pub(crate) fn split(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let separates = move |c: char| {
        let mark = c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        quoted ^= mark;
        c == separator && !quoted
    };
    value.split(separates)
}
