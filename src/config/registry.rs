use super::check::Checks;
use super::secret::Secret;
use serde::{Deserialize, Serialize};

/// `[registry]`: the schema registry (Confluent's API).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    pub url: String,
    /// Basic authentication; goes with a password.
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// A file that holds the password.
    pub password_file: Option<String>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { url: "http://localhost:8081".to_owned(), user: None, password: None, password_file: None }
    }
}

impl Registry {
    pub(super) fn check(&self, checks: &mut Checks) {
        checks.url("registry.url", &self.url);
        checks.that(
            self.user.is_some() == (self.password.is_some() || self.password_file.is_some()),
            "registry.user",
            "a user and a password go together",
            "set registry.user and registry.password_file (or registry.password), or neither",
        );
    }

    pub(super) fn read_secret_files(&mut self, checks: &mut Checks) {
        super::secret_from_file("registry", "password", &mut self.password, self.password_file.as_deref(), checks);
    }
}
