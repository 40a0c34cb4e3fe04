//! `baton config print`

use super::args::{ConfigArgs, ConfigCommand, ConfigFormat};
use super::context::Context;
use super::{Done, output};

pub(super) fn run(context: &Context, args: &ConfigArgs) -> anyhow::Result<Done> {
    let ConfigCommand::Print { format } = args.command;
    let effective = context.config.effective();
    match format {
        ConfigFormat::Toml => output::raw(toml::to_string(&effective)?.as_bytes())?,
        ConfigFormat::Json => output::line(serde_json::to_string_pretty(&effective)?)?,
    }
    for warning in context.config.warnings() {
        output::note(format!("warning: {warning}"));
    }
    Ok(Done::Well)
}
