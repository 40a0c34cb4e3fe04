//! What a provider is never asked for more than.

use super::*;
use std::sync::Arc;

#[tokio::test]
async fn requests_over_the_limit_go_to_the_next_provider() {
    let (first, second) = (Server::start(vec![well()]).await, Server::start(vec![well()]).await);
    let limited = Provider { requests_per_minute: Some(2), ..openai(&first) };
    let llm = llm(vec![limited, openai(&second)]);
    for _ in 0..2 {
        assert_billing(&ask(&llm).await, &["valid"]);
    }
    assert_billing(&ask(&llm).await, &["rate_limited", "valid"]);
    assert_eq!((first.calls(), second.calls()), (2, 1));
}

#[tokio::test]
async fn a_re_ask_counts_as_a_request_and_alone_the_limit_is_the_code() {
    let server = Server::start(vec![Reply::chat("no")]).await;
    let llm = llm(vec![Provider { requests_per_minute: Some(1), ..openai(&server) }]);
    let start = Instant::now();
    assert_code(&ask(&llm).await, "rate_limited", &["not_json", "rate_limited"]);
    assert_code(&ask(&llm).await, "rate_limited", &["rate_limited"]);
    assert!(start.elapsed() < AMPLE, "a wait beyond the budget is not begun");
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn tokens_are_reserved_by_estimate_and_corrected_by_usage() {
    let server = Server::start(vec![well()]).await;
    // An estimate is about 1,300 tokens, the real usage 120: without correction the second would not fit.
    let llm = llm(vec![Provider { tokens_per_minute: Some(1_700), ..openai(&server) }]);
    let mut asked = 0;
    while ask(&llm).await.said.is_ok() {
        asked += 1;
        assert!(asked < 20);
    }
    assert!(asked >= 2, "{asked}");
    assert_eq!(server.calls(), asked);
    assert_code(&ask(&llm).await, "rate_limited", &["rate_limited"]);
}

#[tokio::test]
async fn the_days_cap_is_never_passed() {
    let server = Server::start(vec![well()]).await;
    // 1 micro per input token, 2 per output token: an answer costs 140, its reservation some thousands.
    let provider = Provider { daily_cost_cap_micros: Some(5_000), max_output_tokens: 1_000, ..openai(&server) };
    let llm = llm(vec![provider]);
    let mut spent = 0;
    let last = loop {
        let answer = ask(&llm).await;
        spent += answer.attempts.iter().map(|attempt| attempt.usage.cost_micros).sum::<i64>();
        if answer.said.is_err() {
            break answer;
        }
    };
    assert_code(&last, "cost_cap", &["cost_cap"]);
    assert!(spent > 0 && spent <= 5_000, "{spent}");
    assert_eq!(server.calls() as i64 * 140, spent);
}

#[tokio::test]
async fn calls_in_flight_are_bounded_and_waiting_for_a_place_is_part_of_the_budget() {
    let server = Server::start(vec![Reply::Silence]).await;
    let llm = Arc::new(llm(vec![Provider { max_in_flight: 2, ..openai(&server) }]));
    let budget = SLACK;
    let running: Vec<_> = (0..6)
        .map(|_| {
            let llm = Arc::clone(&llm);
            tokio::spawn(async move { ask_within(&llm, question(), budget).await })
        })
        .collect();
    let mut verdicts = Vec::new();
    for answer in running {
        let answer = answer.await.unwrap();
        assert_eq!(answer.said, Err("timeout".to_owned()));
        verdicts.extend(answer.attempts.into_iter().map(|attempt| attempt.verdict));
    }
    verdicts.sort();
    assert_eq!(verdicts, ["max_in_flight", "max_in_flight", "max_in_flight", "max_in_flight", "timeout", "timeout"]);
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn a_question_given_up_gives_back_its_place() {
    let server = Server::start(vec![Reply::Silence, well()]).await;
    let llm = llm(vec![Provider { max_in_flight: 1, ..openai(&server) }]);
    let late = Ask { deadline: Instant::now() + AMPLE, ..question() };
    let given_up = async {
        while server.calls() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = llm.ask(&late) => panic!("{answer:?}"),
        () = given_up => {}
    }
    assert_billing(&ask(&llm).await, &["valid"]);
}
