//! From the records of `task-state` back to a partition.

use super::{INPUTS, Kept, Partition, Receipt};
use crate::workflow::{Payload, Plan, Step, StepStatus, Task, Workflow};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The key of one part of a snapshot: `<taskId>`, `<taskId>/`, `<taskId>//` or `<taskId>/<stepId>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartKey(String);

impl PartKey {
    /// Of the skeleton or the receipt.
    #[must_use]
    pub fn head(task_id: &str) -> Self {
        Self(task_id.to_owned())
    }

    /// Of the task as submitted.
    #[must_use]
    pub fn task(task_id: &str) -> Self {
        Self(format!("{task_id}/"))
    }

    /// Of a plan that did not come with the task. No step id holds a slash.
    #[must_use]
    pub fn plan(task_id: &str) -> Self {
        Self(format!("{task_id}//"))
    }

    /// Of a step's payload.
    #[must_use]
    pub fn step(task_id: &str, step_id: &str) -> Self {
        Self(format!("{task_id}/{step_id}"))
    }

    /// Task id, and none, "", "/" or the step id. A task id holds no slash.
    #[must_use]
    pub fn split(key: &str) -> (&str, Option<&str>) {
        key.split_once('/').map_or((key, None), |(task, rest)| (task, Some(rest)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PartKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One part of a snapshot. Written in parts so that a task of many steps does not rewrite its outputs
/// at each event.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// The workflow without its task, its plan and its outputs, whatever it holds of them.
    Skeleton(Arc<Workflow>),
    Task(Arc<Task>),
    Plan(Plan),
    Output(Payload),
    Receipt(Receipt),
}

/// State that cannot have been written by us: the worker stops rather than lose a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error("task-state holds a part of another kind under key {0:?}")]
    Kind(String),
    #[error("task-state holds task {0:?} without the task as submitted")]
    NoTask(String),
    #[error("task-state holds task {0:?} without the plan it follows")]
    NoPlan(String),
    #[error("task-state holds task {task:?} without the output of step {step:?}, which succeeded")]
    NoOutput { task: String, step: String },
}

#[derive(Debug, Default)]
struct Draft {
    head: Option<Head>,
    task: Option<Arc<Task>>,
    plan: Option<Plan>,
    outputs: BTreeMap<String, Payload>,
}

#[derive(Debug)]
enum Head {
    Skeleton(Arc<Workflow>),
    Receipt(Receipt),
}

/// Gathers parts in the order of their offsets.
#[derive(Debug, Default)]
pub struct Restorer {
    /// Found by a hash: among a million tasks, each record would else compare twenty ids that are in no cache.
    drafts: FxHashMap<Arc<str>, Draft>,
}

impl Restorer {
    /// Goes on from a partition that was parked.
    #[must_use]
    pub fn resume(parked: &Partition) -> Self {
        let draft = |kept: &Kept| match kept {
            Kept::Receipt(receipt) => Draft { head: Some(Head::Receipt(*receipt)), ..Draft::default() },
            Kept::Workflow(workflow) => {
                let output = |step: &Step| Some((step.id.to_string(), step.output.clone()?));
                Draft {
                    head: Some(Head::Skeleton(Arc::clone(workflow))),
                    task: workflow.task.clone(),
                    plan: workflow.plan.clone(),
                    outputs: workflow.steps.iter().filter_map(output).collect(),
                }
            }
        };
        Self { drafts: parked.tasks.iter().map(|(id, kept)| (Arc::clone(id), draft(kept))).collect() }
    }

    /// Takes the next record; none deletes the key.
    ///
    /// # Errors
    /// [`RestoreError::Kind`] if the key is one of another kind of part.
    pub fn apply(&mut self, key: &str, part: Option<Part>) -> Result<(), RestoreError> {
        let (task_id, rest) = PartKey::split(key);
        let deletes = part.is_none();
        if !self.drafts.contains_key(task_id) {
            self.drafts.insert(task_id.into(), Draft::default());
        }
        let draft = self.drafts.get_mut(task_id).expect("it was just put there");
        match (rest, part) {
            (None, None) => draft.head = None,
            (None, Some(Part::Skeleton(workflow))) => draft.head = Some(Head::Skeleton(workflow)),
            (None, Some(Part::Receipt(receipt))) => draft.head = Some(Head::Receipt(receipt)),
            (Some(""), None) => draft.task = None,
            (Some(""), Some(Part::Task(task))) => draft.task = Some(task),
            (Some("/"), None) => draft.plan = None,
            (Some("/"), Some(Part::Plan(plan))) => draft.plan = Some(plan),
            (Some(step), None) => drop(draft.outputs.remove(step)),
            (Some(step), Some(Part::Output(output))) => drop(draft.outputs.insert(step.to_owned(), output)),
            _ => return Err(RestoreError::Kind(key.to_owned())),
        }
        if deletes && draft.head.is_none() && draft.task.is_none() && draft.plan.is_none() && draft.outputs.is_empty() {
            self.drafts.remove(task_id);
        }
        Ok(())
    }

    /// Whether no task is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    /// The partition, once the end of the topic was reached.
    ///
    /// # Errors
    /// If a part is missing that a transaction wrote together with those that are there.
    pub fn finish(self, number: i32, next: [Option<i64>; INPUTS]) -> Result<Partition, RestoreError> {
        let mut tasks = Vec::with_capacity(self.drafts.len());
        for (id, Draft { head, task, plan, outputs }) in self.drafts {
            let kept = match head {
                None => continue,
                Some(Head::Receipt(receipt)) => Kept::Receipt(receipt),
                Some(Head::Skeleton(mut workflow)) => {
                    let whole = Arc::make_mut(&mut workflow);
                    if whole.is_known() {
                        let task = task.ok_or_else(|| RestoreError::NoTask(id.to_string()))?;
                        // An empty plan stands for one that is elsewhere.
                        if whole.plan.is_some() {
                            let plan = plan.or_else(|| task.plan.clone());
                            whole.plan = Some(plan.ok_or_else(|| RestoreError::NoPlan(id.to_string()))?);
                        }
                        whole.task = Some(task);
                    }
                    let has = |step: &Step| outputs.contains_key(&*step.id);
                    let lacks = |step: &&Step| step.status == StepStatus::Succeeded && !has(step);
                    if let Some(step) = whole.steps.iter().find(lacks) {
                        let (task, step) = (id.to_string(), step.id.to_string());
                        return Err(RestoreError::NoOutput { task, step });
                    }
                    whole.steps.change(
                        |step| step.output.is_some() || has(step),
                        |step| {
                            step.output = outputs.get(&*step.id).cloned();
                        },
                    );
                    Kept::Workflow(workflow)
                }
            };
            tasks.push((id, kept));
        }
        Ok(Partition::new(number, next, tasks))
    }
}
