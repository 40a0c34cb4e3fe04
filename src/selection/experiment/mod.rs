//! What an experiment has shown so far, and what another strategy would have come to: the statistics, no more.
//!
//! All but [`Replay`] may be read after every outcome: what they say holds at all times at once, so nobody is fooled
//! by looking often, and an experiment may be stopped the moment it has shown something.

mod difference;
mod guardrail;
mod replay;
mod shares;
#[cfg(test)]
mod tests;

pub use difference::{Arm, Difference};
pub use guardrail::{Better, Guardrail};
pub use replay::{Estimate, Replay, Unusable};
pub use shares::Shares;
