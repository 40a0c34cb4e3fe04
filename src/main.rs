use baton::config::LogFormat;
use baton::{cli, telemetry};
use std::process::ExitCode;

/// A transaction is a hundred thousand small pieces of memory taken and given back together; the system's allocator
/// spends most of the core's time on putting them together again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main(|logging, runtime| {
        let format = match logging.format {
            LogFormat::Text => telemetry::Format::Text,
            LogFormat::Json => telemetry::Format::Json,
        };
        telemetry::init(&telemetry::Setup { format, filter: logging.filter }, runtime)
    })
}
