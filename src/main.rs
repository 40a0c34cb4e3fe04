use baton::config::LogFormat;
use baton::{cli, telemetry};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(|logging, runtime| {
        let format = match logging.format {
            LogFormat::Text => telemetry::Format::Text,
            LogFormat::Json => telemetry::Format::Json,
        };
        telemetry::init(&telemetry::Setup { format, filter: logging.filter }, runtime)
    })
}
