//! Whether the providers work, for people who set them up: one call each, no retries, and words on what to do.

use super::lane::Lane;
use super::prompt::Prompt;
use super::rules::Prompts;
use super::text::line;
use super::{Ask, Card};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// One question with all providers at once has to be over by then.
const LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn run(lanes: &[Arc<Lane>]) -> Vec<(String, Result<String, String>)> {
    let until = Instant::now() + LIMIT;
    let mut running = JoinSet::new();
    for (index, lane) in lanes.iter().enumerate() {
        let lane = Arc::clone(lane);
        running.spawn(async move { (index, one(&lane, until).await) });
    }
    let mut results: Vec<_> = lanes
        .iter()
        .map(|lane| (lane.provider.name.clone(), Err("the check itself broke: see the log".to_owned())))
        .collect();
    while let Some(joined) = running.join_next().await {
        if let Ok((index, result)) = joined {
            results[index].1 = result;
        }
    }
    results
}

async fn one(lane: &Lane, until: Instant) -> Result<String, String> {
    let card = |name: &str, description: &str| Card {
        name: name.to_owned(),
        description: description.to_owned(),
        capabilities: vec![],
        input: String::new(),
        output: String::new(),
        lately: String::new(),
    };
    let ask = Ask {
        task_id: "check".to_owned(),
        question: 1,
        objective: "What is 2 + 2?".to_owned(),
        last_output: None,
        last_agent: None,
        history: vec![],
        candidates: vec![card("Calculator", "Works out sums."), card("Translator", "Translates between languages.")],
        offers_done: false,
        deadline: until,
    };
    let prompt = Prompt::new(&ask, &Prompts::default().select);
    let attempt = lane.once(&prompt, until).await;
    let model = &attempt.model;
    if attempt.verdict == "valid" {
        return Ok(format!("{model} answered in {} ms", attempt.millis));
    }
    let what_to_do = match attempt.verdict.as_str() {
        "http_401" | "http_403" => "check the key (api_key_env) and what it is allowed to use",
        "http_404" => "check base_url and model: the endpoint does not know one of them",
        "http_400" | "http_422" => {
            "the endpoint does not take the request: try another `structured` (json_object or none), check model and api"
        }
        "http_429" | "rate_limited" => "the provider's limit, or yours, is used up: wait or raise it",
        "cost_cap" => "daily_cost_cap_micros leaves no room for one question: raise it",
        "timeout" => "no answer within 5 s: check that base_url is reachable, or use a faster model",
        "connect" | "connection_lost" => "check base_url, that the server runs, and proxy and TLS settings",
        "bad_response" | "too_large" => "that is not the API's form: check api and base_url",
        "truncated" => "raise max_output_tokens: the answer did not fit",
        "refusal" => "the model refused a harmless question: use another model",
        status if status.starts_with("http_3") => "the endpoint redirects: put the final address into base_url",
        status if status.starts_with("http_") => "the provider has trouble: try again later",
        _ => "it is reachable but does not keep to the answer's form: try another `structured` or a larger model",
    };
    let answer = line(attempt.answer.trim(), 200);
    let said = if answer.is_empty() { String::new() } else { format!(" ({answer})") };
    Err(format!("{model}: {}{said}: {what_to_do}", attempt.verdict))
}
