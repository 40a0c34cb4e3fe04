//! Collects what is wrong with values that are well typed.

use super::fault::Fault;
use std::fmt::Display;
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) faults: Vec<Fault>,
}

impl Checks {
    pub(super) fn that(&mut self, holds: bool, key: &str, problem: &str, remedy: &str) {
        if !holds {
            self.faults.push(Fault {
                key: key.to_owned(),
                value: None,
                origin: None,
                problem: problem.to_owned(),
                remedy: remedy.to_owned(),
            });
        }
    }

    pub(super) fn fault_in_client(&mut self, property: &str, problem: &str, remedy: &str) {
        self.that(false, &format!("kafka.client.{property}"), problem, remedy);
    }

    pub(super) fn positive(&mut self, key: &str, duration: Duration) {
        self.that(!duration.is_zero(), key, "must be more than 0", "raise it");
    }

    pub(super) fn range<T: PartialOrd + Display>(&mut self, key: &str, value: T, least: T, most: T) {
        let problem = format!("must be between {least} and {most}");
        let remedy = if value < least { "raise it" } else { "lower it" };
        self.that((least..=most).contains(&value), key, &problem, remedy);
    }

    pub(super) fn url(&mut self, key: &str, url: &str) {
        if url.trim().is_empty() {
            return self.that(false, key, "is missing", "give a URL such as http://localhost:8081");
        }
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let sound = host.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':', '?']))
            && !url.contains(char::is_whitespace);
        self.that(sound, key, "is no http or https URL", "give a URL such as http://localhost:8081");
        if let Some((user, _)) = host.and_then(|rest| rest.split(['/', '?']).next()).and_then(|it| it.rsplit_once('@'))
        {
            let problem = format!("has the credentials of {:?} in it", user.split(':').next().unwrap_or_default());
            self.that(false, key, &problem, "take them out of the URL and use the keys made for them");
        }
    }
}
