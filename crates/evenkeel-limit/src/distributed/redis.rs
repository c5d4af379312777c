//! Redis as a store.

use std::{sync::LazyLock, time::Duration};

use redis::{RedisError, Script, aio::ConnectionManager};

use super::store::{Store, Take, Taken};

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));

/// One script, called by its hash and loaded where it is not known; the clock is the server's.
///
/// A bucket is a string under its key, which expires when the bucket is full. Redis 5 or later, or Valkey.
impl Store for ConnectionManager {
    type Error = RedisError;

    async fn take(&self, take: Take<'_>) -> Result<Taken, RedisError> {
        let mut call = TAKE.key(take.key);
        call.arg(take.speed).arg(take.cost).arg(take.depth);
        call.arg(take.returned).arg(take.least).arg(take.most);
        let (granted, micros): (u32, u64) = call.invoke_async(&mut self.clone()).await?;
        Ok(Taken { granted, full_in: Duration::from_micros(micros) })
    }
}
