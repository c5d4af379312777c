//! Configuration files: the data goes through the constructors that check it.

use std::{fmt, hash::Hash, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};

#[cfg(feature = "quanta")]
use crate::Clock;
use crate::{Adaptive, ConcurrencyLimiter, Keyed, Rate, RateLimiter};

#[derive(Deserialize, Serialize)]
#[serde(rename = "Rate", deny_unknown_fields)]
struct RateData {
    permits: u32,
    #[serde(with = "duration_text")]
    per: Duration,
}

#[derive(Deserialize)]
#[serde(rename = "RateLimiter", deny_unknown_fields)]
struct RateLimiterData {
    rate: Rate,
    burst: Option<u32>,
    #[serde(default)]
    sliding: bool,
    #[serde(default)]
    start_empty: bool,
    #[serde(default)]
    fast: bool,
    #[cfg(feature = "quanta")]
    #[serde(default)]
    clock: Clock,
    #[serde(default)]
    oversize_as_debt: bool,
    max_waiters: Option<usize>,
    #[serde(default, with = "duration_text::option")]
    max_pause: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(rename = "Keyed", deny_unknown_fields)]
struct KeyedData {
    rate: Rate,
    burst: Option<u32>,
    #[serde(default)]
    fast: bool,
    #[cfg(feature = "quanta")]
    #[serde(default)]
    clock: Clock,
    max_keys: Option<usize>,
    #[serde(default, with = "duration_text::option")]
    max_pause: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(rename = "ConcurrencyLimiter", deny_unknown_fields)]
struct ConcurrencyLimiterData {
    limit: LimitData,
    max_waiters: Option<usize>,
}

struct LimitData(ConcurrencyLimiter);

#[derive(Deserialize)]
#[serde(rename = "Adaptive", rename_all = "snake_case")]
enum AdaptiveData {
    Aimd(BoundsData),
    Gradient(BoundsData),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BoundsData {
    min: u32,
    max: u32,
    initial: Option<u32>,
}

/// As `{"permits": 100, "per": "1s"}`.
impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RateData { permits: self.permits(), per: Duration::from_nanos(self.nanos()) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let RateData { permits, per } = RateData::deserialize(deserializer)?;
        Self::try_per(permits, per).map_err(D::Error::custom)
    }
}

/// From its rate and, if they are not the defaults, `burst`, `sliding`, `start_empty`, `fast`, `oversize_as_debt`,
/// `max_waiters` and `max_pause`; with the feature `quanta` also `clock`, which is `"tokio"` or `"cpu"`.
impl<'de> Deserialize<'de> for RateLimiter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let data = RateLimiterData::deserialize(deserializer)?;
        let mut limiter = if data.sliding { Self::sliding(data.rate) } else { Self::new(data.rate) };
        if let Some(permits) = data.burst {
            limiter = limiter.burst(not_zero(permits, "a burst of zero permits")?);
        }
        if let Some(waiters) = data.max_waiters {
            limiter = limiter.max_waiters(not_zero(waiters, "a queue for zero waiters")?);
        }
        if let Some(pause) = data.max_pause {
            limiter = limiter.max_pause(not_zero(pause, "pauses of no time")?);
        }
        limiter = if data.start_empty { limiter.start_empty() } else { limiter };
        limiter = if data.fast { limiter.fast() } else { limiter };
        #[cfg(feature = "quanta")]
        let limiter = limiter.clock(data.clock);
        Ok(if data.oversize_as_debt { limiter.oversize_as_debt() } else { limiter })
    }
}

/// From its rate and, if they are not the defaults, `burst`, `fast`, `max_keys` and `max_pause`; with the feature `quanta` also `clock`.
impl<'de, K: Hash + Eq> Deserialize<'de> for Keyed<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let data = KeyedData::deserialize(deserializer)?;
        let mut keyed = Self::new(data.rate);
        if let Some(permits) = data.burst {
            keyed = keyed.burst(not_zero(permits, "a burst of zero permits")?);
        }
        if let Some(keys) = data.max_keys {
            keyed = keyed.max_keys(not_zero(keys, "room for zero keys")?);
        }
        if let Some(pause) = data.max_pause {
            keyed = keyed.max_pause(not_zero(pause, "pauses of no time")?);
        }
        #[cfg(feature = "quanta")]
        let keyed = keyed.clock(data.clock);
        Ok(if data.fast { keyed.fast() } else { keyed })
    }
}

/// From its limit, a number or an [`Adaptive`] one, and `max_waiters` if it has that.
impl<'de> Deserialize<'de> for ConcurrencyLimiter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ConcurrencyLimiterData { limit: LimitData(limiter), max_waiters } =
            ConcurrencyLimiterData::deserialize(deserializer)?;
        Ok(match max_waiters {
            Some(waiters) => limiter.max_waiters(not_zero(waiters, "a queue for zero waiters")?),
            None => limiter,
        })
    }
}

/// By hand, since the error of an untagged enum would not say what is wrong.
impl<'de> Deserialize<'de> for LimitData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrAdaptive).map(Self)
    }
}

struct NumberOrAdaptive;

impl<'de> Visitor<'de> for NumberOrAdaptive {
    type Value = ConcurrencyLimiter;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a limit of 32 bits, or one that adapts")
    }

    fn visit_u64<E: Error>(self, limit: u64) -> Result<Self::Value, E> {
        let limit = u32::try_from(limit).map_err(|_| E::invalid_value(Unexpected::Unsigned(limit), &self))?;
        Ok(ConcurrencyLimiter::new(not_zero(limit, "a limit of zero permits")?))
    }

    fn visit_i64<E: Error>(self, limit: i64) -> Result<Self::Value, E> {
        let limit = u64::try_from(limit).map_err(|_| E::invalid_value(Unexpected::Signed(limit), &self))?;
        self.visit_u64(limit)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Adaptive::deserialize(MapAccessDeserializer::new(map)).map(ConcurrencyLimiter::adaptive)
    }
}

/// As `{"gradient": {"min": 1, "max": 100, "initial": 20}}`, or `aimd` in place of `gradient`.
impl<'de> Deserialize<'de> for Adaptive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (kind, bounds): (fn(u32, u32) -> Self, _) = match AdaptiveData::deserialize(deserializer)? {
            AdaptiveData::Aimd(bounds) => (Self::aimd, bounds),
            AdaptiveData::Gradient(bounds) => (Self::gradient, bounds),
        };
        let BoundsData { min, max, initial } = bounds;
        if not_zero(min, "a limit from zero")? > max {
            return Err(D::Error::custom("a limit from more than to"));
        }
        match initial {
            Some(initial) if (min..=max).contains(&initial) => Ok(kind(min, max).initial(initial)),
            Some(_) => Err(D::Error::custom("an initial limit out of bounds")),
            None => Ok(kind(min, max)),
        }
    }
}

fn not_zero<T: Default + PartialEq, E: Error>(number: T, why: &str) -> Result<T, E> {
    if number == T::default() { Err(E::custom(why)) } else { Ok(number) }
}

/// Durations as people write them.
mod duration_text {
    use super::{Deserialize, Deserializer, Duration, Error, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        humantime::parse_duration(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    pub(super) mod option {
        use super::{Deserializer, Duration};

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Duration>, D::Error> {
            super::deserialize(deserializer).map(Some)
        }
    }
}
