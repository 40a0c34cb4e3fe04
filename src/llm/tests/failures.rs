//! What can be wrong with a provider, and what is done about it.

use super::server::{Raw, raw};
use super::*;
use serde_json::json;

const SHORT: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_fault_of_configuration_is_not_retried_and_opens_the_breaker_with_its_own_reason() {
    for status in [400, 401, 403, 404, 413, 422, 302] {
        // A server that echoes the key must not bring it into a record.
        let server = Server::start(vec![Reply::status(status, &format!("bad key {KEY} ")), well()]).await;
        let llm = llm(vec![openai(&server)]);
        let answer = ask(&llm).await;
        assert_code(&answer, "misconfigured", &[&format!("http_{status}")]);
        assert_eq!(answer.attempts[0].answer, "bad key *** ");
        let answer = ask(&llm).await;
        assert_code(&answer, "misconfigured", &["breaker_open"]);
        assert_eq!((server.calls(), answer.attempts[0].millis < 50), (1, true));
    }
}

#[tokio::test]
async fn a_400_that_blames_the_question_leaves_the_provider_open_for_the_next() {
    let body =
        json!({"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}});
    let server = Server::start(vec![Reply::status(400, &body.to_string()), well()]).await;
    let llm = llm(vec![openai(&server)]);
    assert_code(&ask(&llm).await, "refused", &["http_400"]);
    assert_billing(&ask(&llm).await, &["valid"]);
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    let target = Server::start(vec![well()]).await;
    let location = format!("{}/v1/chat/completions", target.url);
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start(vec![Reply::status(status, "").header("location", &location)]).await;
        assert_code(&ask(&llm(vec![openai(&server)])).await, "misconfigured", &[&format!("http_{status}")]);
    }
    assert_eq!(target.calls(), 0);
}

#[tokio::test]
async fn passing_trouble_is_retried() {
    for status in [408, 409, 429, 500, 502, 503, 529] {
        let server = Server::start(vec![Reply::status(status, "later"), Reply::status(status, "later"), well()]).await;
        let verdict = format!("http_{status}");
        assert_billing(&ask(&llm(vec![openai(&server)])).await, &[&verdict, &verdict, "valid"]);
    }
    let server = Server::start(vec![Reply::status(500, "")]).await;
    assert_code(&ask(&llm(vec![openai(&server)])).await, "unavailable", &["http_500"; 5]);
}

#[tokio::test]
async fn the_server_may_say_whether_to_retry() {
    let server = Server::start(vec![Reply::status(500, "").header("x-should-retry", "false"), well()]).await;
    assert_code(&ask(&llm(vec![openai(&server)])).await, "unavailable", &["http_500"]);
    let server = Server::start(vec![Reply::status(400, "").header("x-should-retry", "true"), well()]).await;
    assert_billing(&ask(&llm(vec![openai(&server)])).await, &["http_400", "valid"]);
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for() {
    for (name, value) in [("retry-after-ms", "300"), ("retry-after", "0.3")] {
        let server = Server::start(vec![Reply::status(429, "").header(name, value), well()]).await;
        let start = Instant::now();
        assert_billing(&ask(&llm(vec![openai(&server)])).await, &["http_429", "valid"]);
        assert!(start.elapsed() >= Duration::from_millis(300));
    }
}

#[tokio::test]
async fn a_retry_after_beyond_the_budget_is_not_waited_for_and_the_provider_is_left_alone_until_then() {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3_000));
    for value in ["3000".to_owned(), date] {
        let first = Server::start(vec![Reply::status(429, "slow down").header("retry-after", value)]).await;
        let second = Server::start(vec![well()]).await;
        let start = Instant::now();
        let alone = llm(vec![openai(&first)]);
        assert_code(&ask(&alone).await, "rate_limited", &["http_429"]);
        assert_code(&ask(&alone).await, "rate_limited", &["rate_limited"]);
        assert_billing(&ask(&llm(vec![openai(&first), openai(&second)])).await, &["http_429", "valid"]);
        assert!(start.elapsed() < AMPLE / 2, "nobody waited");
        assert_eq!(first.calls(), 2);
    }
}

#[tokio::test]
async fn a_server_that_hangs_costs_the_budget_and_no_more() {
    let silent = Server::start(vec![Reply::Silence]).await;
    for url in [silent.url.clone(), raw(Raw::HalfBody).await, raw(Raw::Trickle).await] {
        let llm = llm(vec![Provider::new("hung", Api::OpenaiChat, url, "m")]);
        let start = Instant::now();
        let answer = ask_within(&llm, question(), SHORT).await;
        assert_code(&answer, "timeout", &["timeout"]);
        assert!(start.elapsed() >= SHORT - MARGIN, "all of the budget is used");
        assert!(answer.attempts[0].millis > 0);
    }
}

#[tokio::test]
async fn a_hung_provider_leaves_the_next_its_share() {
    let (hung, good) = (Server::start(vec![Reply::Silence]).await, Server::start(vec![well()]).await);
    let llm = llm(vec![openai(&hung), openai(&good)]);
    let answer = ask_within(&llm, question(), 2 * SLACK).await;
    assert_billing(&answer, &["timeout", "valid"]);
    let millis = answer.attempts[0].millis;
    assert!((700..1_700).contains(&millis), "about half of two seconds: {millis}");
}

