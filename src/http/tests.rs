use super::*;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

struct Running {
    url: String,
    health: Health,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<Result<(), HttpError>>,
}

async fn running(token: Option<&str>) -> Running {
    let health = Health::new();
    let shown = Shown {
        health: health.clone(),
        metrics: Arc::new(Metrics::new()),
        token: token.map(Token::from),
        reports: None,
        report_bytes: 1024,
    };
    let server = Server::bind(([127, 0, 0, 1], 0).into(), shown).await.unwrap();
    let url = format!("http://{}", server.address().unwrap());
    let stop = CancellationToken::new();
    let served = tokio::spawn(server.serve(stop.clone()));
    Running { url, health, stop, served }
}

impl Running {
    async fn get(&self, path: &str) -> reqwest::Response {
        reqwest::get(format!("{}{path}", self.url)).await.unwrap()
    }
}

#[tokio::test]
async fn readiness_says_what_it_waits_for() {
    let server = running(None).await;
    assert_eq!(server.get("/healthz").await.status(), 200);
    server.health.ready("brokers");
    server.health.waiting("partitions", "restoring 3 of 6");
    let answer = server.get("/readyz").await;
    assert_eq!(answer.status(), 503);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["parts"]["partitions"], "restoring 3 of 6");
    server.health.ready("partitions");
    assert_eq!(server.get("/readyz").await.status(), 200);
}

#[tokio::test]
async fn an_unknown_route_is_a_problem_in_json() {
    let server = running(None).await;
    let answer = server.get("/nowhere").await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["status"], 404);
    let posted = reqwest::Client::new().post(format!("{}/healthz", server.url)).send().await.unwrap();
    assert_eq!(posted.status(), 405);
    assert_eq!(posted.headers()[CONTENT_TYPE], "application/problem+json");
}

#[tokio::test]
async fn a_token_guards_all_but_the_probes() {
    let server = running(Some("s3cr3t")).await;
    server.health.ready("brokers");
    assert_eq!(server.get("/healthz").await.status(), 200);
    assert_eq!(server.get("/readyz").await.status(), 200);
    assert_eq!(server.get("/metrics").await.status(), 401);
    let with =
        |token: &'static str| reqwest::Client::new().get(format!("{}/metrics", server.url)).bearer_auth(token).send();
    assert_eq!(with("s3cr3x").await.unwrap().status(), 401);
    let shown = with("s3cr3t").await.unwrap();
    assert_eq!(shown.status(), 200);
    assert!(shown.text().await.unwrap().contains("baton_live_workflows 0"));
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_the_key() {
    let server = running(None).await;
    let taken: SocketAddr = server.url.trim_start_matches("http://").parse().unwrap();
    let shown = Shown {
        health: Health::new(),
        metrics: Arc::new(Metrics::new()),
        token: None,
        reports: None,
        report_bytes: 1024,
    };
    let error = Server::bind(taken, shown).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("http.listen = {taken}")), "{error}");
}

#[tokio::test]
async fn it_ends_when_told_to() {
    let server = running(None).await;
    assert_eq!(server.get("/healthz").await.status(), 200);
    server.stop.cancel();
    server.served.await.unwrap().unwrap();
}
