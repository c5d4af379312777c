//! Pools for a suite in another process: gets, leases, and the steps of a backend that is there (`pool/steps.rs`).

mod steps;

use std::{
    cell::RefCell,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    task::{Context, Waker},
};

use serde_json::{Value, json};

use self::steps::Steps;
use super::{
    super::wire::{Members, Object as Message, from_time},
    Scene,
    work::{CallerTask, Work},
};
use crate::{
    BoxFuture,
    pool::{Backend, Destructor, Get, GetError, Lease, Object, Order, Pool, Settings},
    probe_task::catch_panic,
};

/// The pools of a rule, and what they have lent.
#[derive(Default)]
pub(super) struct Pools {
    leases: Leases,
    detached: Vec<Object>,
    pools: HashMap<u64, Arc<dyn Pool>>,
    backends: HashMap<u64, Arc<Steps>>,
    /// The tasks of callers, where a pool looks for deadlocks.
    runners: Option<HashMap<u64, Rc<CallerTask>>>,
}

/// The leases that are out, each by the id of its get.
#[derive(Clone, Default)]
struct Leases(Rc<RefCell<HashMap<u64, Box<dyn Lease>>>>);

impl Leases {
    fn hold(&self, id: u64, lease: Box<dyn Lease>) {
        self.0.borrow_mut().insert(id, lease);
    }

    fn take(&self, id: u64) -> Option<Box<dyn Lease>> {
        self.0.borrow_mut().remove(&id)
    }
}

impl Pools {
    /// The task that stands for the one of the suite which awaits this, where that matters.
    pub(super) fn runner_of(&mut self, message: &Message) -> Result<Option<Rc<CallerTask>>, String> {
        let Some(runners) = &mut self.runners else { return Ok(None) };
        let task = message.optional_number("task")?;
        Ok(task.map(|task| runners.entry(task).or_insert_with(|| Rc::new(CallerTask::new())).clone()))
    }

    /// Returns the object of a get; a panic of its destructor is that of its user.
    pub(super) fn give_back(&self, id: u64) {
        let lease = self.leases.take(id);
        drop(catch_unwind(AssertUnwindSafe(|| drop(lease))));
    }
}

