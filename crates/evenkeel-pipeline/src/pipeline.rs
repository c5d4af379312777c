//! The builder of a pipeline.

use std::{
    error::Error,
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
    time::Duration,
};

use evenkeel_stream::Batch;
use evenkeel_task::BoxError;

use crate::{
    DeadLetter, Message, Sink, SinkError, Source,
    chain::{Chain, Finished, Identified, Staged, Start},
    dead_letters::{DeadLetterTask, write_dead_letters},
    edges::CallPlace,
    intake::AnySource,
    race::default_backoff,
    segment::{Items, KeyHash, Never, batches, split},
    settings::{Backoff, Copying, PathSettings},
    stage::Stage,
};

/// Builds a pipeline: a source, stages, and the place where the items go.
///
/// - **Every delivery is accounted for**: acked when all that was made of it is done, delivered again after a delay when a
///   stage fails, written to the dead letter sink when it has failed too often, handed back when the pipeline stops.
/// - **Bounded from end to end**: at most a [window](Pipeline::window) of items is in hand, and a pull asks for exactly what
///   is free of it.
/// - **A stage has a [limit](Pipeline::limit)**, which can change while it runs. An item goes from one stage to the next
///   within its task.
/// - **Retries and rates are closures**: wrap the call in a policy, wait for a limiter. An item that retries within its stage
///   keeps its place in the order of its key.
/// - **A panic is the failure of its item.**
///
/// Stage functions return `Result`; they are cloned for each item. [`limit`](Pipeline::limit) and
/// [`timeout`](Pipeline::timeout) are those of the stage before them.
///
/// # Examples
///
/// ```
/// use evenkeel_pipeline::{MemoryBroker, Pipeline};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = MemoryBroker::new();
/// for n in 0..10 {
///     broker.publish(n).await?;
/// }
/// broker.close();
/// let running = Pipeline::from(broker.source())
///     .stage("double", async |n: u32| Ok::<_, std::io::Error>(n * 2))
///     .limit(4)
///     .stage("print", async |n| Ok::<_, std::io::Error>(println!("{n}")))
///     .start()?;
/// let report = running.await?;
/// assert_eq!((report.accepted, report.acked), (10, 10));
/// # Ok(()) }
/// ```
#[must_use = "a pipeline does nothing until it is started"]
pub struct Pipeline<S: Source, P> {
    pub(crate) source: S,
    pub(crate) plan: Plan<S::Item>,
    pub(crate) path: P,
}

/// The settings of a pipeline that is not started.
pub(crate) struct Plan<T> {
    /// The sources beside the first one.
    pub(crate) merged: Vec<(CallPlace, Box<dyn AnySource<T>>)>,
    /// The place of the first source.
    pub(crate) call: CallPlace,
    pub(crate) stages: Vec<PlannedStage>,
    pub(crate) window: Option<usize>,
    pub(crate) budget: Option<usize>,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) backoff: Backoff,
    pub(crate) seed: Option<u64>,
    pub(crate) dead_letters: Option<DeadLetterTask<T>>,
    pub(crate) copy: Option<Copying<T>>,
    pub(crate) has_stray_setting: bool,
}

pub(crate) struct PlannedStage {
    pub(crate) stage: Arc<Stage>,
    pub(crate) limit: Option<usize>,
    pub(crate) timeout: Option<Duration>,
    /// The items of a full batch.
    pub(crate) batch: Option<usize>,
    /// Whether a batch ends by the time as well.
    pub(crate) ends_in_time: bool,
}

/// The path of the items of a pipeline that takes more stages.
pub struct Stages<T, C: Chain> {
    upstream: Upstream<T, C::In>,
    keys: Option<KeyHash<C::In>>,
    chain: C,
}

/// The path of the items of a pipeline that end in a sink or a batch.
pub struct Sunk<T> {
    upstream: Upstream<T, Never>,
}

/// The kinds of stages, in words.
const STAGE: &str = "stage";
const SINK: &str = "sink";

/// A pipeline that takes more stages.
type Staging<S, C> = Pipeline<S, Stages<<S as Source>::Item, C>>;

type Upstream<T, U> = Box<dyn FnOnce(Items<T>, &Arc<PathSettings>) -> Items<U> + Send>;

/// A whole path, from the source to the end of the last item.
pub trait Path<T> {
    /// Connects it to the source.
    fn connect(self, items: Items<T>, settings: &Arc<PathSettings>) -> Items<Never>;
}

impl<T: 'static, C: Chain> Path<T> for Stages<T, C> {
    fn connect(self, items: Items<T>, settings: &Arc<PathSettings>) -> Items<Never> {
        Finished(self.chain).connect((self.upstream)(items, settings), self.keys, settings)
    }
}

