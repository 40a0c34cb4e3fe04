use std::fmt;

/// The reason's code, as in the header `baton.reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The bytes are neither Avro behind a header nor JSON.
    Undecodable,
    /// The registry knows no schema of that id, or none we can read.
    UnknownSchema,
    /// The record breaks its contract.
    Invalid,
    /// The task's id is malformed, or the key says another one.
    Id,
    /// The id is in use by a task that says something else.
    Duplicate,
    /// A payload is over its limit.
    TooLarge,
    /// It cannot follow from anything done.
    Impossible,
    /// It was forwarded, and still is on the wrong partition.
    Misrouted,
    /// Handling it failed again and again: our own fault.
    Internal,
}

impl Reason {
    pub const ALL: [Self; 9] = [
        Self::Undecodable,
        Self::UnknownSchema,
        Self::Invalid,
        Self::Id,
        Self::Duplicate,
        Self::TooLarge,
        Self::Impossible,
        Self::Misrouted,
        Self::Internal,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "UNDECODABLE",
            Self::UnknownSchema => "UNKNOWN_SCHEMA",
            Self::Invalid => "INVALID",
            Self::Id => "ID",
            Self::Duplicate => "DUPLICATE",
            Self::TooLarge => "TOO_LARGE",
            Self::Impossible => "IMPOSSIBLE",
            Self::Misrouted => "MISROUTED",
            Self::Internal => "INTERNAL",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
