//! Other people's topics as sources of tasks.
//!
//! ```text
//! records ─▶ feed ─▶ document ─▶ recipe ─────▶ tasks          one transaction, with the offsets of what was read
//!              ▲                 confluent ─▶ reports, predictions, state
//!              └── kafka::relay              └▶ sources.dlq   what could become nothing, and why
//! ```
//!
//! A record becomes a task, a report, a prediction, or a dead letter, in the transaction that moves its offset; a null
//! value is skipped and counted. Nothing is dropped and nothing made twice: whatever fails is read again from the committed
//! offsets. A registry that is away makes a source wait, never a dead letter. What a task is made of depends on the record
//! alone, so the same record always makes the same task.

mod confluent;
mod document;
mod feed;
mod ids;
mod recipe;
mod work;
mod writer;

pub use confluent::Confluent;
pub use feed::{Feed, FeedEnded, Stop};
pub use recipe::Recipe;
pub use work::{Made, Unready, Work};
pub use writer::Writer;
