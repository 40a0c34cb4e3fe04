use super::contract::{Contract, Resolved};
use super::definition::{Definition, bounds};
use super::names::{fold, same_name, shown, topic_name};
use super::text::Text;
use super::version::Version;
use crate::workflow::{AgentTraits, Chosen};
use std::sync::Arc;

/// A registered agent whose definition holds: everything a choice needs, worked out once.
#[derive(Debug)]
pub struct Agent {
    definition: Definition,
    folded_name: String,
    topic_name: Arc<str>,
    version: Version,
    input: Contract,
    output: Contract,
    output_is_json: bool,
    /// What a decision keeps of it, shared by all of them.
    chosen: Arc<Chosen>,
    pub(super) shown_name: Arc<str>,
    pub(super) shown_version: Arc<str>,
    /// Why it is left out where its input label is not what was produced.
    pub(super) wrong_label: Arc<str>,
    fingerprint: u64,
    /// What it says of itself, for the text index.
    pub(super) texts: Vec<Text>,
}

impl Agent {
    /// Checks and compiles a definition found under `key`, its contracts' names already looked up.
    ///
    /// # Errors
    ///
    /// Everything that is wrong at once, each fault naming field, value and remedy.
    pub fn compile(key: &str, definition: Definition, input: Resolved, output: Resolved) -> Result<Self, Vec<String>> {
        let mut faults = definition.faults(key);
        let input = compile_contract("input.contract", input, &mut faults);
        let output = compile_contract("output.contract", output, &mut faults);
        let version = Version::parse(&definition.version);
        let (Some(version), Some(input), Some(output), true) = (version, input, output, faults.is_empty()) else {
            return Err(faults);
        };
        let name = definition.agent_name.trim().to_owned();
        let wrong_label = match &input {
            Contract::Label(label) => format!("contract: it takes `{label}`"),
            Contract::Any | Contract::Schema(_) => String::new(),
        };
        let topic_name: Arc<str> = topic_name(&name, version.major).into();
        let output_is_json = is_json(&definition.output.format);
        let (shown_name, shown_version): (Arc<str>, Arc<str>) =
            (name.as_str().into(), definition.version.as_str().into());
        let chosen = Arc::new(Chosen {
            agent_name: Arc::clone(&shown_name),
            topic_name: Arc::clone(&topic_name),
            version: Arc::clone(&shown_version),
            output_contract: definition.output.contract.clone(),
            output_is_json,
        });
        Ok(Self {
            folded_name: fold(&name),
            topic_name,
            output_is_json,
            chosen,
            shown_name,
            shown_version,
            fingerprint: definition.fingerprint(),
            texts: Text::of(&definition),
            definition: Definition { agent_name: name, ..definition },
            version,
            input,
            output,
            wrong_label: wrong_label.into(),
        })
    }

    /// As registered, trimmed.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.agent_name
    }

    #[must_use]
    pub fn folded_name(&self) -> &str {
        &self.folded_name
    }

    /// The key of its definition, and its assignment topic without the prefix.
    #[must_use]
    pub fn topic_name(&self) -> &str {
        &self.topic_name
    }

    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    #[must_use]
    pub fn input(&self) -> &Contract {
        &self.input
    }

    #[must_use]
    pub fn output(&self) -> &Contract {
        &self.output
    }

    /// Whether its output is declared `application/json`, and so must parse.
    #[must_use]
    pub fn output_is_json(&self) -> bool {
        self.output_is_json
    }

    /// Says whether two definitions promise the same: name, version, what it does, takes and gives. Not its examples, nor how
    /// it is reached.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// What follows depend on of it.
    #[must_use]
    pub fn traits(&self) -> AgentTraits {
        AgentTraits { idempotent: self.definition.idempotent, require_approval: self.definition.require_approval }
    }

    /// How many assignments it takes at once; none = any number.
    #[must_use]
    pub fn capacity(&self) -> Option<u32> {
        self.definition.max_concurrency.and_then(|most| u32::try_from(most).ok())
    }

    /// Whether it declares the capability, in any case.
    #[must_use]
    pub fn has_capability(&self, capability: &str) -> bool {
        self.definition.capabilities.iter().any(|known| same_name(known, capability))
    }

    /// What a decision for this agent keeps of it.
    #[must_use]
    pub fn as_chosen(&self) -> Arc<Chosen> {
        Arc::clone(&self.chosen)
    }
}

fn compile_contract(field: &str, resolved: Resolved, faults: &mut Vec<String>) -> Option<Contract> {
    if let Resolved::Label(label) = &resolved {
        let length = label.chars().count();
        if length > bounds::LABEL_CONTRACT {
            let most = bounds::LABEL_CONTRACT;
            faults.push(format!("{field} `{}` has {length} characters: use at most {most}", shown(label)));
        }
    }
    Contract::compile(resolved).map_err(|fault| faults.push(format!("{field} {fault}"))).ok()
}

/// Whether a media type is that of JSON, in any case.
pub(crate) fn is_json(format: &str) -> bool {
    essence(format).eq_ignore_ascii_case("application/json")
}

/// A media type without its parameters.
pub(super) fn essence(format: &str) -> &str {
    format.split_once(';').map_or(format, |(essence, _)| essence).trim()
}
