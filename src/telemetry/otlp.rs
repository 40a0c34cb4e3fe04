//! Exports spans over OTLP/HTTP, configured by `OTEL_*` alone; without an endpoint there nothing is built.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

static ON: AtomicBool = AtomicBool::new(false);

/// Whether spans are exported: only then is it worth reading the contexts they belong to.
pub(super) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// The tracer, and what flushes it; none if no endpoint is set.
pub(super) fn tracer(runtime: &Handle) -> anyhow::Result<Option<(SdkTracer, SdkTracerProvider)>> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let disabled = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    if disabled || !(set("OTEL_EXPORTER_OTLP_ENDPOINT") || set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")) {
        return Ok(None);
    }
    let _entered = runtime.enter();
    let exporter =
        opentelemetry_otlp::SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?;
    let provider = provider(exporter, runtime, !set("OTEL_SERVICE_NAME"));
    ON.store(true, Ordering::Relaxed);
    Ok(Some((provider.tracer("baton"), provider)))
}

fn provider(exporter: opentelemetry_otlp::SpanExporter, runtime: &Handle, nameless: bool) -> SdkTracerProvider {
    let mut resource = Resource::builder();
    if nameless {
        resource = resource.with_service_name("baton");
    }
    SdkTracerProvider::builder()
        .with_batch_exporter(OnRuntime { exporter, runtime: runtime.clone() })
        .with_resource(resource.build())
        .build()
}

/// The batch processor polls its exporter on a plain thread, and the HTTP client panics where there is no runtime: so each
/// poll happens inside ours.
#[derive(Debug)]
struct OnRuntime {
    exporter: opentelemetry_otlp::SpanExporter,
    runtime: Handle,
}

impl SpanExporter for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut export = pin!(self.exporter.export(batch));
        poll_fn(|context| {
            let _entered = self.runtime.enter();
            export.as_mut().poll(context)
        })
        .await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use axum::routing::post;
    use opentelemetry::trace::{Span as _, Tracer as _};
    use tokio::sync::mpsc;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn spans_leave_although_the_batch_processor_has_no_runtime_of_its_own() {
        let (sent, mut received) = mpsc::unbounded_channel::<Bytes>();
        let collector = axum::Router::new().route(
            "/v1/traces",
            post(move |body: Bytes| async move {
                sent.send(body).expect("the test still listens");
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, collector).await });
        let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().with_endpoint(url).build().unwrap();
        let provider = provider(exporter, &Handle::current(), true);
        provider.tracer("test").start("baton.transaction").end();
        tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(Duration::from_secs(3)))
            .await
            .unwrap()
            .unwrap();
        let body = received.recv().await.unwrap();
        let found = |name: &str| body.windows(name.len()).any(|window| window == name.as_bytes());
        assert!(found("baton.transaction") && found("service.name"), "{body:?}");
    }
}
