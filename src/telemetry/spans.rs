//! The spans there are, by OpenTelemetry's conventions for messaging and GenAI. Those still move: a change there is a change
//! here and nowhere else.

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::collections::HashMap;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// One transaction of a worker. A batch has many parents and so none: it links to the contexts of the records in it.
#[must_use]
pub fn transaction<'a>(inputs: usize, records: usize, traceparents: impl Iterator<Item = &'a str>) -> Span {
    let span = tracing::info_span!(
        "baton.transaction",
        messaging.system = "kafka",
        messaging.batch.message_count = inputs,
        baton.records = records,
        baton.outcome = Empty,
    );
    if !span.is_disabled() && super::otlp::is_on() {
        for traceparent in traceparents {
            span.add_link(context_of(traceparent).span().span_context().clone());
        }
    }
    span
}

/// One decision that asks an LLM, with all its calls; a child of the task's own context.
#[must_use]
pub fn decision(task_id: &str, question: u32, traceparent: Option<&str>) -> Span {
    let span = tracing::info_span!(
        "baton.decision",
        gen_ai.operation.name = "chat",
        baton.task.id = task_id,
        baton.question = question,
        baton.calls = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
    );
    if let Some(traceparent) = traceparent.filter(|_| !span.is_disabled() && super::otlp::is_on()) {
        // Fails only where the span is not exported, and then nobody misses it.
        let _ = span.set_parent(context_of(traceparent));
    }
    span
}

fn context_of(traceparent: &str) -> opentelemetry::Context {
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    TraceContextPropagator::new().extract(&carrier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_becomes_the_context_it_names() {
        let context = context_of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert_eq!(context.span().span_context().trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(!context_of("rubbish").span().span_context().is_valid());
    }
}
