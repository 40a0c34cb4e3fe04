use super::check::Checks;
use super::secret::Secret;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// `[http]`: health, metrics, and reports of agents with an endpoint.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Port 0 = any free one, printed.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// A file that holds the bearer token every route but `/healthz` and `/readyz` then asks for.
    pub token_file: Option<String>,
    /// The token, read from that file.
    #[serde(skip_deserializing)]
    pub token: Option<Secret>,
    /// Lets another address than loopback be served without a token.
    pub insecure: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            token_file: None,
            token: None,
            insecure: false,
        }
    }
}

impl Http {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.that(
            self.listen.ip().is_loopback() || self.insecure || self.token_file.is_some(),
            "http.listen",
            "can be reached from other machines, and nothing protects it",
            "set http.token_file, or http.insecure = true if the network itself is trusted, or listen on 127.0.0.1",
        );
    }

    pub(super) fn read_secret_files(&mut self, checks: &mut Checks) {
        super::secret_from_file("http", "token", &mut self.token, self.token_file.as_deref(), checks);
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let expected = || D::Error::custom("must be an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080");
    let text = String::deserialize(deserializer).map_err(|_| expected())?;
    match text.trim().strip_prefix("localhost:") {
        Some(port) => port.parse().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)).ok(),
        None => text.trim().parse().ok(),
    }
    .ok_or_else(expected)
}
