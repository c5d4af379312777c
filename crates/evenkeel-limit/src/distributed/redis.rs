//! Redis as a store.

use std::{sync::LazyLock, time::Duration};

use redis::{RedisError, Script, aio::ConnectionManager};

use super::store::{Store, Take, Taken};

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));

/// One script, called by its hash and loaded where it is not known; the clock is the server's.
///
/// A bucket is a string under its key, which expires when the bucket is full. A key that holds something else is an
/// error, and stays as it is. Redis 5 or later, or Valkey.
///
/// The manager connects anew when a connection is closed, and not when calls time out: of a machine that is gone without a
/// word only TCP learns, after a quarter of an hour. On Linux that is as long as `TcpSettings::set_user_timeout` says, in
/// the `ConnectionInfo` that the client is opened with.
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
