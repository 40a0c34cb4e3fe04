//! The two protocols: a question as a request body, and a response body as the model's words. Typed structs throughout, since
//! a JSON value would sort the schema's properties.

use super::question::Question;
use super::settings::{Api, Provider, Structured};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What a model said instead of a valid answer, and the words of the re-ask.
#[derive(Debug)]
pub(super) struct Repair {
    pub(super) said: String,
    pub(super) told: String,
}

/// A response as its API means it.
#[derive(Debug, PartialEq)]
pub(super) enum Reading {
    Text(String),
    /// Cut off by the token limit.
    Truncated(String),
    /// The model, or a filter before or after it, will not answer this.
    Refusal(String),
}

/// Input and output tokens as the provider counted them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tokens {
    pub(super) input: u64,
    pub(super) output: u64,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct OpenaiRequest<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    max_completion_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat>,
}

#[derive(Serialize)]
struct ResponseFormat {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<NamedSchema>,
}

#[derive(Serialize)]
struct NamedSchema {
    name: &'static str,
    strict: bool,
    schema: Box<RawValue>,
}

#[derive(Serialize)]
struct AnthropicRequest<'a> {
    model: &'a str,
    max_tokens: u32,
    system: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
}

#[derive(Serialize)]
struct OutputConfig {
    format: Format,
}

#[derive(Serialize)]
struct Format {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: Box<RawValue>,
}

/// What an answer to such a question may take of this provider.
pub(super) fn output_tokens<Q: Question>(provider: &Provider) -> u32 {
    provider.max_output_tokens.max(Q::OUTPUT_TOKENS)
}

/// The body of one request, as JSON text.
pub(super) fn request<Q: Question>(provider: &Provider, question: &Q, repair: Option<&Repair>) -> String {
    let mut messages = vec![Message { role: "user", content: question.user() }];
    if let Some(repair) = repair {
        messages.push(Message { role: "assistant", content: &repair.said });
        messages.push(Message { role: "user", content: &repair.told });
    }
    let text = match provider.api {
        Api::OpenaiChat => {
            messages.insert(0, Message { role: "system", content: question.system() });
            let response_format = match provider.structured {
                Structured::JsonSchema => Some(ResponseFormat {
                    kind: "json_schema",
                    json_schema: Some(NamedSchema { name: Q::NAME, strict: true, schema: question.schema() }),
                }),
                Structured::JsonObject => Some(ResponseFormat { kind: "json_object", json_schema: None }),
                Structured::None => None,
            };
            serde_json::to_string(&OpenaiRequest {
                model: &provider.model,
                messages,
                max_completion_tokens: output_tokens::<Q>(provider),
                response_format,
            })
        }
        Api::AnthropicMessages => serde_json::to_string(&AnthropicRequest {
            model: &provider.model,
            max_tokens: output_tokens::<Q>(provider),
            system: question.system(),
            messages,
            output_config: (provider.structured == Structured::JsonSchema)
                .then(|| OutputConfig { format: Format { kind: "json_schema", schema: question.schema() } }),
        }),
    };
    text.expect("strings and numbers always serialise")
}

#[derive(Deserialize)]
struct OpenaiResponse {
    choices: Vec<OpenaiChoice>,
    usage: Option<OpenaiUsage>,
}

#[derive(Deserialize)]
struct OpenaiChoice {
    message: OpenaiMessage,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct OpenaiMessage {
    content: Option<OpenaiContent>,
    refusal: Option<String>,
}

/// A string, but some gateways answer in parts.
#[derive(Deserialize)]
#[serde(untagged)]
enum OpenaiContent {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    /// Thinking and other kinds of parts have none.
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct OpenaiUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

#[derive(Deserialize)]
struct AnthropicResponse {
    content: Vec<Part>,
    stop_reason: Option<String>,
    usage: Option<AnthropicUsage>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AnthropicUsage {
    input_tokens: u64,
    output_tokens: u64,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

/// A successful response; none if the body is not what the API promises.
pub(super) fn response(api: Api, body: &[u8]) -> Option<(Reading, Option<Tokens>)> {
    match api {
        Api::OpenaiChat => openai(serde_json::from_slice(body).ok()?),
        Api::AnthropicMessages => Some(anthropic(serde_json::from_slice(body).ok()?)),
    }
}

fn openai(response: OpenaiResponse) -> Option<(Reading, Option<Tokens>)> {
    let tokens = response.usage.map(|usage| Tokens { input: usage.prompt_tokens, output: usage.completion_tokens });
    let choice = response.choices.into_iter().next()?;
    let text = match choice.message.content {
        Some(OpenaiContent::Text(text)) => text,
        Some(OpenaiContent::Parts(parts)) => joined(parts),
        None => String::new(),
    };
    let refusal = choice.message.refusal.filter(|refusal| !refusal.is_empty());
    let reading = match (choice.finish_reason.as_deref(), refusal) {
        (_, Some(refusal)) => Reading::Refusal(refusal),
        (Some("content_filter"), None) => Reading::Refusal(text),
        (Some("length"), None) => Reading::Truncated(text),
        _ => Reading::Text(text),
    };
    Some((reading, tokens))
}

fn anthropic(response: AnthropicResponse) -> (Reading, Option<Tokens>) {
    // What a cache read or wrote is input too; prices of caches differ, so the cost is an upper estimate.
    let tokens = response.usage.map(|usage| Tokens {
        input: usage
            .input_tokens
            .saturating_add(usage.cache_creation_input_tokens.unwrap_or(0))
            .saturating_add(usage.cache_read_input_tokens.unwrap_or(0)),
        output: usage.output_tokens,
    });
    let text = joined(response.content);
    let reading = match response.stop_reason.as_deref() {
        Some("refusal") => Reading::Refusal(text),
        Some("max_tokens" | "model_context_window_exceeded") => Reading::Truncated(text),
        _ => Reading::Text(text),
    };
    (reading, tokens)
}

fn joined(parts: Vec<Part>) -> String {
    parts.into_iter().filter_map(|part| part.text).collect()
}

/// Whether the body of a 400 says that this one question, and not the setup, was the trouble: a filter, or a prompt longer than
/// the model can read. The provider is fine for the next question.
pub(super) fn blames_the_question(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Wrapped {
        error: Told,
    }
    #[derive(Deserialize)]
    struct Told {
        code: Option<serde_json::Value>,
        #[serde(rename = "type")]
        kind: Option<String>,
    }
    let Ok(Wrapped { error }) = serde_json::from_slice::<Wrapped>(body) else { return false };
    let code = error.code.as_ref().and_then(|code| code.as_str());
    [code, error.kind.as_deref()].into_iter().flatten().any(|word| {
        matches!(
            word,
            "content_filter" | "content_policy_violation" | "context_length_exceeded" | "exceed_context_size_error"
        )
    })
}