#[tokio::test]
async fn a_body_that_is_too_large_or_not_the_apis_is_dropped() {
    let server = Server::start(vec![Reply::chat(&"x".repeat(2_000_000))]).await;
    assert_code(&ask(&llm(vec![openai(&server)])).await, "invalid_answer", &["too_large"]);
    let endless = Provider::new("endless", Api::OpenaiChat, raw(Raw::Endless).await, "m");
    assert_code(&ask(&llm(vec![endless])).await, "invalid_answer", &["too_large"]);
    for body in ["<html>Sign in</html>", "{\"error\":{\"message\":\"no\"}}", "{\"choices\":[]}", ""] {
        let server = Server::start(vec![Reply::status(200, body)]).await;
        let answer = ask(&llm(vec![openai(&server)])).await;
        assert_code(&answer, "invalid_answer", &["bad_response"]);
        assert_eq!(answer.attempts[0].answer, body);
    }
}

#[tokio::test]
async fn a_connection_refused_or_cut_is_retried_and_then_given_up() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = Provider::new("gone", Api::OpenaiChat, format!("http://{closed}/v1"), "m");
    let answer = ask(&llm(vec![gone.clone()])).await;
    assert_code(&answer, "unavailable", &["connect"; 5]);
    assert!(answer.attempts[0].answer.contains("refused"), "{}", answer.attempts[0].answer);
    assert!(!answer.attempts[0].answer.contains("127.0.0.1/v1"), "no address in records");
    let cut = Provider::new("cut", Api::OpenaiChat, raw(Raw::Cut).await, "m");
    assert_code(&ask(&llm(vec![cut])).await, "unavailable", &["connection_lost"; 5]);
    let good = Server::start(vec![well()]).await;
    let answer = ask(&llm(vec![gone, openai(&good)])).await;
    assert_billing(&answer, &["connect", "connect", "connect", "connect", "connect", "valid"]);
}

#[tokio::test]
async fn the_breaker_opens_probes_once_and_closes() {
    let server = Server::start(vec![Reply::status(500, "")]).await;
    let llm = llm(vec![openai(&server)]);
    assert_code(&ask(&llm).await, "unavailable", &["http_500"; 5]);
    assert_code(&ask(&llm).await, "unavailable", &["breaker_open"]);
    assert_eq!(server.calls(), 5, "an open breaker calls nobody");

    // The probe fails: open again, at once.
    let answer = past_the_breaker(&llm).await;
    assert_code(&answer, "unavailable", &["http_500", "breaker_open"]);
    assert_eq!(server.calls(), 6);

    server.replay(vec![well()]);
    assert_billing(&past_the_breaker(&llm).await, &["valid"]);
    assert_billing(&ask(&llm).await, &["valid"]);
}

/// Asks until the breaker lets a call through.
async fn past_the_breaker(llm: &Llm) -> Answer {
    let start = Instant::now();
    loop {
        let answer = ask(llm).await;
        if verdicts(&answer) != ["breaker_open"] {
            return answer;
        }
        assert!(start.elapsed() < AMPLE, "the breaker never let a call through");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_open_breaker_leaves_the_whole_budget_to_the_others() {
    let (bad, hung) = (Server::start(vec![Reply::status(401, "")]).await, Server::start(vec![Reply::Silence]).await);
    let llm = llm(vec![openai(&bad), openai(&hung)]);
    assert_code(&ask_within(&llm, question(), SHORT).await, "timeout", &["http_401", "timeout"]);
    let answer = ask_within(&llm, question(), SHORT).await;
    assert_code(&answer, "timeout", &["breaker_open", "timeout"]);
    assert!(answer.attempts[1].millis > 250, "more than half: {}", answer.attempts[1].millis);
}

#[tokio::test]
async fn a_deadline_that_has_passed_calls_nobody() {
    let server = Server::start(vec![well()]).await;
    let answer = ask_within(&llm(vec![openai(&server)]), question(), Duration::ZERO).await;
    assert_code(&answer, "timeout", &[]);
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn the_check_says_of_each_provider_whether_it_works_and_what_to_do() {
    let good = Server::start(vec![Reply::chat(&chosen("Calculator"))]).await;
    let (locked, chatty) =
        (Server::start(vec![Reply::status(401, "no such key")]).await, Server::start(vec![Reply::chat("4")]).await);
    let results = llm(vec![openai(&locked), openai(&good), openai(&chatty)]).check().await;
    let names: Vec<_> = results.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, [&locked, &good, &chatty].map(|server| format!("p{}", server.port)));
    let locked_says = results[0].1.as_ref().unwrap_err();
    assert!(locked_says.contains("http_401 (no such key)") && locked_says.contains("api_key_env"), "{locked_says}");
    assert!(results[1].1.as_ref().unwrap().starts_with("small answered in "));
    assert!(results[2].1.as_ref().unwrap_err().contains("not_json (4)"));
    assert_eq!((locked.calls(), chatty.calls()), (1, 1), "one call each");
}
