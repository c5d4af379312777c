//! The configuration of a pool.

use std::{borrow::Cow, error::Error, fmt, time::Duration};

#[cfg(feature = "inspect")]
use crate::inspect::Title;
use crate::{Manager, Order, Pool, PoolEvent, events::Observer, limits::Limits, state::Shared};

/// Configures and makes a [`Pool`]; [`Pool::builder`] returns it.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
/// # fn main() -> Result<(), evenkeel_pool::BuildError> {
/// # use evenkeel_pool::Pool;
/// use std::time::Duration;
///
/// let pool = Pool::builder(Counters).max(16).acquire_timeout(Duration::from_secs(5)).build()?;
/// assert_eq!(pool.snapshot().max, 16);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is built before `build`"]
pub struct Builder<M> {
    manager: M,
    max: usize,
    limits: Limits,
    observer: Option<Observer>,
    #[cfg(feature = "inspect")]
    name: Option<Cow<'static, str>>,
}

impl<M: Manager> Pool<M> {
    /// Returns the builder of a pool over this manager.
    pub fn builder(manager: M) -> Builder<M> {
        let limits = Limits {
            order: Order::Lifo,
            max_creating: usize::MAX,
            validate_after: Duration::ZERO,
            detects_deadlocks: false,
            min_idle: 0,
            idle_timeout: None,
            max_lifetime: None,
            hold_warning: None,
            acquire_timeout: Duration::from_secs(30),
            create_timeout: Duration::from_secs(10),
            check_timeout: Duration::from_secs(5),
        };
        Builder {
            manager,
            max: 10,
            limits,
            observer: None,
            #[cfg(feature = "inspect")]
            name: None,
        }
    }
}

impl<M: Manager> Builder<M> {
    /// Sets the maximum number of objects at a time, those that are being created included. The default is 10.
    #[doc(alias("max_size", "max_connections"))]
    pub fn max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    /// Sets the time that [`Pool::get`] may take, whatever it has to wait for. The default is 30 s.
    ///
    /// At zero it returns an object that is idle, or none.
    #[doc(alias("timeout", "connection_timeout"))]
    pub fn acquire_timeout(mut self, limit: Duration) -> Self {
        self.limits.acquire_timeout = limit;
        self
    }

    /// Sets the time that [`Manager::create`] may take. The default is 10 s.
    pub fn create_timeout(mut self, limit: Duration) -> Self {
        self.limits.create_timeout = limit;
        self
    }

    /// Sets the time that [`Manager::check`] may take before the object counts as dead. The default is 5 s.
    pub fn check_timeout(mut self, limit: Duration) -> Self {
        self.limits.check_timeout = limit;
        self
    }

    /// Sets the number of creations at a time, so that a pool that grows does not storm its server. The default is no limit
    /// but [`max`](Self::max). At zero it counts as one.
    pub fn max_creating(mut self, max: usize) -> Self {
        self.limits.max_creating = max.max(1);
        self
    }

    /// Leaves out the [check](Manager::check) of an object that has been idle for less than this time. The default is zero:
    /// each object is checked before it is lent again.
    ///
    /// An object that was not idle, because it went from its last user to a caller that waited, counts as used just now.
    /// [`is_broken`](Manager::is_broken) is asked at each return all the same. With this setting a checkout and a return
    /// read the clock.
    pub fn validate_after(mut self, idle: Duration) -> Self {
        self.limits.validate_after = idle;
        self
    }

    /// Sets which of the idle objects is lent next. The default is the one that was used last.
    pub fn order(mut self, order: Order) -> Self {
        self.limits.order = order;
        self
    }

    /// Keeps this many objects idle, as far as [`max`](Self::max) leaves room. The default is none.
    ///
    /// They are created in the background, while creations fail at the pace of the [backoff](Pool#backoff).
    #[doc(alias = "min_connections")]
    pub fn min_idle(mut self, objects: usize) -> Self {
        self.limits.min_idle = objects;
        self
    }