impl Scene<'_> {
    pub(super) fn pool(&mut self, message: &Message) -> Result<(), String> {
        let (id, adapter) = (message.number("id")?, self.server.pool.ok_or("nothing of pool")?);
        let settings = message.get("settings").ok_or("no settings")?;
        let backend = settings.number("backend")?;
        let steps = Arc::new(Steps::new(backend, self.events.clone()));
        self.pools.backends.insert(backend, steps.clone());
        let settings = settings_of(settings, Backend::remote(steps))?;
        if settings.detects_deadlocks {
            self.pools.runners.get_or_insert_default();
        }
        if let Some(pool) = self.configured(id, || adapter.configure(&settings)) {
            self.pools.pools.insert(id, pool.into());
        }
        Ok(())
    }

    fn pool_of(&self, message: &Message) -> Result<Arc<dyn Pool>, String> {
        let id = message.number("pool")?;
        self.pools.pools.get(&id).cloned().ok_or_else(|| format!("there is no {id}"))
    }

    fn backend_of(&self, message: &Message) -> Result<Arc<Steps>, String> {
        let id = message.number("backend")?;
        self.pools.backends.get(&id).cloned().ok_or_else(|| format!("there is no {id}"))
    }

    /// Work that waits until it is started.
    fn wait(&mut self, id: u64, work: impl Future<Output = Value> + 'static) {
        let events = self.events.clone();
        self.work.insert(id, Work::new(async move { events.note(work.await) }));
    }

    /// A message about pools, or none.
    pub(super) fn play_pool(&mut self, name: &str, message: &Message) -> Option<Result<(), String>> {
        Some(match name {
            "pool" => self.pool(message),
            "get" => self.get(message),
            "take" => self.take(message),
            "return" | "discard" | "detach" => self.end_lease(name, message),
            "warm" | "close_pool" => self.warm_or_close(name, message),
            "resize" | "retire" | "snapshot" | "holders" | "drop_pool" => self.ask_pool(name, message),
            "ended" => self.backend_of(message).and_then(|steps| steps.ended(message)),
            "break" => self.break_object(message),
            "destructor" => self.destructor(message),
            _ => return None,
        })
    }

    fn break_object(&self, message: &Message) -> Result<(), String> {
        self.backend_of(message)?.breaks(message.small("object")?);
        Ok(())
    }

    fn get(&mut self, message: &Message) -> Result<(), String> {
        let (id, pool) = (message.number("id")?, self.pool_of(message)?);
        let turn: Get = match message.optional_time("deadline")? {
            Some(at) => pool.get_by(self.instant(at)),
            None => pool.get(),
        };
        drop(pool);
        let (leases, events) = (self.pools.leases.clone(), self.events.clone());
        let work = Work::new(async move {
            let answer = catch_panic(turn).await.unwrap_or_else(|message| Err(GetError::Panic(message)));
            events.note(answer_of(id, answer, &leases));
        });
        self.work.insert(id, work.polled_at_once());
        Ok(())
    }

    fn take(&mut self, message: &Message) -> Result<(), String> {
        let (id, pool) = (message.number("id")?, self.pool_of(message)?);
        self.events.note(match pool.try_get() {
            Some(lease) => answer_of(id, Ok(lease), &self.pools.leases),
            None => json!({"event": "none", "id": id}),
        });
        Ok(())
    }

    fn end_lease(&mut self, how: &str, message: &Message) -> Result<(), String> {
        let id = message.number("id")?;
        match how {
            "return" if message.flag("panics") => {
                let lease = self.pools.leases.take(id);
                let user = catch_unwind(AssertUnwindSafe(|| {
                    let _lease = lease;
                    panic!("the user panics")
                }));
                drop(user);
            }
            "return" => self.pools.give_back(id),
            "discard" => {
                let lease = self.pools.leases.take(id).ok_or_else(|| format!("there is no {id}"))?;
                // A panic of its destructor is that of its user.
                drop(catch_unwind(AssertUnwindSafe(|| lease.discard())));
            }
            _ => {
                let lease = self.pools.leases.take(id).ok_or_else(|| format!("there is no {id}"))?;
                self.pools.detached.push(lease.detach());
            }
        }
        Ok(())
    }

    fn warm_or_close(&mut self, name: &str, message: &Message) -> Result<(), String> {
        let (id, pool) = (message.number("id")?, self.pool_of(message)?);
        if name == "warm" {
            let warm: BoxFuture<'static, ()> = pool.warm(count(message, "objects")?);
            self.wait(id, async move {
                warm.await;
                json!({"event": "done", "id": id})
            });
        } else {
            let close = pool.close(message.optional_time("within")?);
            self.wait(id, async move { json!({"event": "closed", "id": id, "leases": close.await}) });
        }
        Ok(())
    }

    fn ask_pool(&mut self, name: &str, message: &Message) -> Result<(), String> {
        let pool = self.pool_of(message)?;
        match name {
            "resize" => pool.resize(count(message, "max")?),
            "retire" => pool.retire_all(),
            "holders" => {
                let held: Vec<Value> = pool.holders().into_iter().map(from_time).collect();
                self.events.note(json!({"event": "holders", "id": message.number("id")?, "held": held}));
            }
            "snapshot" => {
                let id = message.number("id")?;
                self.wait(id, async move {
                    let numbers = pool.snapshot().await;
                    json!({
                        "event": "snapshot", "id": id, "size": numbers.size, "idle": numbers.idle,
                        "waiting": numbers.waiting,
                    })
                });
                self.work(id)?.start();
            }
            _ => {
                self.pools.pools.remove(&message.number("pool")?);
            }
        }
        Ok(())
    }

    fn destructor(&mut self, message: &Message) -> Result<(), String> {
        let (steps, number) = (self.backend_of(message)?, message.small("object")?);
        let pool = Arc::downgrade(&self.pool_of(message)?);
        steps.destroys(
            number,
            match message.text("does")? {
                "panics" => Destructor::Panics,
                "asks" => Destructor::Asks(Arc::new(move || {
                    if let Some(pool) = pool.upgrade() {
                        let mut get = pool.get();
                        drop(get.as_mut().poll(&mut Context::from_waker(Waker::noop())));
                    }
                })),
                other => return Err(format!("no destructor {other:?}")),
            },
        );
        Ok(())
    }
}

/// The event of a get.
fn answer_of(id: u64, answer: Result<Box<dyn Lease>, GetError>, leases: &Leases) -> Value {
    let error = match answer {
        Ok(lease) => {
            let number = lease.object().number();
            leases.hold(id, lease);
            return json!({"event": "got", "id": id, "object": number});
        }
        Err(error) => error,
    };
    let reason = match error {
        GetError::Timeout(_) => "timeout",
        GetError::CreateTimeout => "create timeout",
        GetError::Create(_) => "create",
        GetError::Panic(_) => "panic",
        GetError::Closed => "closed",
        GetError::Deadlock => "deadlock",
    };
    json!({"event": "denied", "id": id, "reason": reason, "says": error.cause()})
}

fn count(message: &impl Members, name: &str) -> Result<usize, String> {
    Ok(usize::try_from(message.number(name)?).unwrap_or(usize::MAX))
}

fn settings_of(settings: &Value, backend: Backend) -> Result<Settings, String> {
    let order = match settings.get("order").and_then(Value::as_str) {
        Some("lifo") => Some(Order::Lifo),
        Some("fifo") => Some(Order::Fifo),
        _ => None,
    };
    Ok(Settings {
        backend,
        max: count(settings, "max")?,
        acquire_timeout: settings.optional_time("acquire_timeout")?,
        create_timeout: settings.optional_time("create_timeout")?,
        check_timeout: settings.optional_time("check_timeout")?,
        checks: settings.flag("checks"),
        validate_after: settings.optional_time("validate_after")?,
        resets: settings.flag("resets"),
        order,
        min_idle: count(settings, "min_idle")?,
        idle_timeout: settings.optional_time("idle_timeout")?,
        max_lifetime: settings.optional_time("max_lifetime")?,
        max_creating: settings
            .optional_number("max_creating")?
            .map(|max| usize::try_from(max).unwrap_or(usize::MAX)),
        detects_deadlocks: settings.flag("detects_deadlocks"),
    })
}
