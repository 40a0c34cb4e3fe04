//! The HTTP port: `/healthz` (the process is alive), `/readyz` (it can do its work, or why not), `/metrics`, and `/api/v1/reports`,
//! where agents with an endpoint report.
//!
//! It keeps nothing itself. Errors are problem JSON. With a token, every route but the two
//! for probes asks for it. A port that is taken is an error that names `http.listen`.

mod problem;

use crate::dispatch::{NotTaken, PostedReports};
use crate::telemetry::{Health, Metrics};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use problem::Problem;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the port shows, and to whom.
#[derive(Clone, Debug)]
pub struct Shown {
    pub health: Health,
    pub metrics: Arc<Metrics>,
    /// The bearer token asked for; none = no one is asked.
    pub token: Option<Token>,
    /// Where reports go, once somebody takes them; none = not in this process.
    pub reports: Option<Arc<OnceLock<PostedReports>>>,
    /// Of a report.
    pub report_bytes: usize,
}

/// A bearer token; not shown by `Debug`.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl From<&str> for Token {
    fn from(token: &str) -> Self {
        Self(token.into())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(<redacted>)")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("http.listen = {address} cannot be taken; choose another port, or 0 for any free one")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the HTTP server ended")]
    Serve(#[from] std::io::Error),
}

/// A port that is taken and not yet served.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    router: Router,
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// [`HttpError::Listen`] where the port is taken or not ours to take.
    pub async fn bind(address: SocketAddr, shown: Shown) -> Result<Self, HttpError> {
        let listener = TcpListener::bind(address).await.map_err(|source| HttpError::Listen { address, source })?;
        Ok(Self { listener, router: router(shown) })
    }

    /// The address in fact, also where port 0 was asked for.
    ///
    /// # Errors
    /// Where the system cannot say.
    pub fn address(&self) -> Result<SocketAddr, HttpError> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until `stop`, then ends what is under way and returns.
    ///
    /// # Errors
    /// [`HttpError::Serve`].
    pub async fn serve(self, stop: CancellationToken) -> Result<(), HttpError> {
        let Self { listener, router } = self;
        axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await?;
        Ok(())
    }
}

fn router(shown: Shown) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics))
        .route("/api/v1/reports", post(report).layer(DefaultBodyLimit::max(shown.report_bytes)))
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(shown.clone(), authorised));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .merge(guarded)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shown)
}

async fn readiness(State(shown): State<Shown>) -> Response {
    let ready = shown.health.is_ready();
    let parts: serde_json::Map<_, _> = shown
        .health
        .parts()
        .into_iter()
        .map(|(part, reason)| (part, reason.unwrap_or_else(|| "ready".to_owned()).into()))
        .collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(serde_json::json!({ "ready": ready, "parts": parts }))).into_response()
}

async fn metrics(State(shown): State<Shown>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shown.metrics.render()).into_response()
}

/// 202 once the brokers have it.
async fn report(
    State(shown): State<Shown>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let Some(reports) = &shown.reports else {
        let detail = "this process has no role dispatcher; report to one that has";
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    let body = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let Some(reports) = reports.get() else {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "still starting; report again in a moment"));
    };
    let trace = headers.get("traceparent").and_then(|trace| trace.to_str().ok());
    match reports.take(&body, trace).await {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(NotTaken::Invalid(detail)) => Err(Problem::new(StatusCode::BAD_REQUEST, detail)),
        Err(NotTaken::Unavailable(detail)) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)),
    }
}

async fn not_found(request: Request) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is no {}", request.uri().path()))
}

async fn wrong_method(request: Request) -> Problem {
    let detail = format!("{} does not take {}", request.uri().path(), request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

async fn authorised(State(shown): State<Shown>, request: Request, next: Next) -> Response {
    let Some(token) = &shown.token else { return next.run(request).await };
    if bearer(request.headers()).is_some_and(|given| same(given.as_bytes(), token.0.as_bytes())) {
        return next.run(request).await;
    }
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "this route wants Authorization: Bearer <token>");
    ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Takes as long wherever the first difference is, so that its place cannot be measured.
fn same(given: &[u8], token: &[u8]) -> bool {
    given.len() == token.len() && given.iter().zip(token).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests;
