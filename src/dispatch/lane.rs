//! One agent: where it is, what it may be given at once, and whether it asked to wait.

use crate::config::{AgentSecret, Dispatcher};
use crate::selection::{Agent, is_json, same_name};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

/// Where an agent is called now, for those who wait for it; none while its definition has no endpoint.
pub(super) type Whereabouts = watch::Receiver<Option<Arc<Lane>>>;

/// An agent as it is called. Made anew when its definition changes: a request under way ends with the old one, and what
/// waits goes by the new one.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) agent_name: String,
    pub(super) endpoint: Url,
    /// Its input is text, and goes into the body as it is.
    pub(super) takes_text: bool,
    /// Its secrets; never shown.
    pub(super) headers: HeaderMap,
    pub(super) most: usize,
    slots: Arc<Semaphore>,
    /// One request of each agent needs no share of what all have, so that none starves behind a slow one.
    first: Arc<Semaphore>,
    not_before: Mutex<Instant>,
}

/// The right to have one request under way there.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) lane: Arc<Lane>,
    _own: OwnedSemaphorePermit,
    _shared: OwnedSemaphorePermit,
}

impl Lane {
    /// None where the agent reads its topic itself.
    pub(super) fn of(agent: &Agent, settings: &Dispatcher) -> Option<Self> {
        let definition = agent.definition();
        // Checked when the definition was compiled.
        let endpoint = Url::parse(definition.endpoint.as_deref()?).ok()?;
        let declared = definition.max_concurrency.and_then(|most| usize::try_from(most).ok());
        let most = declared.unwrap_or(settings.max_in_flight_per_agent).clamp(1, Semaphore::MAX_PERMITS);
        let mut headers = HeaderMap::new();
        for secret in settings.secrets.iter().filter(|secret| is_for(secret, agent.name(), &endpoint)) {
            let Some(value) = &secret.value else { continue };
            // Both were checked with the configuration.
            let (Ok(name), Ok(mut value)) =
                (HeaderName::try_from(&secret.header), HeaderValue::try_from(value.reveal()))
            else {
                continue;
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Some(Self {
            agent_name: agent.name().to_owned(),
            endpoint,
            takes_text: !is_json(&definition.input.format),
            headers,
            most,
            slots: Arc::new(Semaphore::new(most)),
            first: Arc::new(Semaphore::new(1)),
            not_before: Mutex::new(Instant::now()),
        })
    }

    /// Whether it is called as the other is.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.agent_name, &self.endpoint, self.takes_text, &self.headers, self.most)
            == (&other.agent_name, &other.endpoint, other.takes_text, &other.headers, other.most)
    }

    /// Waits for room.
    pub(super) async fn turn(self: Arc<Self>, shared: &Arc<Semaphore>) -> Turn {
        const OPEN: &str = "nobody closes it";
        let own = Arc::clone(&self.slots).acquire_owned().await.expect(OPEN);
        let shared = tokio::select! {
            biased;
            first = Arc::clone(&self.first).acquire_owned() => first,
            one = Arc::clone(shared).acquire_owned() => one,
        };
        Turn { lane: self, _own: own, _shared: shared.expect(OPEN) }
    }

    /// Calls nobody before this moment.
    pub(super) fn close_for(&self, pause: Duration) {
        let mut not_before = self.not_before();
        *not_before = (*not_before).max(Instant::now() + pause);
    }

    /// Waits until it may be called, which others may put off meanwhile.
    pub(super) async fn open(&self) {
        loop {
            let at = *self.not_before();
            if at <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(at).await;
        }
    }

    fn not_before(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.not_before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_for(secret: &AgentSecret, agent: &str, endpoint: &Url) -> bool {
    let there = |begin: &String| {
        // Compared as addresses: `http://host` must not let `http://host.example` pass.
        Url::parse(begin)
            .is_ok_and(|begin| begin.origin() == endpoint.origin() && endpoint.path().starts_with(begin.path()))
    };
    same_name(&secret.agent, agent) && secret.endpoint.as_ref().is_none_or(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_to_the_address_it_is_for_and_nowhere_else() {
        let secret = |endpoint: &str| AgentSecret {
            agent: "East".to_owned(),
            endpoint: Some(endpoint.to_owned()),
            ..AgentSecret::default()
        };
        let there = Url::parse("https://agents.example/east/work").unwrap();
        assert!(is_for(&secret("https://agents.example/east"), " east", &there));
        assert!(!is_for(&secret("https://agents.example/west"), "East", &there));
        assert!(!is_for(&secret("https://agents.exam"), "East", &there), "a beginning of a name is another name");
        assert!(!is_for(&secret("http://agents.example/east"), "East", &there));
        assert!(!is_for(&secret("https://agents.example/east"), "West", &there));
    }
}
