//! A configured implementation: the operator, in the form in which it takes its sources.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use super::{Channel, Consumer, Fetch, Item, Source};
use crate::{BoxFuture, Verdict, probe_task::ReportedFailure, verdict::Checked};

/// A stream of an implementation.
pub(crate) struct BoxStream<T> {
    stream: Pin<Box<dyn Stream<Item = T> + Send>>,
    /// Tells another process that nobody waits for its next item any more.
    cut: Option<Box<dyn Fn() + Send>>,
}

pub(crate) type MapResult = Result<u32, ReportedFailure>;

pub(crate) type PageResult = Result<Item, ReportedFailure>;

/// A merge, and the function that adds a source to it.
pub(crate) type MergeWithHandle = (BoxStream<Item>, Box<dyn Fn(Source) + Send>);

/// Batches whose unfinished one can be taken back.
pub(crate) trait BatchStream: Stream<Item = Vec<Item>> + Send {
    fn rest(self: Pin<Box<Self>>) -> Vec<Item>;
}

struct BatchesWithRest<S, R> {
    stream: S,
    rest: R,
}

impl<S: Stream<Item = Vec<Item>> + Unpin, R: Unpin> Stream for BatchesWithRest<S, R> {
    type Item = Vec<Item>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<Item>>> {
        Pin::new(&mut self.stream).poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<S, R> BatchStream for BatchesWithRest<S, R>
where
    S: Stream<Item = Vec<Item>> + Send + Unpin,
    R: FnOnce(S) -> Vec<Item> + Send + Unpin,
{
    fn rest(self: Pin<Box<Self>>) -> Vec<Item> {
        let Self { stream, rest } = *Pin::into_inner(self);
        rest(stream)
    }
}

impl<T> BoxStream<T> {
    pub(crate) fn new(stream: impl Stream<Item = T> + Send + 'static) -> Self {
        Self { stream: Box::pin(stream), cut: None }
    }

    pub(crate) fn with_cut(
        stream: impl Stream<Item = T> + Send + 'static,
        cut: impl Fn() + Send + 'static,
    ) -> Self {
        Self { stream: Box::pin(stream), cut: Some(Box::new(cut)) }
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.stream.as_mut().poll_next(cx)
    }

    pub(crate) fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

pub(crate) type Make<I, O> = Box<dyn Fn(I) -> O + Send + Sync>;

/// A configured operator, which can be used many times.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
pub struct Operator(pub(crate) Form);

pub(crate) enum Form {
    Map(Make<Source, BoxStream<MapResult>>),
    MapInto(Make<(Source, Consumer), BoxFuture<'static, Result<(), ReportedFailure>>>),
    Batch(Make<Source, BoxStream<Vec<Item>>>),
    BatchWithRest(Make<Source, Pin<Box<dyn BatchStream>>>),
    Merge(Make<Vec<Source>, BoxStream<Item>>),
    MergeWithHandle(Make<Vec<Source>, MergeWithHandle>),
    Queue(Make<(), Channel>),
    Pages(Make<Fetch, BoxStream<PageResult>>),
    Generate(Make<Source, BoxStream<Item>>),
}

impl Operator {
    /// A map that returns a stream of results, each that of [`Item::run`].
    ///
    /// The rules poll it until it ends, and under [`FailureMode::Stop`](crate::task::FailureMode::Stop) until its first
    /// failure, as `try_for_each` does; then they drop it.
    pub fn map<S>(map: impl Fn(Source) -> S + Send + Sync + 'static) -> Self
    where
        S: Stream<Item = MapResult> + Send + 'static,
    {
        Self(Form::Map(Box::new(move |source| BoxStream::new(map(source)))))
    }

    /// A map that hands each result to a consumer, for an implementation that has no stream of them.
    ///
    /// # Examples
    /// One item at a time:
    /// ```
    /// use evenkeel_tck::stream::{Consumer, Operator, Source};
    /// use futures::StreamExt as _;
    ///
    /// let in_turn = Operator::map_into(async |mut source: Source, consumer: Consumer| {
    ///     while let Some(item) = source.next().await {
    ///         consumer.take(item.run().await).await?;
    ///     }
    ///     Ok(())
    /// });
    /// # drop(in_turn);
    /// ```
    pub fn map_into<F, Fut>(map: F) -> Self
    where
        F: Fn(Source, Consumer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ReportedFailure>> + Send + 'static,
    {
        Self(Form::MapInto(Box::new(move |(source, consumer)| Box::pin(map(source, consumer)))))
    }

    /// Batches of items.
    pub fn batch<S>(batch: impl Fn(Source) -> S + Send + Sync + 'static) -> Self
    where
        S: Stream<Item = Vec<Item>> + Send + 'static,
    {
        Self(Form::Batch(Box::new(move |source| BoxStream::new(batch(source)))))
    }

    /// Batches of items, with the function that takes the items of an unfinished one back, where
    /// [`Capability::BatchRest`](super::Capability::BatchRest) is supported.
    pub fn batch_with_rest<S>(
        batch: impl Fn(Source) -> S + Send + Sync + 'static,
        rest: fn(S) -> Vec<Item>,
    ) -> Self
    where
        S: Stream<Item = Vec<Item>> + Send + Unpin + 'static,
    {
        let make = move |source| -> Pin<Box<dyn BatchStream>> {
            Box::pin(BatchesWithRest { stream: batch(source), rest })
        };
        Self(Form::BatchWithRest(Box::new(make)))
    }

    /// A merge of sources.
    pub fn merge<S>(merge: impl Fn(Vec<Source>) -> S + Send + Sync + 'static) -> Self
    where
        S: Stream<Item = Item> + Send + 'static,
    {
        Self(Form::Merge(Box::new(move |sources| BoxStream::new(merge(sources)))))
    }

    /// A merge of sources, with the function that adds one to it, where
    /// [`Capability::AddSources`](super::Capability::AddSources) is supported.
    pub fn merge_with_handle<S, H>(merge: impl Fn(Vec<Source>) -> (S, H) + Send + Sync + 'static) -> Self
    where
        S: Stream<Item = Item> + Send + 'static,
        H: Fn(Source) + Send + 'static,
    {
        let make = move |sources| -> MergeWithHandle {
            let (stream, handle) = merge(sources);
            (BoxStream::new(stream), Box::new(handle))
        };
        Self(Form::MergeWithHandle(Box::new(make)))
    }

    /// A queue.
    pub fn queue(queue: impl Fn() -> Channel + Send + Sync + 'static) -> Self {
        Self(Form::Queue(Box::new(move |()| queue())))
    }

    /// The items of pages, from the first page on; an error of a fetch, or of the implementation, is the last item.
    pub fn pages<S>(pages: impl Fn(Fetch) -> S + Send + Sync + 'static) -> Self
    where
        S: Stream<Item = PageResult> + Send + 'static,
    {
        Self(Form::Pages(Box::new(move |fetch| BoxStream::new(pages(fetch)))))
    }

    /// A generator, whose function emits all items of a source.
    pub fn generate<S>(generate: impl Fn(Source) -> S + Send + Sync + 'static) -> Self
    where
        S: Stream<Item = Item> + Send + 'static,
    {
        Self(Form::Generate(Box::new(move |source| BoxStream::new(generate(source)))))
    }

    /// The stream of a map.
    pub(crate) fn stream(&self, source: Source) -> Checked<BoxStream<MapResult>> {
        match &self.0 {
            Form::Map(map) => Ok(map(source)),
            _ => Err(other("`map`")),
        }
    }

    /// A map from a source into a consumer.
    pub(crate) fn run(
        &self,
        source: Source,
        consumer: Consumer,
    ) -> Checked<BoxFuture<'static, Result<(), ReportedFailure>>> {
        match &self.0 {
            Form::Map(map) => Ok(Box::pin(consume(map(source), consumer))),
            Form::MapInto(map) => Ok(map((source, consumer))),
            _ => Err(other("`map` or `map_into`")),
        }
    }

    pub(crate) fn batches(&self, source: Source) -> Checked<BoxStream<Vec<Item>>> {
        match &self.0 {
            Form::Batch(batch) => Ok(batch(source)),
            Form::BatchWithRest(batch) => Ok(BoxStream::new(batch(source))),
            _ => Err(other("`batch`")),
        }
    }

    pub(crate) fn batches_with_rest(&self, source: Source) -> Checked<Pin<Box<dyn BatchStream>>> {
        match &self.0 {
            Form::BatchWithRest(batch) => Ok(batch(source)),
            _ => Err(other("`batch_with_rest`")),
        }
    }

    pub(crate) fn merged(&self, sources: Vec<Source>) -> Checked<BoxStream<Item>> {
        match &self.0 {
            Form::Merge(merge) => Ok(merge(sources)),
            Form::MergeWithHandle(merge) => Ok(merge(sources).0),
            _ => Err(other("`merge`")),
        }
    }

    pub(crate) fn merged_with_handle(&self, sources: Vec<Source>) -> Checked<MergeWithHandle> {
        match &self.0 {
            Form::MergeWithHandle(merge) => Ok(merge(sources)),
            _ => Err(other("`merge_with_handle`")),
        }
    }

    pub(crate) fn paged(&self, fetch: Fetch) -> Checked<BoxStream<PageResult>> {
        match &self.0 {
            Form::Pages(pages) => Ok(pages(fetch)),
            _ => Err(other("`pages`")),
        }
    }

    pub(crate) fn generated(&self, source: Source) -> Checked<BoxStream<Item>> {
        match &self.0 {
            Form::Generate(generate) => Ok(generate(source)),
            _ => Err(other("`generate`")),
        }
    }

    pub(crate) fn channel(&self) -> Checked<Channel> {
        match &self.0 {
            Form::Queue(queue) => Ok(queue(())),
            _ => Err(other("`queue`")),
        }
    }
}

fn other(wanted: &str) -> Verdict {
    Verdict::fail(format_args!("an operator made by {wanted}"), "another one")
}

/// Takes each result as it comes.
async fn consume(mut stream: BoxStream<MapResult>, consumer: Consumer) -> Result<(), ReportedFailure> {
    while let Some(result) = next(&mut stream).await {
        consumer.take(result).await?;
    }
    Ok(())
}

/// The next item of a stream.
pub(crate) fn next<T>(stream: &mut BoxStream<T>) -> Next<'_, T> {
    Next { stream, is_over: false }
}

pub(crate) struct Next<'a, T> {
    stream: &'a mut BoxStream<T>,
    is_over: bool,
}

impl<T> Future for Next<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let polled = self.stream.poll_next(cx);
        self.is_over = polled.is_ready();
        polled
    }
}

impl<T> Drop for Next<'_, T> {
    fn drop(&mut self) {
        if let (false, Some(cut)) = (self.is_over, &self.stream.cut) {
            cut();
        }
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").finish_non_exhaustive()
    }
}
