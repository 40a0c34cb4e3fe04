//! Every span and attribute name, in one place. They follow OpenTelemetry's conventions for messaging and GenAI, which are
//! still moving: a change there is a change here and nowhere else.

/// Spans.
pub mod span {
    /// One transaction of a worker; links to the contexts of the records in it.
    pub const TRANSACTION: &str = "baton.transaction";
    /// One decision that asks an LLM, with all its attempts.
    pub const DECISION: &str = "baton.decision";
    /// One call to one provider.
    pub const LLM_CALL: &str = "chat";
    /// Bringing one partition number back from `task-state`.
    pub const RESTORE: &str = "baton.restore";
}

/// Attributes of spans.
pub mod attribute {
    pub const MESSAGING_SYSTEM: &str = "messaging.system";
    pub const MESSAGING_DESTINATION: &str = "messaging.destination.name";
    pub const MESSAGING_PARTITION: &str = "messaging.destination.partition.id";
    pub const MESSAGING_OFFSET: &str = "messaging.kafka.offset";
    pub const MESSAGING_BATCH: &str = "messaging.batch.message_count";
    pub const MESSAGING_GROUP: &str = "messaging.consumer.group.name";

    pub const GEN_AI_OPERATION: &str = "gen_ai.operation.name";
    pub const GEN_AI_PROVIDER: &str = "gen_ai.provider.name";
    pub const GEN_AI_MODEL: &str = "gen_ai.request.model";
    pub const GEN_AI_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    pub const GEN_AI_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
    pub const GEN_AI_AGENT: &str = "gen_ai.agent.name";

    pub const TASK: &str = "baton.task.id";
    pub const STEP: &str = "baton.step.id";
    pub const ASSIGNMENT: &str = "baton.assignment.id";
    pub const DECISION: &str = "baton.decision.id";
    pub const DECISION_BY: &str = "baton.decision.by";
}
