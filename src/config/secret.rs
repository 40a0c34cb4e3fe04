//! Values that must not be shown.

use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// What stands in a secret's place wherever it would be shown.
pub(super) const REDACTED: &str = "<redacted>";

/// A password, key or token. Showing, logging and serialising it gives `<redacted>`; only [`Secret::reveal`] gives it away.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

/// Whether the value under this key (of ours or of the Kafka client) must not be shown.
pub(super) fn is_secret(key: &str) -> bool {
    let last = key.rsplit(['.', '_']).next().unwrap_or(key);
    // A path to a secret is none, and neither is the name of a variable that holds one.
    if matches!(last, "file" | "env" | "location") {
        return false;
    }
    matches!(last, "password" | "secret" | "token" | "key" | "pem" | "passphrase" | "credentials")
        || key.ends_with("sasl.oauthbearer.config")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_in_no_way_what_it_is() {
        let secret = Secret::from("hunter2".to_owned());
        let shown = format!("{secret} {secret:?} {}", serde_json::to_string(&secret).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[test]
    fn keys_that_hold_secrets_are_told_from_keys_that_name_them() {
        for key in
            ["kafka.client.sasl.password", "kafka.client.ssl.key.pem", "llm.providers[0].api_key", "registry.password"]
        {
            assert!(is_secret(key), "{key}");
        }
        for key in
            ["llm.providers[0].api_key_env", "registry.password_file", "kafka.client.ssl.key.location", "kafka.slot"]
        {
            assert!(!is_secret(key), "{key}");
        }
    }
}
