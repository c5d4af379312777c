//! The objects of this process that can be inspected.
//!
//! # How it works
//!
//! The registry has weak references, in [`SHARDS`] lists with a lock each, so that objects that come and go on several
//! threads seldom wait for each other. [`Registration`] is a field of the object, and takes it out when it is dropped.
//!
//! - **Nothing of others runs under the lock**: a look copies the weak references of one shard, a chunk at a time, and upgrades and asks the
//!   objects behind it. An object that ends meanwhile is dropped by the look then, without the lock.
//! - **A look does not panic**: a description or a destructor that does is caught, and told in the dump.

use std::{
    cell::{Cell, OnceCell},
    collections::HashMap,
    fmt,
    sync::{
        Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use evenkeel_base::{FirstPanic, Slab, lock};
use tokio::{
    runtime::{self, Handle},
    time::Instant,
};

use crate::{InspectedGroup, InspectedResource, InspectedTask, TaskId, chunks::copy_chunks};

const SHARDS: usize = 8;

static REGISTRY: [Mutex<Slab<Object>>; SHARDS] = [const { Mutex::new(Slab::new()) }; SHARDS];

#[derive(Clone)]
pub(crate) struct Object {
    id: usize,
    /// The runtime in which it was made.
    pub(crate) runtime: Option<runtime::Id>,
    /// Whether it has outlived that, as a limiter that is a `static`.
    pub(crate) is_left: bool,
    object: Weak<dyn Inspect>,
}

/// An object that others wait for, and that can tell who waits and who holds.
///
/// The pools, limiters and groups of Evenkeel are such objects with the feature `inspect`. Implement it for a type of your
/// own to see it in the same dump, and in its findings.
///
/// # Examples
///
/// ```
/// use evenkeel_inspect::{Inspect, Inspected, InspectedResource, Registration, dump, register};
/// use std::sync::Arc;
/// use tokio::time::Instant;
///
/// struct Ferry {
///     registration: Registration,
/// }
///
/// impl Inspect for Ferry {
///     fn inspect(&self, _now: Instant) -> Option<Inspected> {
///         let mut resource = InspectedResource::new("ferry", 1);
///         resource.name = Some("east".into());
///         Some(Inspected::Resource(resource))
///     }
/// }
///
/// let east = Arc::new_cyclic(|east| Ferry { registration: register(east.clone()) });
/// assert_eq!(dump().resources[0].name.as_deref(), Some("east"));
/// drop(east);
/// assert!(dump().resources.is_empty());
/// ```
pub trait Inspect: Send + Sync + 'static {
    /// Describes the object as it is now; `None` if there is nothing to say of it, as of one that has ended.
    ///
    /// It must not wait but for short locks of its own, and not call [`dump`](crate::dump).
    fn inspect(&self, now: Instant) -> Option<Inspected>;

    /// Describes the object without the tasks of a group, of which there may be many: for a timeline, which asks often.
    #[doc(hidden)]
    fn inspect_waits(&self, now: Instant) -> Option<Inspected> {
        self.inspect(now)
    }
}

/// The description of an object.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Inspected {
    /// Something that is held and waited for.
    Resource(InspectedResource),
    /// Tasks, with the waits among them.
    Group(InspectedGroup),
}

/// Keeps an object in the registry; dropping it takes the object out.
///
/// See [`register`].
#[must_use = "dropping it takes the object out of the registry"]
pub struct Registration {
    shard: u8,
    key: usize,
    id: usize,
}

impl Registration {
    /// Returns the number of the object, which no other one gets.
    #[must_use]
    pub fn id(&self) -> usize {
        self.id
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let removed = lock(&REGISTRY[usize::from(self.shard)]).remove(self.key);
        drop(removed);
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registration").field(&self.id).finish()
    }
}

/// Adds an object to the registry, by a weak reference: it is in each [`dump`](crate::dump) until it ends.
///
/// Make the object by [`Arc::new_cyclic`](std::sync::Arc::new_cyclic), with the registration as a field of it. See [`Inspect`].
pub fn register<T: Inspect>(object: Weak<T>) -> Registration {
    static IDS: AtomicUsize = AtomicUsize::new(1);
    #[cfg(feature = "findings-file")]
    crate::findings_file::start();
    let (shard, id) = (current_shard(), IDS.fetch_add(1, Ordering::Relaxed));
    let runtime = Handle::try_current().ok().map(|runtime| runtime.id());
    let key = lock(&REGISTRY[shard]).insert(Object { id, runtime, is_left: false, object });
    Registration { shard: shard as u8, key, id }
}

fn current_shard() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: Cell<Option<usize>> = const { Cell::new(None) };
    }
    SHARD.with(|shard| {
        shard.get().unwrap_or_else(|| {
            let next = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
            shard.set(Some(next));
            next
        })
    })
}

