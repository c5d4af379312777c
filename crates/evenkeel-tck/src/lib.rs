#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Files in reading order; X is a chapter, one of `inspect`, `limit`, `pipeline`, `pool`, `retry`,
// `shutdown`, `stream`, `task`, `testkit`:
//
// | file | contents |
// |---|---|
// | `adapter.rs` | the implementation under test, in the form that all chapters share |
// | `suite.rs`, `rule.rs` | the rules of one pattern and their run; one rule and how it is checked |
// | `report.rs`, `verdict.rs` | the outcome of all rules; of one |
// | `X.rs`, `X/settings.rs` | the public names of a chapter; its capabilities and settings |
// | `X/rules.rs`, `X/rules/` | the words of the rules and their order; the rule functions, by theme |
// | `X/harness.rs` | how a rule runs its subject |
// | `limit/limiter.rs`, `retry/operation.rs`, `task/body.rs`, `shutdown/parts.rs` | the work that a rule gives its subject |
// | `stream/operator.rs`, `stream/source.rs`, `stream/item.rs`, `stream/consumer.rs`, `stream/fetch.rs` | the same for streams: the operator, and the parts at its ends |
// | `stream/queue.rs`, `stream/queue_harness.rs` | the ends of a queue; one queue under test |
// | `inspect/program.rs` | the parts of an observed program, and the views of it |
// | `pool/handle.rs`, `pool/get_error.rs`, `pool/backend.rs` | a pool and its leases; the error of a get; the objects |
// | `pipeline/queue.rs`, `pipeline/work.rs` | a server and its workers; the work that they do |
// | `pipeline/real_time.rs`, `pipeline/close.rs` | the rules on a real clock; equality with its times |
// | `testkit/kit.rs`, `testkit/program.rs` | a test kit and the parts that it gives to a test; a program under test, as data |
// | `testkit/cutting.rs`, `testkit/http.rs`, `testkit/alone.rs` | an operation to be cut; a client of fake servers; tests in a process of their own |
// | `probe_task/` | the tasks of groups and programs: script, steps, record, reported failures, outcome |
// | `cancel.rs`, `child.rs` | dropping a subject at each await; rules in a process of their own |
// | `bin/evenkeel-tck/` | the program: its command line, the words of a command, a report as text, JSON, JUnit and TAP |
// | `protocol.rs`, `protocol/` | implementations in other processes, by lines of JSON: the suite's side, and `serve` |
// | `apart.rs` | what the rules say to an implementation in another process, whatever its pattern |
// | `agenda.rs` | the timers of the suite, whose deadlines are known |
// | `timeline.rs`, `clock.rs`, `duration.rs`, `runtime.rs` | events with their times; virtual and real clocks; durations; runtimes in real time |
// | `prelude.rs` | the words that all rules share |

mod adapter;
mod agenda;
mod apart;
mod cancel;
pub mod child;
mod clock;
mod duration;
pub mod inspect;
pub mod limit;
pub mod pipeline;
pub mod pool;
mod prelude;
mod probe_task;
pub mod protocol;
mod report;
pub mod retry;
mod rule;
mod runtime;
pub mod shutdown;
pub mod stream;
mod suite;
pub mod task;
pub mod testkit;
mod timeline;
mod verdict;

pub use adapter::{Adapter, AdapterError, BoxFuture, Configured, Pattern};
pub use report::{Finding, Report, Score};
pub use rule::{Level, Rule, Tier};
pub use suite::Suite;
pub use verdict::Verdict;
