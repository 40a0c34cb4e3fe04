//! Agents over HTTP that cost as little as they can, on one thread.

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::routing::post;

const REPORT: &str = "{\"status\":\"SUCCEEDED\",\"output\":{\"score\":87,\
    \"why\":\"It asks for what we sell, and says by when it wants it.\",\
    \"next\":\"Look up what was agreed and answer with a date.\"}}";

/// Says where it listens, and answers until it is killed: `/well/…` at once, `/busy/…` that it is to be asked in an hour.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
        println!("http://{}", listener.local_addr().expect("it is bound"));
        // The body is taken in full: else its connection could not be used again.
        let well = |_: Bytes| async { ([(header::CONTENT_TYPE, "application/json")], REPORT) };
        let busy = |_: Bytes| async { (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "600")]) };
        let router = Router::new().route("/well/{agent}", post(well)).route("/busy/{agent}", post(busy));
        axum::serve(listener, router).await.expect("it serves");
    });
}
