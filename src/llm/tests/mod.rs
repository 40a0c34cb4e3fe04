//! The whole ladder against real HTTP servers that answer by script.

mod answers;
mod failures;
mod limits;
mod plans;
mod server;

use super::breaker::Waits;
use super::lane::Tuning;
use super::{Api, Ask, Card, Llm, MARGIN, Provider, Secret, Settings, Structured};
use crate::workflow::{Answer, Choice};
use server::{Reply, Server};
use std::time::Duration;
use tokio::time::Instant;

const KEY: &str = "sk-very-s3cret";
/// More than any question here needs, but on a busy machine.
const AMPLE: Duration = Duration::from_secs(10);
/// What a busy machine may add to a deadline; what is looked for are answers that never come.
const SLACK: Duration = Duration::from_secs(1);

fn card(name: &str, description: &str) -> Card {
    Card {
        name: name.to_owned(),
        description: description.to_owned(),
        capabilities: vec!["refunds".to_owned()],
        input: "text/plain".to_owned(),
        output: "application/json".to_owned(),
        lately: String::new(),
    }
}

/// A question about Billing, Search and Agent AB; the deadline is set when it is asked.
fn question() -> Ask {
    Ask {
        task_id: "task-1".to_owned(),
        question: 3,
        objective: "Refund the invoice".to_owned(),
        last_output: None,
        last_agent: None,
        history: vec![],
        candidates: vec![card("Billing", "Handles money"), card("Search", "Finds pages"), card("Agent AB", "Writes")],
        offers_done: false,
        deadline: Instant::now(),
    }
}

fn openai(server: &Server) -> Provider {
    let mut provider =
        Provider::new(format!("p{}", server.port), Api::OpenaiChat, format!("{}/v1", server.url), "small");
    provider.api_key = Some(Secret::new(KEY));
    provider.input_price_micros = 1_000_000;
    provider.output_price_micros = 2_000_000;
    provider
}

fn anthropic(server: &Server) -> Provider {
    Provider { api: Api::AnthropicMessages, base_url: server.url.clone(), ..openai(server) }
}

fn llm(providers: Vec<Provider>) -> Llm {
    let waits = Waits { failing: Duration::from_millis(300), misconfigured: Duration::from_secs(60) };
    Llm::tuned(Settings { providers }, Tuning { first_retry: Duration::from_millis(5), breaker: waits }).unwrap()
}

/// Asks, and checks that the deadline held and that nothing shows the key.
async fn ask_within(llm: &Llm, mut ask: Ask, budget: Duration) -> Answer {
    let start = Instant::now();
    ask.deadline = start + budget;
    let answer = llm.ask(&ask).await;
    assert!(start.elapsed() < budget + SLACK, "took {:?} of {budget:?}", start.elapsed());
    let shown = format!("{answer:?}{llm:?}");
    assert!(!shown.contains(KEY), "{shown}");
    assert!(answer.attempts.iter().all(|attempt| attempt.answer.len() <= 1024));
    assert!(answer.prompt_version.as_ref().is_some_and(|version| version.starts_with("select-1+")));
    answer
}

async fn ask(llm: &Llm) -> Answer {
    ask_within(llm, question(), AMPLE).await
}

fn verdicts(answer: &Answer) -> Vec<&str> {
    answer.attempts.iter().map(|attempt| attempt.verdict.as_str()).collect()
}

#[track_caller]
fn assert_code(answer: &Answer, code: &str, expected: &[&str]) {
    assert_eq!(answer.said.as_ref().unwrap_err(), code, "{:#?}", answer.attempts);
    assert_eq!(verdicts(answer), expected);
}

#[track_caller]
fn assert_billing(answer: &Answer, expected: &[&str]) {
    assert_eq!(verdicts(answer), expected, "{:#?}", answer.attempts);
    assert_eq!(answer.said.as_ref().unwrap().choice, Choice::Agent("Billing".to_owned()));
}

fn well() -> Reply {
    Reply::chat(&chosen("Billing"))
}

fn chosen(agent: &str) -> String {
    serde_json::json!({"reason": "money", "agent": agent, "confidence": 0.9}).to_string()
}
