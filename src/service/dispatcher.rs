//! The role `dispatcher`.

use super::{Base, PostBox};
use crate::dispatch::{Dispatcher, Setup};
use std::net::SocketAddr;

/// Works until the process is to end. The reports that agents post are taken from here on.
///
/// # Errors
/// Why it cannot go on.
pub(super) async fn run(base: &Base, address: SocketAddr, posted: &PostBox) -> anyhow::Result<()> {
    let setup = Setup {
        config: base.config.clone(),
        codec: base.codec.clone(),
        registry: base.registry.clone(),
        metrics: base.metrics.clone(),
        health: base.health.clone(),
        slot: base.slot.clone(),
        // A process of the same slot is another writer.
        writer: format!("{}-{}", base.slot, std::process::id()),
        report_url: report_url(base.config.dispatcher.report_url.as_deref(), address),
        answer_bytes: base.config.workflow.payload_bytes.saturating_add(super::BESIDE_OUTPUT),
        stop: base.root.clone(),
    };
    let dispatcher = Dispatcher::new(setup)?;
    // Nobody else sets it.
    let _ = posted.set(dispatcher.posted());
    let agents = base.agents.clone();
    dispatcher.run(move || agents.get()).await?;
    Ok(())
}

/// As configured; else where this process listens: for agents on this machine, where that is every address.
fn report_url(configured: Option<&str>, mut address: SocketAddr) -> String {
    if let Some(url) = configured {
        return url.to_owned();
    }
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{address}/api/v1/reports")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_report_to_where_this_process_listens_unless_told_otherwise() {
        let to = |address: &str| report_url(None, address.parse().unwrap());
        assert_eq!(to("10.1.2.3:80"), "http://10.1.2.3:80/api/v1/reports");
        assert_eq!(to("0.0.0.0:8080"), "http://127.0.0.1:8080/api/v1/reports");
        assert_eq!(
            report_url(Some("https://baton.example/r"), "0.0.0.0:1".parse().unwrap()),
            "https://baton.example/r"
        );
    }
}
