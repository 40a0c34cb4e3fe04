//! The log on standard error: text with colours where a person reads it, or JSON lines.

use super::otlp;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::runtime::Handle;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// How long the last spans may take to leave at the end.
const FLUSH: Duration = Duration::from_secs(3);

/// How to log.
#[derive(Clone, Debug)]
pub struct Setup {
    pub format: Format,
    /// Directives as in `info,baton::worker=debug`; `RUST_LOG` goes first if it is set.
    pub filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Keeps telemetry alive; dropping it sends what is left, for at most 3 s.
#[must_use = "dropping it ends the export of traces"]
#[derive(Debug)]
pub struct Guard {
    provider: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

/// Sets up logging, and the export of traces if `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) is set. Once per
/// process; `runtime` carries the exporter's connections and must outlive the guard.
///
/// # Errors
/// Filter directives that cannot be read, an exporter that cannot be built, a second set-up.
pub fn init(setup: &Setup, runtime: &Handle) -> anyhow::Result<Guard> {
    let directives = std::env::var("RUST_LOG").ok().filter(|it| !it.is_empty()).unwrap_or_else(|| setup.filter.clone());
    let filter = EnvFilter::builder().parse(&directives)?;
    let (tracer, provider) = otlp::tracer(runtime)?.unzip();
    let lines = match setup.format {
        Format::Json => tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr).boxed(),
        Format::Text => tracing_subscriber::fmt::layer().with_ansi(coloured()).with_writer(std::io::stderr).boxed(),
    };
    // The exporter's own client must not trace itself.
    let spans = tracer.map(|tracer| tracing_opentelemetry::layer().with_tracer(tracer).with_filter(filter_for_spans()));
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).try_init()?;
    Ok(Guard { provider })
}

fn filter_for_spans() -> EnvFilter {
    EnvFilter::new("off,baton=info")
}

/// <https://no-color.org>: set and not empty means none.
fn coloured() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = self.provider.take()
            && let Err(error) = provider.shutdown_with_timeout(FLUSH)
        {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}
