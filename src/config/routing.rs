use super::check::Checks;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `[routing]`: when an LLM is asked, and when its word or the local score is enough.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Routing {
    pub llm: AskLlm,
    /// By how much the chance of the best, as the local selector sees it, must lead that of the second to decide without
    /// a call; 0 to 1.
    pub margin: f64,
    /// Least confidence at which the LLM's choice of an agent counts; 0 to 1.
    pub threshold: f64,
    /// Agents offered to the LLM at most.
    pub shortlist: usize,
    /// When the LLM is asked about tasks of a type, by type; else as `llm` says.
    pub llm_by_type: BTreeMap<String, AskLlm>,
    /// Of agents that fit alike, who is worse than the best by no more than this share of its score is as good; 0 to 1.
    pub epsilon: f64,
    /// Share of choices between them that may go to who is not as good, to learn of it; 0 to 0.5.
    pub exploration: f64,
    /// Whether texts of tasks that an agent turned out to be right for are kept and chosen by. If not, those that are kept
    /// are deleted.
    pub learn: bool,
    pub weights: Weights,
    /// The directory of a sentence model (config.json, tokenizer.json, model.safetensors), for choosing by what texts mean as
    /// well; wants a build with the feature `embeddings`.
    pub embeddings: Option<PathBuf>,
}

/// `[routing.weights]`: the exponent each factor goes into a score with; 0 = it does not count.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    pub fit: f64,
    pub success: f64,
    pub latency: f64,
    pub quality: f64,
    pub specialization: f64,
    pub capacity: f64,
    pub cost: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { fit: 0.5, success: 1.0, latency: 0.1, quality: 0.3, specialization: 0.1, capacity: 0.1, cost: 0.05 }
    }
}

/// When the LLM is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AskLlm {
    /// Also where contracts or scores leave no doubt.
    Always,
    /// Where they leave some.
    Ambiguous,
    Never,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            llm: AskLlm::Ambiguous,
            margin: 0.6,
            threshold: 0.5,
            shortlist: 20,
            llm_by_type: BTreeMap::new(),
            epsilon: 0.15,
            exploration: 0.1,
            learn: true,
            weights: Weights::default(),
            embeddings: None,
        }
    }
}

impl Routing {
    pub(super) fn check(&self, checks: &mut Checks) {
        self.check_at("routing", checks);
        checks.that(
            self.embeddings.is_none() || cfg!(feature = "embeddings"),
            "routing.embeddings",
            "is set, and this build has no embeddings",
            "build with `cargo build --release --features embeddings`, or leave it out",
        );
    }

    /// The same of settings that are given under another key.
    pub(super) fn check_at(&self, at: &str, checks: &mut Checks) {
        let (unit, half) = (0.0..=1.0, 0.0..=0.5);
        let between = "must be between 0 and 1";
        for (name, value, remedy) in [
            ("margin", self.margin, "use 0.6"),
            ("threshold", self.threshold, "use 0.5"),
            ("epsilon", self.epsilon, "use 0.15"),
        ] {
            checks.that(unit.contains(&value), &format!("{at}.{name}"), between, remedy);
        }
        checks.range(&format!("{at}.shortlist"), self.shortlist, 1, 20);
        let key = format!("{at}.exploration");
        checks.that(half.contains(&self.exploration), &key, "must be between 0 and 0.5", "use 0.1");
        checks.that(
            self.embeddings.is_none() || cfg!(feature = "embeddings"),
            &key,
            "is set, and this build has no embeddings",
            "build with `cargo build --release --features embeddings`, or leave it out",
        );
        let Weights { fit, success, latency, quality, specialization, capacity, cost } = self.weights;
        for (name, weight) in [
            ("fit", fit),
            ("success", success),
            ("latency", latency),
            ("quality", quality),
            ("specialization", specialization),
            ("capacity", capacity),
            ("cost", cost),
        ] {
            let key = format!("{at}.weights.{name}");
            checks.that((0.0..=10.0).contains(&weight), &key, "must be between 0 and 10", "leave it out");
        }
    }
}
