use super::candidates::{Choosable, Scene};
use super::choose::{best, without_llm};
use super::names::same_name;
use super::policy::Policy;
use super::recall::key;
use super::registry::{Availability, Registry};
use crate::workflow::{Answer, Beside, Choice, Choosing, Said, Settled, SettledBy};

/// Makes a decision of what the LLM said, or of its silence. Checked against the set that was asked *and*
/// who is eligible now: an answer can be older than the registry.
#[must_use]
pub fn settle(
    registry: &Registry,
    availability: &Availability,
    policy: &Policy,
    choosing: &Choosing<'_>,
    set: &[String],
    offers_done: bool,
    answer: &Answer,
) -> Settled {
    let scene = Scene::new(registry, availability, choosing);
    // Where an LLM was to decide and does not, the best takes its place: that is no time to explore.
    let policy = &Policy { exploration: 0.0, ..policy.clone() };
    let asked = Asked { scene: &scene, policy, set };
    let said = match &answer.said {
        Ok(said) => said,
        Err(code) => return asked.degraded(code, &format!("the LLM gave no valid answer ({code}); ")),
    };
    let by_llm = |choice| {
        // What would have been chosen without it, so that one sees what it is worth.
        let local = without_llm(&scene, policy);
        let beside = Some(Box::new(Beside { choice: local.choice, confidence: local.confidence }));
        let confidence = Some(said.confidence.clamp(0.0, 1.0));
        // A NONE is an answer to who is there, and waits for that to change: it is asked for each time.
        let recallable = said.choice != Choice::None && said.confidence >= policy.threshold;
        let question = recallable.then(|| key(choosing, set, offers_done)).flatten();
        // It was not drawn, whatever a draw would have come to.
        let propensity = None;
        let settled = scene.settled(choice, SettledBy::Llm, confidence, reason_in(said));
        Settled { beside, propensity, question, ..settled }
    };
    match &said.choice {
        Choice::None => by_llm(Choosable::None),
        Choice::Done if offers_done => by_llm(Choosable::Done),
        Choice::Done => asked.degraded("invalid_answer", "the LLM said DONE where it was not offered; "),
        Choice::Agent(name) => match asked.judge(name, said.confidence) {
            Ok(place) => by_llm(Choosable::Agent(place)),
            Err(settled) => *settled,
        },
    }
}

fn reason_in(said: &Said) -> String {
    let reason = said.reason.trim();
    if reason.is_empty() { "the LLM gave no reason".to_owned() } else { reason.to_owned() }
}

/// A question that was asked, looked at as things are now.
struct Asked<'a> {
    scene: &'a Scene<'a>,
    policy: &'a Policy,
    set: &'a [String],
}

impl Asked<'_> {
    /// The named agent's place, or the decision made in its stead.
    fn judge(&self, name: &str, confidence: f64) -> Result<usize, Box<Settled>> {
        let shown = super::names::shown(name);
        if !self.was_asked(name) {
            let why = format!("the LLM named `{shown}`, which was not in the set; ");
            return Err(Box::new(self.degraded("invalid_answer", &why)));
        }
        let place = self.scene.place(name).filter(|place| self.scene.standings[*place].is_eligible());
        let Some(place) = place else {
            let why = format!("the LLM named `{shown}`, which is not eligible any more; ");
            return Err(Box::new(self.degraded("not_eligible", &why)));
        };
        // Written so that NaN is no confidence.
        if confidence >= self.policy.threshold {
            return Ok(place);
        }
        let why =
            format!("the LLM named `{shown}` with confidence {confidence:.2}, under {:.2}; ", self.policy.threshold);
        Err(Box::new(Settled { degraded: Some("low_confidence".to_owned()), ..self.best_scored(&why) }))
    }

    fn was_asked(&self, name: &str) -> bool {
        self.set.iter().any(|asked| same_name(asked, name))
    }

    /// The decision without a usable answer.
    fn degraded(&self, code: &str, why: &str) -> Settled {
        let mut settled = if self.scene.is_first_hop() {
            self.best_scored(why)
        } else {
            let settled = without_llm(self.scene, self.policy);
            let ended = if settled.choice == Choice::Done { "ended_without_llm: " } else { "" };
            Settled { reason: format!("{ended}{why}{}", settled.reason), ..settled }
        };
        settled.degraded = Some(code.to_owned());
        settled
    }

    /// The best-scored of those asked about that are still eligible, else of all eligible.
    fn best_scored(&self, why: &str) -> Settled {
        let eligible = self.scene.eligible();
        let asked: Vec<usize> =
            eligible.iter().copied().filter(|place| self.was_asked(self.scene.name(*place))).collect();
        let mut pool = if asked.is_empty() { eligible } else { asked };
        self.scene.prefer_others(&mut pool);
        let ranked = self.scene.ranked(pool, &self.scene.matching());
        if ranked.is_empty() {
            let reason = format!("{why}{}", self.scene.nobody());
            return self.scene.settled(Choosable::None, SettledBy::Local, None, reason);
        }
        best(self.scene, self.policy, &ranked, why)
    }
}
