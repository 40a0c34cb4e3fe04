//! A task as it was read, before it is judged.

use super::TaskSubmitted;
use super::content_hash::content_hash;
use super::ingress::IngressLimits;
use super::names::check_step_id;
use super::refusal::{Fault, MAX_FAULTS, Reason, Refusal, quoted};
use super::task_submitted::{Limits, Mode, OnStepFailure, PlannedStep};
use crate::workflow::{Task, contract_name};

/// A task whose id is known, and nothing else yet.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskDraft(Result<TaskSubmitted, Refusal>);

impl TaskDraft {
    pub(super) fn new(record: Result<TaskSubmitted, Refusal>) -> Self {
        Self(record)
    }

    /// The names of contracts that must be known before the task is taken; none if there are no contracts, they are
    /// given inline, or the task is refused anyway.
    pub fn contract_names(&self) -> impl Iterator<Item = &str> {
        let task = self.0.as_ref().ok();
        let steps = task.into_iter().flat_map(|task| task.plan.iter().flatten());
        let of_steps = steps.flat_map(|step| [&step.input_contract, &step.output_contract]);
        let all = task.map(|task| &task.input_contract).into_iter().chain(of_steps);
        all.filter_map(|contract| contract.as_deref().and_then(contract_name))
    }

    /// What a REJECTED completion gives back, also of a task that is refused.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.0.as_ref().ok().and_then(|task| task.correlation_id.as_deref())
    }

    /// The task and the hash of its content.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub fn check(self, limits: &IngressLimits) -> Result<(Task, [u8; 16]), Refusal> {
        let task = self.0?;
        let faults = faults(&task);
        if !faults.is_empty() {
            return Err(Refusal::of_faults(&faults));
        }
        within(&task, limits)?;
        let hash = content_hash(&task);
        Ok((task.into_task(), hash))
    }
}

fn faults(task: &TaskSubmitted) -> Vec<Fault> {
    let mut faults = Vec::new();
    if task.objective.trim().is_empty() {
        faults.push(Fault::new("objective", "empty; say what is to be achieved"));
    }
    if !(0..=9).contains(&task.priority) {
        faults.push(Fault::new("priority", format!("{} is not between 0 and 9", task.priority)));
    }
    if task.mode == Mode::Unknown {
        faults.push(Fault::new("mode", "not one this version knows; give AUTO, PLAN or ROUTE"));
    }
    if task.on_step_failure == OnStepFailure::Unknown {
        faults.push(Fault::new("onStepFailure", "not one this version knows; give FAIL_FAST or CONTINUE"));
    }
    if task.agents.iter().any(|name| name.trim().is_empty()) {
        faults.push(Fault::new("agents", "holds an empty name; name agents, or leave it empty to allow all"));
    }
    faults.extend(contract_fault("inputContract", task.input_contract.as_deref()));
    for (index, step) in task.plan.iter().flatten().enumerate() {
        if faults.len() >= MAX_FAULTS {
            break;
        }
        step_faults(step, &format!("plan[{index}]"), &mut faults);
    }
    if let Some(Limits { max_hops, max_attempts, max_tokens, max_cost_micros }) = &task.limits {
        faults.extend(below("limits.maxHops", max_hops.map(i64::from), 1));
        faults.extend(below("limits.maxAttempts", max_attempts.map(i64::from), 1));
        faults.extend(below("limits.maxTokens", *max_tokens, 0));
        faults.extend(below("limits.maxCostMicros", *max_cost_micros, 0));
    }
    faults
}

fn step_faults(step: &PlannedStep, path: &str, faults: &mut Vec<Fault>) {
    if let Err(fault) = check_step_id(&step.step_id) {
        faults.push(Fault::new(format!("{path}.stepId"), fault.to_string()));
    }
    if step.objective.trim().is_empty() {
        faults.push(Fault::new(format!("{path}.objective"), "empty; say what is to be achieved"));
    }
    faults.extend(contract_fault(&format!("{path}.inputContract"), step.input_contract.as_deref()));
    faults.extend(contract_fault(&format!("{path}.outputContract"), step.output_contract.as_deref()));
    faults.extend(below(&format!("{path}.timeoutMs"), step.timeout_ms, 1));
    faults.extend(below(&format!("{path}.maxAttempts"), step.max_attempts.map(i64::from), 1));
}

fn below(path: &str, value: Option<i64>, least: i64) -> Option<Fault> {
    let value = value.filter(|value| *value < least)?;
    Some(Fault::new(path, format!("{value} is too little; give at least {least}, or leave it out")))
}

/// The longest name a contract may have; registries and topics take no longer ones either.
const MAX_CONTRACT_NAME: usize = 249;

fn contract_fault(path: &str, contract: Option<&str>) -> Option<Fault> {
    let contract = contract?.trim();
    if contract.starts_with('{') {
        let error = serde_json::from_str::<serde::de::IgnoredAny>(contract).err()?;
        return Some(Fault::new(path, format!("starts with {{ but does not parse as a JSON Schema: {error}")));
    }
    if contract.len() > MAX_CONTRACT_NAME {
        let problem = format!("{} is longer than a name may be ({MAX_CONTRACT_NAME} bytes)", quoted(contract));
        return Some(Fault::new(path, problem));
    }
    None
}

fn within(task: &TaskSubmitted, limits: &IngressLimits) -> Result<(), Refusal> {
    let own = [
        ("objective".to_owned(), Some(&task.objective)),
        ("input".to_owned(), task.input.as_ref()),
        ("inputContract".to_owned(), task.input_contract.as_ref()),
    ];
    let steps = task.plan.iter().flatten().enumerate();
    let steps = steps.map(|(index, step)| (format!("plan[{index}].input"), step.input.as_ref()));
    for (path, text) in own.into_iter().chain(steps) {
        let bytes = text.map_or(0, String::len);
        if bytes > limits.payload_bytes {
            let detail = format!(
                "{path}: {bytes} bytes are over the limit of {}; put the data elsewhere and send a reference",
                limits.payload_bytes
            );
            return Err(Refusal::new(Reason::TooLarge, detail));
        }
    }
    Ok(())
}