impl<T> Path<T> for Sunk<T> {
    fn connect(self, items: Items<T>, settings: &Arc<PathSettings>) -> Items<Never> {
        (self.upstream)(items, settings)
    }
}

impl<T: Send + 'static, C: Chain> Stages<T, C> {
    /// Ends the segment.
    fn end(self) -> Upstream<T, C::Out> {
        let Self { upstream, keys, chain } = self;
        Box::new(move |items, settings| chain.connect(upstream(items, settings), keys, settings))
    }

    fn begin(upstream: Upstream<T, C::In>, chain: C) -> Self {
        Self { upstream, keys: None, chain }
    }
}

impl<S: Source> Pipeline<S, Stages<S::Item, Start<S::Item>>> {
    /// Begins a pipeline with its source.
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn from(source: S) -> Self {
        let plan = Plan {
            merged: Vec::new(),
            call: CallPlace::here(),
            stages: Vec::new(),
            window: None,
            budget: None,
            max_attempts: None,
            backoff: Box::new(default_backoff),
            seed: None,
            dead_letters: None,
            copy: None,
            has_stray_setting: false,
        };
        let path = Stages::begin(Box::new(|items, _| items), Start::new());
        Self { source, plan, path }
    }

    /// Adds a source, whose items go through the same stages. It stands before the first stage, and may stand there again.
    ///
    /// Each source has its own settlements, leases and low-water mark, and an equal share of the [window](Pipeline::window)
    /// and of the [budget](Pipeline::budget), so that none keeps another one waiting. Items go in the order in which they
    /// are pulled. By default the window has room for all limits in each share: one source alone keeps the stages busy
    /// while the others are idle.
    ///
    /// The pipeline ends when all sources have. When one of them fails for good, the others are pulled no more, the items in
    /// hand are finished, and the [error](crate::PipelineError) says which source it was, as `source 2: …` by their order.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_pipeline::{MemoryBroker, Pipeline};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (fresh, again) = (MemoryBroker::new(), MemoryBroker::new());
    /// fresh.publish("a").await?;
    /// again.publish("b").await?;
    /// fresh.close();
    /// again.close();
    /// let pipeline = Pipeline::from(fresh.source())
    ///     .merge(again.source())
    ///     .stage("print", async |text: &str| Ok::<_, std::io::Error>(println!("{text}")));
    /// assert_eq!(pipeline.start()?.await?.acked, 2);
    /// # Ok(()) }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn merge(mut self, source: impl Source<Item = S::Item>) -> Self {
        self.plan.merged.push((CallPlace::here(), Box::new(source)));
        self
    }
}

impl<S: Source, C: Chain> Pipeline<S, Stages<S::Item, C>> {
    fn then<P>(self, path: impl FnOnce(Stages<S::Item, C>) -> P) -> Pipeline<S, P> {
        Pipeline { source: self.source, plan: self.plan, path: path(self.path) }
    }

    #[cfg_attr(feature = "inspect", track_caller)]
    fn staged<F, G>(mut self, name: &str, f: F, goes_on: G) -> Staging<S, Staged<C, F, G>>
    where
        Staged<C, F, G>: Chain<In = C::In>,
    {
        let stage = self.plan.add(name, None, STAGE);
        self.then(|Stages { upstream, keys, chain: before }| Stages {
            upstream,
            keys,
            chain: Staged { before, stage, f, goes_on },
        })
    }

    /// Adds a stage: an async function over each item.
    ///
    /// An item that fails is delivered again after a [delay](Pipeline::backoff).
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn stage<U, E, F, Fut>(self, name: &str, f: F) -> Staging<S, impl Chain<In = C::In, Out = U>>
    where
        F: FnOnce(C::Out) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<U, E>> + Send + 'static,
        U: Send + 'static,
        E: Into<BoxError> + 'static,
    {
        self.staged(name, f, Some)
    }

    /// Adds a stage that may end an item: with `None` it is done, and acked.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_pipeline::{MemoryBroker, Pipeline};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = MemoryBroker::new();
    /// broker.publish("7").await?;
    /// broker.publish("").await?;
    /// broker.close();
    /// let pipeline = Pipeline::from(broker.source())
    ///     .filter_map("parse", async |text: &str| match text {
    ///         "" => Ok(None),
    ///         text => text.parse::<u32>().map(Some),
    ///     })
    ///     .stage("check", async |n| if n == 7 { Ok(()) } else { Err("not seven") });
    /// assert_eq!(pipeline.start()?.await?.acked, 2);
    /// # Ok(()) }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn filter_map<U, E, F, Fut>(self, name: &str, f: F) -> Staging<S, impl Chain<In = C::In, Out = U>>
    where
        F: FnOnce(C::Out) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<U>, E>> + Send + 'static,
        U: Send + 'static,
        E: Into<BoxError> + 'static,
    {
        self.staged(name, f, |item| item)
    }

