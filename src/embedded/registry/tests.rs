use super::*;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

mod documented;
mod kept;
mod limits;

/// A registry on a port of its own, and who asks it.
struct Running {
    url: String,
    client: Client,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<Result<(), RegistryServerError>>,
}

async fn running(store: Option<PathBuf>) -> Running {
    let server = RegistryServer::bind(([127, 0, 0, 1], 0).into(), store).await.unwrap();
    let url = format!("http://{}", server.address());
    let stop = CancellationToken::new();
    let served = tokio::spawn(server.serve(stop.clone()));
    Running { url, client: Client::new(), stop, served }
}

impl Running {
    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/vnd.schemaregistry.v1+json", "{path}");
        let status = answer.status();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    /// What must go well.
    async fn get(&self, path: &str) -> Value {
        self.well("GET", path, None).await
    }

    async fn well(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.ask(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    async fn put(&self, path: &str, body: Value) -> Value {
        self.well("PUT", path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> Value {
        self.well("DELETE", path, None).await
    }

    /// The id of what must be registered.
    async fn register(&self, subject: &str, body: Value) -> u64 {
        let answer = self.well("POST", &format!("/subjects/{subject}/versions"), Some(body)).await;
        answer["id"].as_u64().unwrap()
    }

    /// The code of what must be refused; the HTTP status goes with it.
    async fn refused(&self, method: &str, path: &str, body: Option<Value>) -> u64 {
        let (status, answer) = self.ask(method, path, body).await;
        let code = answer["error_code"].as_u64().unwrap_or_else(|| panic!("{method} {path}: {answer}"));
        assert_eq!(code.to_string()[..3], status.as_u16().to_string(), "{answer}");
        assert!(answer["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer}");
        code
    }

    async fn stop(self) {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
    }
}

/// A record with these fields, `name:type` or `name:type=default`.
fn record(fields: &[&str]) -> Value {
    let fields = fields.iter().map(|field| {
        let (name, kind) = field.split_once(':').unwrap();
        match kind.split_once('=') {
            Some((kind, default)) => {
                json!({"name": name, "type": kind, "default": serde_json::from_str::<Value>(default).unwrap()})
            }
            None => json!({"name": name, "type": kind}),
        }
    });
    avro(&json!({"type": "record", "name": "R", "fields": fields.collect::<Vec<_>>()}))
}

fn avro(schema: &Value) -> Value {
    json!({ "schema": schema.to_string() })
}

fn json_schema(schema: &Value) -> Value {
    json!({ "schema": schema.to_string(), "schemaType": "JSON" })
}
