//! Agents behind an HTTP endpoint: their assignments are posted to them, and what they answer is reported.
//!
//! ```text
//! assignments.<agent> ─▶ run (one member of a group) ─▶ delivery ─▶ call ─▶ the agent
//!                                                          └─▶ agent-status, then the offset
//! ```
//!
//! It keeps no state: an offset is committed once the report on its record is with the brokers, or the agent has taken the
//! work over (202) and that is. So a crash repeats deliveries, each with the key it had, and loses none. It never decides
//! what a failure means for the task. An agent that is away, or asks to wait, is waited for until the assignment's
//! deadline, as one would be that does not read its topic.

mod call;
mod delivery;
mod lane;
mod posted;
mod run;

pub use posted::{NotTaken, PostedReports};
pub use run::{DispatchError, Dispatcher, Setup};