    /// Adds a stage that splits an item into parts; it is acked when all parts are done, and fails as a whole when one fails.
    ///
    /// The parts of an item are in memory until they have begun; the window counts the item. A stage behind the split works on
    /// as many parts at a time as its limit, which may be above the window; without one on as many as the window.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_pipeline::{MemoryBroker, Pipeline};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = MemoryBroker::new();
    /// broker.publish("one two three").await?;
    /// broker.close();
    /// let pipeline = Pipeline::from(broker.source())
    ///     .flat_map("split", async |text: &str| Ok::<_, std::io::Error>(text.split(' ')))
    ///     .stage("print", async |word| Ok::<_, std::io::Error>(println!("{word}")));
    /// let running = pipeline.start()?;
    /// assert_eq!(running.await?.acked, 1);
    /// # Ok(()) }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn flat_map<U, I, E, F, Fut>(mut self, name: &str, f: F) -> Staging<S, impl Chain<In = U, Out = U>>
    where
        F: FnOnce(C::Out) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<I, E>> + Send + 'static,
        I: IntoIterator<Item = U> + Send + 'static,
        U: Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let stage = self.plan.add(name, None, STAGE);
        self.then(|stages| {
            let before = stages.end();
            let upstream: Upstream<S::Item, U> = Box::new(move |items, settings| {
                split(before(items, settings), stage, Arc::clone(settings), f)
            });
            Stages::begin(upstream, Start::new())
        })
    }

    /// Runs items with the same key one after the other, in the order in which they come to this place, through the stages
    /// from here to the next batch, split, or order by key; items with other keys go on meanwhile.
    ///
    /// Directly behind the source that is the order of delivery. An item that fails and is delivered again comes behind those
    /// of its key that were in hand: retry within the stage where that must not be.
    ///
    /// A panic of `key` is a failure of its item.
    pub fn keyed<K, F>(self, mut key: F) -> Staging<S, impl Chain<In = C::Out, Out = C::Out>>
    where
        K: Hash,
        F: FnMut(&C::Out) -> K + Send + 'static,
    {
        let hasher = RandomState::new();
        self.then(|stages| Stages {
            upstream: stages.end(),
            keys: Some(Box::new(move |item| hasher.hash_one(key(item)))),
            chain: Start::new(),
        })
    }

    /// Passes items on with their identity and the number of the attempt, for effects that must happen once.
    pub fn messages(self) -> Staging<S, impl Chain<In = C::In, Out = Message<C::Out>>> {
        self.then(|Stages { upstream, keys, chain }| Stages { upstream, keys, chain: Identified(chain) })
    }

    /// Ends the pipeline with a function over batches, whose items are done then.
    ///
    /// A [`SinkError`] can name the items that failed; any other error fails all of them. A [`limit`](Pipeline::limit) is one
    /// of batches.
    ///
    /// Give the batch a [`within`](Batch::within). Without it, the last items wait until the batch is full or the pipeline is
    /// drained: a queue never ends, and a closed [`MemoryBroker`](crate::MemoryBroker) ends once its items are settled.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_pipeline::{Batch, MemoryBroker, Pipeline, SinkError};
    /// use std::time::Duration;
    ///
    /// async fn store(batch: Vec<u32>) -> Result<(), SinkError> {
    ///     println!("{} rows", batch.len());
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = MemoryBroker::new();
    /// for n in 0..1200 {
    ///     broker.publish(n).await?;
    /// }
    /// broker.close();
    /// let pipeline = Pipeline::from(broker.source())
    ///     .batch("store", Batch::items(500).within(Duration::from_millis(200)), store)
    ///     .limit(2);
    /// assert_eq!(pipeline.start()?.await?.acked, 1200);
    /// # Ok(()) }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn batch<E, F, Fut>(mut self, name: &str, batch: Batch<C::Out>, f: F) -> Pipeline<S, Sunk<S::Item>>
    where
        F: FnOnce(Vec<C::Out>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<SinkError> + 'static,
    {
        let stage = self.plan.add(name, Some((batch.max_items(), batch.max_wait())), STAGE);
        self.then(|stages| {
            let before = stages.end();
            let f = async move |items| f(items).await.map_err(Into::into);
            let upstream: Upstream<S::Item, Never> = Box::new(move |items, settings| {
                batches(before(items, settings), batch, stage, Arc::clone(settings), |_, item| item, f)
            });
            Sunk { upstream }
        })
    }

    /// Ends the pipeline with a sink, which gets messages in batches; they should have a [`within`](Batch::within), as those
    /// of [`batch`](Pipeline::batch).
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn sink<K: Sink<C::Out>>(
        mut self,
        name: &str,
        batch: Batch<C::Out>,
        sink: K,
    ) -> Pipeline<S, Sunk<S::Item>> {
        let stage = self.plan.add(name, Some((batch.max_items(), batch.max_wait())), SINK);
        self.then(|stages| {
            let before = stages.end();
            let sink = Arc::new(sink);
            let f = async move |items| sink.send(items).await;
            let upstream: Upstream<S::Item, Never> = Box::new(move |items, settings| {
                let convert = |token: &crate::token::Token, item| Message {
                    id: token.id(),
                    attempt: token.attempt(),
                    item,
                };
                batches(before(items, settings), batch, stage, Arc::clone(settings), convert, f)
            });
            Sunk { upstream }
        })
    }
}

