#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// The files in reading order:
//
// | file | contents |
// |---|---|
// | `ext`, `prelude` | the methods on every stream |
// | `par_map`, `try_par_map` | the public streams of the parallel maps |
// | `task_map`, `span` | the part that the maps share, with a table of its own; the span of the consumer |
// | `edges`, `edges/recorded`, `edges/unrecorded` | what batches, maps and workers wait for: with the feature `inspect`, and without it |
// | `edges/item_cell`, `edges/loom` | the item of a worker while it is pending, written without a lock; the primitives that loom replaces |
// | `item_error` | the error of one item |
// | `generate`, `generate/yielder`, `generate/shared` | async code as a stream; its handle; what both share |
// | `paginate` | pages as a stream of their items |
// | `paginate/cursors`, `paginate/page` | the cursors, and whether they run in a circle; a page, and its fetch |
// | `paginate/offset` | pages at known offsets, side by side |
// | `paginate/prefetch`, `paginate/error` | pages fetched ahead; the error of a page |
// | `merge`, `merge/ready` | several streams as one; those that were woken |
// | `http` | the next page in the `Link` header of a response, with the feature `http` |
// | `batch` | batches by number, bytes, time, or a predicate |
// | `progress` | how far a stream has come |
// | `queue`, `queue/capacity` | a queue between producers and consumers; its bounds |
// | `queue/producer`, `queue/consumer`, `queue/job` | its two sides; an item that was taken |
// | `queue/budget` | when its ends let other tasks run |
// | `queue/core`, `queue/state`, `queue/loom` | its lock; the data behind it; the primitives that loom replaces |
// | `queue/workers`, `queue/inspect` | workers on a queue, and their report; the workers in the dumps of evenkeel-inspect |
// | `queue/error`, `queue/snapshot` | its errors; its numbers |

mod batch;
mod edges;
mod ext;
mod generate;
#[cfg(feature = "http")]
pub mod http;
mod item_error;
mod merge;
mod paginate;
mod par_map;
pub mod prelude;
mod progress;
mod queue;
mod span;
mod task_map;
mod try_par_map;

pub use batch::{Batch, Batches};
pub use ext::StreamExt;
pub use generate::{Generate, TryGenerate, Yield, Yielder, generate, try_generate};
pub use item_error::ItemError;
pub use merge::{Merge, MergeHandle, merge};
pub use paginate::{PageError, Paginate, PaginateOffset, Prefetch, paginate, paginate_offset};
pub use par_map::ParMap;
pub use progress::{Progress, WithProgress};
pub use queue::{
    Capacity, Consumer, Job, Join, Pop, PopError, Producer, Push, PushError, QueueSnapshot, Unfinished,
    Workers, WorkersReport, queue,
};
pub use try_par_map::{Settled, TryParMap};
