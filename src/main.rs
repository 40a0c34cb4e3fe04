use baton::config::LogFormat;
use baton::{cli, telemetry};
use std::process::ExitCode;

/// A transaction is a hundred thousand small pieces of memory taken and given back together, which the system's allocator
/// was slow at when it was profiled.
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