impl<S: Source, P> Pipeline<S, P> {
    fn last_stage(&mut self, set: impl FnOnce(&mut PlannedStage)) {
        match self.plan.stages.last_mut() {
            Some(stage) => set(stage),
            None => self.plan.has_stray_setting = true,
        }
    }

    /// Sets the maximum number of items, or batches, in flight in the stage before; without it there is the window only.
    pub fn limit(mut self, limit: usize) -> Self {
        self.last_stage(|stage| stage.limit = Some(limit));
        self
    }

    /// Sets the time after which an item of the stage before has failed, and its function is dropped. It begins with the
    /// work, not with the wait for the limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.last_stage(|stage| stage.timeout = Some(timeout));
        self
    }

    /// Sets the maximum number of items in hand, over all stages: those that wait for a limit, too.
    ///
    /// By default it is the sum of all limits, with the items of a batch times its limit, and at least 64; with several
    /// [sources](Pipeline::merge) it is that for each. A larger one hides the round trip of a pull; the stages keep their limits.
    pub fn window(mut self, items: usize) -> Self {
        self.plan.window = Some(items);
        self
    }

    /// Sets the maximum sum of the sizes of the items in hand, in bytes.
    ///
    /// A pull comes when more than half of it is free, and asks for what is free. The first item of a pull may be larger than
    /// that, so that one above the whole budget passes: the sum is then that item, and less than half of the budget.
    pub fn budget(mut self, bytes: usize) -> Self {
        self.plan.budget = Some(bytes);
        self
    }

    /// Sets the delay before another attempt, from the number of the one that failed: 1, 2, 3. By default it is a second,
    /// twice as much each time, five minutes at most.
    pub fn backoff(mut self, delay: impl Fn(u32) -> Duration + Send + Sync + 'static) -> Self {
        self.plan.backoff = Box::new(delay);
        self
    }

    /// Seeds the random part of the pauses after errors of a source that pass. With one, a pipeline whose source and stages
    /// are reproducible runs in the same way each time; tests and simulations want that. Processes that come back
    /// together have to have different ones, so there is none by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.plan.seed = Some(seed);
        self
    }

    /// Sets the number of attempts, 5 by default, after which an item goes to the [dead letter sink](Pipeline::dead_letter).
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.plan.max_attempts = Some(attempts);
        self
    }

    /// Sets the sink of items that have failed too often. Without one, they are tried for ever.
    ///
    /// An item is terminated at its source when the sink has confirmed its dead letter. A crash in between writes it again
    /// under the same [`Message::id`]. An item that was delivered more often than the attempts allow goes to the sink without
    /// being run, as it may be the one that kills the process.
    pub fn dead_letter(mut self, sink: impl Sink<DeadLetter<S::Item>>) -> Self
    where
        S::Item: Clone,
    {
        self.plan.copy = Some(S::Item::clone);
        let sink = Arc::new(sink);
        self.plan.dead_letters = Some(Box::new(move |in_hand, deliveries, status| {
            Box::pin(write_dead_letters(Arc::clone(&sink), in_hand, deliveries, status))
        }));
        self
    }
}

impl<T> Plan<T> {
    #[cfg_attr(feature = "inspect", track_caller)]
    fn add(
        &mut self,
        name: &str,
        batch: Option<(usize, Option<Duration>)>,
        kind: &'static str,
    ) -> Arc<Stage> {
        let stage = Arc::new(Stage::new(name, CallPlace::here(), kind));
        let (batch, within) = batch.unzip();
        let ends_in_time = within.flatten().is_some();
        let planned =
            PlannedStage { stage: Arc::clone(&stage), limit: None, timeout: None, batch, ends_in_time };
        self.stages.push(planned);
        stage
    }
}

impl<S: Source, P> fmt::Debug for Pipeline<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<&str> = self.plan.stages.iter().map(|planned| &*planned.stage.name).collect();
        f.debug_struct("Pipeline").field("stages", &stages).finish_non_exhaustive()
    }
}

impl<T, C: Chain> fmt::Debug for Stages<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stages").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Sunk<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sunk").finish_non_exhaustive()
    }
}

/// Settings that make no pipeline, said in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPipeline(pub(crate) String);

impl fmt::Display for InvalidPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for InvalidPipeline {}
