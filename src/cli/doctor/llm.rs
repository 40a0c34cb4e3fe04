//! Whether each model's endpoint answers and takes our key: its list of models is asked for, which costs no token.

use super::Report;
use crate::config::{Api, Llm, Provider};
use reqwest::StatusCode;
use std::error::Error;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn check(llm: &Llm, report: &mut Report) {
    if llm.providers.is_empty() {
        report.well("llm", "none is configured: agents are chosen by contract and by the local selector");
    }
    for provider in &llm.providers {
        let what = format!("llm {}", provider.model);
        if let (Some(variable), None) = (&provider.api_key_env, &provider.api_key) {
            report.odd(&what, format!("{variable} is not set: calls carry no key"));
        }
        match ask(provider).await {
            Ok(status) if status.is_success() => report.well(&what, format!("{} answers", provider.base_url)),
            Ok(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
                report.bad(&what, format!("{} answers {status}; check api_key_env or api_key_file", provider.base_url));
            }
            // Not every endpoint lists its models.
            Ok(status) => report.odd(&what, format!("{} answers {status} to a list of models", provider.base_url)),
            Err(error) => report.bad(
                &what,
                format!(
                    "{} does not answer ({error}); check base_url. Without it selection is local",
                    provider.base_url
                ),
            ),
        }
    }
}

/// The innermost cause: the outer ones only say that a request failed.
fn said(error: reqwest::Error) -> String {
    let mut cause: &dyn Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

async fn ask(provider: &Provider) -> Result<StatusCode, String> {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(said)?;
    let base = provider.base_url.trim_end_matches('/');
    let key = provider.api_key.as_ref().map(crate::config::Secret::reveal);
    let request = match provider.api {
        Api::OpenaiChat => {
            let request = client.get(format!("{base}/models"));
            key.into_iter().fold(request, |request, key| request.bearer_auth(key))
        }
        Api::AnthropicMessages => {
            let path = if base.ends_with("/v1") { "models" } else { "v1/models" };
            let request = client.get(format!("{base}/{path}")).header("anthropic-version", "2023-06-01");
            key.into_iter().fold(request, |request, key| request.header("x-api-key", key))
        }
    };
    request.send().await.map(|answer| answer.status()).map_err(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::HeaderMap;
    use axum::routing::get;

    async fn endpoint() -> String {
        let models = |headers: HeaderMap| async move {
            let known = headers.get("authorization").is_some_and(|given| given == "Bearer right");
            if known { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/models", get(models))).await });
        format!("http://{address}/v1")
    }

    async fn said(base_url: String, key: &str) -> Report {
        let api_key = Some(crate::config::Secret::from(key.to_owned()));
        let provider = Provider { base_url, model: "m".to_owned(), api_key, ..Provider::default() };
        let mut report = Report::default();
        check(&Llm { providers: vec![provider], ..Llm::default() }, &mut report).await;
        report
    }

    #[tokio::test]
    async fn a_wrong_key_and_a_silent_endpoint_are_told_apart() {
        let url = endpoint().await;
        assert!(!said(url.clone(), "right").await.failed);
        let wrong = said(url, "wrong").await;
        assert!(wrong.failed && wrong.rows[0]["detail"].as_str().unwrap().contains("api_key_env"));
        let silent = said("http://127.0.0.1:1/v1".to_owned(), "right").await;
        assert!(silent.failed && silent.rows[0]["detail"].as_str().unwrap().contains("does not answer"));
    }
}
