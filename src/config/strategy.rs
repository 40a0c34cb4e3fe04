use super::check::Checks;
use super::llm::{Llm, read_rules};
use super::routing::{AskLlm, Routing, Weights};
use serde::{Deserialize, Serialize};

/// The strategy that is `[routing]` and `[llm]` as they are.
const DEFAULT: &str = "default";
/// Characters of a name.
const LONGEST: usize = 64;

/// `[strategies.NAME]`: another way to choose, for experiments. What is not said is as in `[routing]` and `[llm]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Strategy {
    /// When the LLM is asked, whatever the task's type.
    pub llm: Option<AskLlm>,
    pub margin: Option<f64>,
    pub threshold: Option<f64>,
    pub shortlist: Option<usize>,
    pub epsilon: Option<f64>,
    pub exploration: Option<f64>,
    pub weights: StrategyWeights,
    /// The file of the rules that choices are asked under.
    pub select_rules_file: Option<String>,
    /// What is in it.
    #[serde(skip)]
    pub select_rules: Option<String>,
    /// The models to ask, in this order: each a `model` of `[[llm.providers]]`. Empty = all providers in theirs.
    pub models: Vec<String>,
}

/// `[strategies.NAME.weights]`: as `[routing.weights]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct StrategyWeights {
    pub fit: Option<f64>,
    pub success: Option<f64>,
    pub latency: Option<f64>,
    pub quality: Option<f64>,
    pub specialization: Option<f64>,
    pub capacity: Option<f64>,
    pub cost: Option<f64>,
}

impl Strategy {
    /// How choices are made by it, where these settings hold otherwise.
    #[must_use]
    pub fn over(&self, routing: &Routing) -> Routing {
        let (own, weights) = (&self.weights, &routing.weights);
        Routing {
            llm: self.llm.unwrap_or(routing.llm),
            llm_by_type: if self.llm.is_some() { [].into() } else { routing.llm_by_type.clone() },
            margin: self.margin.unwrap_or(routing.margin),
            threshold: self.threshold.unwrap_or(routing.threshold),
            shortlist: self.shortlist.unwrap_or(routing.shortlist),
            epsilon: self.epsilon.unwrap_or(routing.epsilon),
            exploration: self.exploration.unwrap_or(routing.exploration),
            weights: Weights {
                fit: own.fit.unwrap_or(weights.fit),
                success: own.success.unwrap_or(weights.success),
                latency: own.latency.unwrap_or(weights.latency),
                quality: own.quality.unwrap_or(weights.quality),
                specialization: own.specialization.unwrap_or(weights.specialization),
                capacity: own.capacity.unwrap_or(weights.capacity),
                cost: own.cost.unwrap_or(weights.cost),
            },
            ..routing.clone()
        }
    }

    pub(super) fn read_rules(&mut self, name: &str, checks: &mut Checks) {
        let key = format!("strategies.{name}.select_rules_file");
        self.select_rules = self.select_rules_file.as_ref().and_then(|path| read_rules(&key, path, checks));
    }

    pub(super) fn check(&self, name: &str, llm: &Llm, checks: &mut Checks) {
        let at = format!("strategies.{name}");
        let named = !name.is_empty()
            && name.len() <= LONGEST
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        checks.that(named, &at, "is no name", "use up to 64 of A-Z a-z 0-9 _ -");
        checks.that(name != DEFAULT, &at, "is what [routing] is called", "take another name");
        // What is not said is checked where it is.
        self.over(&Routing::default()).check_at(&at, checks);
        for (index, model) in self.models.iter().enumerate() {
            let known = llm.providers.iter().any(|provider| provider.model == *model);
            let key = format!("{at}.models[{index}]");
            checks.that(known, &key, "is the model of no provider", "name one of [[llm.providers]]");
        }
    }
}
