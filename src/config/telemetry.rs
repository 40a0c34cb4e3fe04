use super::check::Checks;
use serde::{Deserialize, Serialize};

/// `[telemetry]`: the log. Traces are configured by `OTEL_*` in the environment alone.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    pub log_format: LogFormat,
    /// Directives as in `info,baton::worker=debug`; `RUST_LOG` goes first.
    pub log_filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { log_format: LogFormat::Text, log_filter: "info".to_owned() }
    }
}

impl Telemetry {
    pub(super) fn check(&self, checks: &mut Checks) {
        let readable = tracing_subscriber::EnvFilter::builder().parse(&self.log_filter);
        if let Err(error) = readable {
            checks.that(false, "telemetry.log_filter", &error.to_string(), "use directives such as info,baton=debug");
        }
    }
}
