//! Configuration files: every value that is read goes through the constructors that check it.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::{Backoff, Budget, InvalidPolicy, Jitter, Policy, backoff::Growth};

#[derive(Deserialize, Serialize)]
#[serde(rename = "Backoff", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum BackoffData {
    Fixed {
        #[serde(with = "humane")]
        delay: Duration,
        jitter: Option<Jitter>,
    },
    Linear(Growing),
    Exponential(Growing),
    Fibonacci(Growing),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Growing {
    #[serde(with = "humane")]
    initial: Duration,
    #[serde(with = "humane")]
    cap: Duration,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<(u32, u32)>,
    jitter: Option<Jitter>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename = "Budget", deny_unknown_fields)]
pub(crate) struct BudgetData {
    permille: u32,
    per_second: Option<u32>,
    reserve: Option<u32>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename = "Policy", deny_unknown_fields)]
pub(crate) struct PolicyData {
    backoff: Backoff,
    max_attempts: Option<u32>,
    #[serde(default, with = "limit")]
    attempt_timeout: Option<Duration>,
    #[serde(default, with = "limit")]
    total_timeout: Option<Duration>,
    #[serde(default, with = "limit")]
    max_retry_after: Option<Duration>,
    #[serde(default, with = "limit")]
    reset_after: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<Budget>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
}

impl Growing {
    fn build(
        self,
        kind: fn(Duration, Duration) -> Result<Backoff, InvalidPolicy>,
    ) -> Result<(Backoff, Option<Jitter>), InvalidPolicy> {
        let backoff = kind(self.initial, self.cap)?;
        let backoff = match self.ratio {
            Some((numerator, denominator)) => backoff.try_ratio(numerator, denominator)?,
            None => backoff,
        };
        Ok((backoff, self.jitter))
    }
}

impl TryFrom<BackoffData> for Backoff {
    type Error = InvalidPolicy;

    fn try_from(data: BackoffData) -> Result<Self, InvalidPolicy> {
        let (backoff, jitter) = match data {
            BackoffData::Fixed { delay, jitter } => (Self::fixed(delay), jitter),
            BackoffData::Linear(growing) => growing.build(Self::try_linear)?,
            BackoffData::Exponential(growing) => growing.build(Self::try_exponential)?,
            BackoffData::Fibonacci(growing) => growing.build(Self::try_fibonacci)?,
        };
        jitter.map_or(Ok(backoff), |jitter| backoff.try_jitter(jitter))
    }
}

impl Backoff {
    /// Returns `None` for own steps, which are code.
    fn data(&self) -> Option<BackoffData> {
        let jitter = Some(self.jitter);
        let cap = Duration::from_nanos(self.cap);
        let growing = |initial, ratio| Growing { initial: Duration::from_nanos(initial), cap, ratio, jitter };
        match self.growth {
            Growth::Linear { initial } if initial == self.cap => {
                Some(BackoffData::Fixed { delay: cap, jitter })
            }
            Growth::Linear { initial } => Some(BackoffData::Linear(growing(initial, None))),
            Growth::Exponential { initial, ratio } => {
                Some(BackoffData::Exponential(growing(initial, Some(ratio))))
            }
            Growth::Fibonacci { initial } => Some(BackoffData::Fibonacci(growing(initial, None))),
            Growth::Steps(_) => None,
        }
    }
}

impl TryFrom<BudgetData> for Budget {
    type Error = InvalidPolicy;

    fn try_from(data: BudgetData) -> Result<Self, InvalidPolicy> {
        let budget = Self::permille(data.permille);
        let budget = match data.per_second {
            Some(tokens) => budget.per_second(tokens),
            None => budget,
        };
        match data.reserve {
            Some(tokens) => budget.try_reserve(tokens),
            None => Ok(budget),
        }
    }
}

impl TryFrom<PolicyData> for Policy {
    type Error = InvalidPolicy;

    fn try_from(data: PolicyData) -> Result<Self, InvalidPolicy> {
        let mut policy = Self::new(data.backoff);
        if let Some(attempts) = data.max_attempts {
            policy = policy.try_max_attempts(attempts)?;
        }
        if let Some(healthy) = data.reset_after {
            policy = policy.try_reset_after(healthy)?;
        }
        policy.attempt_timeout = data.attempt_timeout.unwrap_or(policy.attempt_timeout);
        policy.total_timeout = data.total_timeout.unwrap_or(policy.total_timeout);
        policy.max_retry_after = data.max_retry_after.unwrap_or(policy.max_retry_after);
        policy.budget = data.budget;
        policy.seed = data.seed;
        #[cfg(feature = "inspect")]
        policy.title.forget_place();
        Ok(policy)
    }
}

impl Serialize for Backoff {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let data = self.data().ok_or_else(|| ser::Error::custom("own steps cannot be read back"))?;
        data.serialize(serializer)
    }
}

/// Writes the settings, not the tokens of the moment.
impl Serialize for Budget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (permille, per_second, reserve) = self.settings();
        let data = BudgetData { permille, per_second: Some(per_second), reserve: Some(reserve) };
        data.serialize(serializer)
    }
}

/// Reads a budget with a bucket of its own.
impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let data = PolicyData {
            backoff: self.backoff,
            max_attempts: Some(self.max_attempts),
            attempt_timeout: Some(self.attempt_timeout),
            total_timeout: Some(self.total_timeout),
            max_retry_after: Some(self.max_retry_after),
            reset_after: Some(self.reset_after),
            budget: self.budget.clone(),
            seed: self.seed,
        };
        data.serialize(serializer)
    }
}

/// Durations as people write them.
mod humane {
    use super::{Deserialize, Deserializer, Duration, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        humantime::parse_duration(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Time limits, where "none" means no limit.
mod limit {
    use super::{Deserialize, Deserializer, Duration, Serializer, de, humane};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(Duration::MAX) => serializer.serialize_str("none"),
            Some(limit) => humane::serialize(limit, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "none" => Ok(Some(Duration::MAX)),
            text => humantime::parse_duration(text).map(Some).map_err(de::Error::custom),
        }
    }
}