    /// Drops an object that has been idle for this time, down to [`min_idle`](Self::min_idle). By default none is; at zero
    /// each is that no caller waits for.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.limits.idle_timeout = Some(limit);
        self
    }

    /// Drops an object at this age, when it is idle or returned. By default, and at zero, none is.
    ///
    /// The lifetime of each object is shorter by a random part of a tenth, drawn once, so that objects made together do not
    /// end together. Where [`min_idle`](Self::min_idle) needs it, another one is created before: at the last tenth of the
    /// lifetime, or a [`create_timeout`](Self::create_timeout) before the end if that is later, unless there are `max` of
    /// them.
    pub fn max_lifetime(mut self, limit: Duration) -> Self {
        self.limits.max_lifetime = Some(limit).filter(|limit| !limit.is_zero());
        self
    }

    /// Tells the [`observer`](Self::observer) of each lease that lasts for this time. By default it does not.
    pub fn hold_warning(mut self, limit: Duration) -> Self {
        self.limits.hold_warning = Some(limit);
        self
    }

    /// Fails a caller at once, with [`GetError::Deadlock`](crate::GetError::Deadlock), if no object can come back: all are
    /// leased by tasks that wait for this pool, the caller among them. It is off by default.
    ///
    /// It is for programs in which a lease stays in the task that took it, and a task waits for one object at a time. A lease
    /// counts for the task that took it: if that sends it to another task, or returns it in one branch of a `join!` while
    /// another branch waits, there is no deadlock where this sees one. What a thread blocks on counts as a task. Each caller is
    /// judged when it begins to wait: where a [`resize`](Pool::resize) to fewer objects takes the room that it waits for, it
    /// waits until its time is up.
    pub fn detect_deadlocks(mut self, detect: bool) -> Self {
        self.limits.detects_deadlocks = detect;
        self
    }

    /// Sets a function that hears of the [events](PoolEvent) of the pool. There is none by default.
    ///
    /// It is called where the event happens, without a lock, and must not block. It may use the pool. If it panics, nothing
    /// else changes.
    pub fn observer(mut self, observe: impl Fn(&PoolEvent<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Observer::new(observe));
        self
    }

    /// Names the pool for the dumps of evenkeel-inspect. Without the feature `inspect` the name is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
    /// # fn main() -> Result<(), evenkeel_pool::BuildError> {
    /// # use evenkeel_pool::Pool;
    /// let pool = Pool::builder(Counters).max(16).named("orders-db").build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn named(self, name: impl Into<Cow<'static, str>>) -> Self {
        #[cfg(feature = "inspect")]
        {
            Self { name: Some(name.into()), ..self }
        }
        #[cfg(not(feature = "inspect"))]
        {
            drop(name);
            self
        }
    }

    /// Makes the pool. It is empty at first: objects are created when they are needed.
    ///
    /// The upkeep of [`min_idle`](Self::min_idle), [`idle_timeout`](Self::idle_timeout), [`max_lifetime`](Self::max_lifetime)
    /// and [`hold_warning`](Self::hold_warning) is a task of the pool. It starts here, or outside of a tokio runtime with
    /// the first caller that waits or creates.
    ///
    /// # Errors
    ///
    /// [`BuildError::ZeroMax`] if the maximum number of objects is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
    /// # fn main() {
    /// # use evenkeel_pool::Pool;
    /// use evenkeel_pool::BuildError;
    ///
    /// assert_eq!(Pool::builder(Counters).max(0).build().unwrap_err(), BuildError::ZeroMax);
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn build(self) -> Result<Pool<M>, BuildError> {
        if self.max == 0 {
            return Err(BuildError::ZeroMax);
        }
        let pool = Pool::of(Shared::new(
            self.manager,
            self.max,
            self.limits,
            self.observer,
            #[cfg(feature = "inspect")]
            Title::here(self.name),
        ));
        pool.shared().start_upkeep();
        Ok(pool)
    }
}

/// Why a pool could not be built.
///
/// # Examples
///
/// ```
/// use evenkeel_pool::BuildError;
///
/// assert_eq!(BuildError::ZeroMax.to_string(), "a pool needs room for at least one object, `max` is 0");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// [`max`](Builder::max) is zero.
    ZeroMax,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroMax => f.write_str("a pool needs room for at least one object, `max` is 0"),
        }
    }
}

impl Error for BuildError {}
