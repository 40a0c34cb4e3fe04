//! What `baton dev` and `baton demo` bring with them, so that nothing else has to run.

pub mod registry;