/// The descriptions of all objects, each with its number.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) resources: Vec<InspectedResource>,
    pub(crate) groups: Vec<InspectedGroup>,
    /// The number of objects whose description or destructor panicked.
    pub(crate) panics: usize,
}

/// The tasks of groups by their numbers. There may be many, and most dumps have nothing to tell of them; so the map is made
/// when the first one is looked for.
pub(crate) struct Tasks<'a> {
    groups: &'a [InspectedGroup],
    by_id: OnceCell<HashMap<TaskId, &'a InspectedTask>>,
}

impl<'a> Tasks<'a> {
    pub(crate) fn of(groups: &'a [InspectedGroup]) -> Self {
        Self { groups, by_id: OnceCell::new() }
    }

    pub(crate) fn get(&self, id: TaskId) -> Option<&'a InspectedTask> {
        let by_id = self.by_id.get_or_init(|| {
            let mut by_id = HashMap::with_capacity(self.groups.iter().map(|group| group.tasks.len()).sum());
            let tasks = self.groups.iter().flat_map(|group| &group.tasks);
            by_id.extend(tasks.filter_map(|task| Some((task.id?, task))));
            by_id
        });
        by_id.get(&id).copied()
    }
}

impl Object {
    /// Returns whether it was made in this runtime, or in none; or in one that has ended, as it may be used in any then.
    pub(crate) fn is_of(&self, runtime: runtime::Id) -> bool {
        self.is_left || self.runtime.is_none_or(|made_in| made_in == runtime)
    }
}

/// Asks each such object for its description. One that has outlived its runtime is told while tasks wait for it.
pub(crate) fn look(is_wanted: &dyn Fn(&Object) -> bool, now: Instant) -> Look {
    let is_awaited =
        |seen: &Inspected| matches!(seen, Inspected::Resource(resource) if !resource.waiters.is_empty());
    look_at(is_wanted, |object, is_left| object.inspect(now).filter(|seen| !is_left || is_awaited(seen)))
}

/// The objects of a runtime, and those that any runtime may use, for a timeline.
#[doc(hidden)]
#[derive(Debug)]
#[non_exhaustive]
pub struct Waits {
    /// The resources that were made in the runtime.
    pub resources: Vec<InspectedResource>,
    /// The groups that were made in it, without their tasks.
    pub groups: Vec<InspectedGroup>,
    /// The resources that were made in no runtime, or in one that has [ended](end_runtime).
    pub shared: Vec<InspectedResource>,
}

/// Describes the objects of a runtime, and those that any runtime may use.
#[doc(hidden)]
#[must_use]
pub fn waits_of(runtime: runtime::Id, now: Instant) -> Waits {
    let own = look_at(|object| object.runtime == Some(runtime), |object, _| object.inspect_waits(now));
    let is_shared = |object: &Object| object.is_left || object.runtime.is_none();
    let shared = look_at(is_shared, |object, _| object.inspect_waits(now));
    Waits { resources: own.resources, groups: own.groups, shared: shared.resources }
}

/// Notes that a runtime has ended: the objects that were made in it, and are still there, may be used in others.
#[doc(hidden)]
pub fn end_runtime(runtime: runtime::Id) {
    for shard in &REGISTRY {
        let mut shard = lock(shard);
        shard
            .iter_mut()
            .filter(|object| object.runtime == Some(runtime))
            .for_each(|object| object.is_left = true);
    }
}

fn look_at(
    is_wanted: impl Fn(&Object) -> bool,
    describe: impl Fn(&dyn Inspect, bool) -> Option<Inspected>,
) -> Look {
    let mut look = Look::default();
    for shard in &REGISTRY {
        let mut objects = Vec::<Object>::new();
        let expected = lock(shard).len();
        copy_chunks(&mut objects, expected, |entries, objects| {
            let listed = lock(shard);
            objects.extend(listed.values_in(entries).filter(|object| is_wanted(object)).cloned());
            listed.entry_count()
        });
        for Object { id, is_left, object, .. } in objects {
            let (mut panics, mut is_done, mut described) = (FirstPanic::default(), false, None);
            panics.catch(|| {
                described = object.upgrade().and_then(|object| describe(&*object, is_left));
                is_done = true;
            });
            look.panics += usize::from(!is_done);
            match described {
                Some(Inspected::Resource(resource)) => {
                    look.resources.push(InspectedResource { id, ..resource });
                }
                Some(Inspected::Group(group)) => look.groups.push(InspectedGroup { id, ..group }),
                None => {}
            }
        }
    }
    look.resources.sort_by_key(|resource| resource.id);
    look.groups.sort_by_key(|group| group.id);
    look
}
