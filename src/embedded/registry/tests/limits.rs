//! Odd requests, and what is bounded.

use super::*;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let registry = running(None).await;
    let taken: SocketAddr = registry.url.trim_start_matches("http://").parse().unwrap();
    let error = RegistryServer::bind(taken, None).await.unwrap_err();
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
}

#[tokio::test]
async fn it_ends_when_told_to() {
    let registry = running(None).await;
    assert_eq!(registry.get("/").await, json!({}));
    registry.stop().await;
}

#[tokio::test]
async fn names_of_subjects_may_need_quoting() {
    let registry = running(None).await;
    let name = "a b/c?d#e%f:ü";
    let quoted = "a%20b%2Fc%3Fd%23e%25f%3A%C3%BC";
    registry.register(quoted, record(&["a:int"])).await;
    assert_eq!(registry.get("/subjects").await, json!([name]));
    assert_eq!(registry.get(&format!("/subjects/{quoted}/versions/1")).await["subject"], name);
    registry.put(&format!("/config/{quoted}"), json!({"compatibility": "NONE"})).await;
    assert_eq!(registry.delete(&format!("/subjects/{quoted}")).await, json!([1]));
    let long = "x".repeat(1025);
    for bad in ["a%00", &long] {
        let path = format!("/subjects/{bad}/versions");
        assert_eq!(registry.refused("POST", &path, Some(record(&["a:int"]))).await, 42208);
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_or_no_json_is_refused() {
    let registry = running(None).await;
    let large = json!({ "schema": "x".repeat(request::MAX_BODY) });
    assert_eq!(registry.refused("POST", "/subjects/s/versions", Some(large)).await, 413);
    assert_eq!(registry.refused("POST", "/subjects/s/versions", Some(json!([1]))).await, 400);
    assert_eq!(registry.refused("POST", "/subjects/s/versions", None).await, 400);
    assert_eq!(registry.refused("PUT", "/mode", Some(json!({"mode": 1}))).await, 400);
    let (status, _) = registry.ask("POST", "/subjects/s/versions", Some(json!({"schema": "[".repeat(100_000)}))).await;
    assert_eq!(status, 422);
}

#[tokio::test]
async fn what_would_be_lost_is_refused_and_absent_values_are_none() {
    let registry = running(None).await;
    let mut schema = record(&["a:int"]);
    schema["metadata"] = json!({"owner": "x"});
    assert_eq!(registry.refused("POST", "/subjects/s/versions", Some(schema.clone())).await, 422);
    for key in ["metadata", "ruleSet", "references", "schemaType", "id", "version"] {
        schema[key] = Value::Null;
    }
    assert_eq!(registry.well("POST", "/subjects/s/versions?normalize=true", Some(schema)).await["id"], 1);
}

#[tokio::test]
async fn one_connection_carries_many_requests_also_without_a_content_type() {
    let registry = running(None).await;
    let address = registry.url.trim_start_matches("http://").to_owned();
    let answers = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(&address).unwrap();
        let body = r#"{"schema":"\"string\""}"#;
        let post =
            format!("POST /subjects/s/versions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let last = "GET /subjects HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(format!("{post}{post}{last}").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    let answers = answers.await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3, "{answers}");
    assert!(answers.ends_with(r#"["s"]"#), "{answers}");
}

#[tokio::test]
async fn many_at_once_get_each_id_once() {
    let registry = Arc::new(running(None).await);
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..20 {
        let registry = Arc::clone(&registry);
        tasks.spawn(async move { registry.register(&format!("s{i}"), record(&[&format!("f{}:int", i % 5)])).await });
    }
    let mut ids = tasks.join_all().await;
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
}
