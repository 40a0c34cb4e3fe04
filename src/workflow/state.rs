//! What is known of one task. Everything here is in the snapshot; nothing else decides.

use super::{Command, Grounds, Payload, Plan, PlannedStep, Steps, Task, Timestamp, Usage};
use std::fmt;
use std::sync::Arc;

/// Where in the tasks topic a task was accepted: what tells two uses of one id apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub partition: i32,
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.partition, self.offset)
    }
}

/// Of the decoded fields of a task but `submittedAt`: the same id with another hash is another task.
pub type ContentHash = [u8; 16];

/// One task's workflow: a plan of steps, or a route, which is a plan that grows by one step per decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workflow {
    pub phase: Phase,
    /// None before acceptance, and of a receipt.
    pub task: Option<Arc<Task>>,
    /// Before acceptance the place of the first command for it.
    pub accepted: Position,
    pub content_hash: ContentHash,
    pub submitted_at: Timestamp,
    pub deadline: Timestamp,
    /// W3C trace context of the submission, handed on with every record of the task.
    pub traceparent: Option<Arc<str>>,
    /// Number of the latest question; only rises, never reused.
    pub last_question: u32,
    /// Number of the latest fact.
    pub last_fact: u64,
    pub last_at: Timestamp,
    pub used: Used,
    /// 1, and one more with every RETRY of the task.
    pub run: u32,
    /// Nothing is begun before; none once it has begun.
    pub begins_at: Option<Timestamp>,
    /// Nothing is begun until a person approves of the task.
    pub unapproved: bool,
    /// Nothing further is begun until a person says RESUME.
    pub paused: bool,
    /// None of a route.
    pub plan: Option<Plan>,
    /// A plan is being written.
    pub planning: Option<Planning>,
    /// Plans that were written after the first.
    pub replans: u32,
    /// Steps whose agent is still to be chosen.
    pub choices: Vec<OpenChoice>,
    /// Those of a plan at their places in it.
    pub steps: Steps,
    /// Ids of the latest commands, so that one said twice counts once.
    pub commands: Vec<Arc<str>>,
    /// Commands that came before their task, as topics overtake each other.
    pub held: Vec<HeldCommand>,
}

/// A plan that the LLM is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Planning {
    pub question: u32,
    /// 1, and 2 for the repair.
    pub tries: u32,
    /// What was wrong with the plan before.
    pub faults: Arc<[String]>,
    pub deadline: Timestamp,
}

/// A command that waits for its task.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldCommand {
    pub command: Arc<Command>,
    /// When it is refused if the task has not come.
    pub until: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Absent,
    Live,
    Ended {
        outcome: Outcome,
        at: Timestamp,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    /// Some steps of a plan succeeded, others failed or were skipped.
    Partial,
    Failed,
    Cancelled,
    Expired,
}

impl Outcome {
    /// The symbol on the wire.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Partial => "PARTIAL",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
        }
    }
}

/// What a task has used of its budgets. Kept in state, so a restart does not reset it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Steps that got an agent; another assignment of the same step is no hop.
    pub hops: u32,
    pub attempts: u32,
    pub usage: Usage,
}

/// A step without an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenChoice {
    pub step_id: Arc<str>,
    pub question: u32,
    pub state: ChoiceState,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ChoiceState {
    /// An answer is owed by the LLM.
    Asked { set: Arc<[String]>, offers_done: bool, tries: u32, deadline: Timestamp },
    /// The answer was NONE. It is asked again once the eligible agents are others than these.
    Refused {
        eligible: Arc<[String]>,
        /// Topic names of agents that would do, but had as much to do as they take.
        busy: Arc<[String]>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub id: Arc<str>,
    pub status: StepStatus,
    /// Empty until one is chosen.
    pub agent_name: Arc<str>,
    pub agent_version: Arc<str>,
    /// Of that agent in that version: what names it among several of one name.
    pub topic_name: Arc<str>,
    /// How often the step was assigned.
    pub attempt: u32,
    /// Picked because its contract fits: by contract an agent is picked at most once per route.
    pub by_contract: bool,
    /// While an agent has it.
    pub grounds: Option<Arc<Grounds>>,
    pub assigned_at: Timestamp,
    pub progress_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub output: Option<Payload>,
    /// What went another way than it should; none of most steps.
    pub trouble: Option<Box<Trouble>>,
}

/// What a step carries from its earlier attempts into the next one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trouble {
    /// Agents that gave this step back.
    pub declined_by: Vec<Arc<str>>,
    /// Agents whose attempts failed: others come first.
    pub failed_by: Vec<Arc<str>>,
    /// Failed attempts in this run.
    pub failures: u32,
    /// Who gets the next attempt.
    pub next: Option<NextAgent>,
    /// Why the last attempt was not accepted, for whoever makes the next.
    pub feedback: Option<Arc<str>>,
    /// What a person answered.
    pub answer: Option<Payload>,
    /// A person has approved of the step.
    pub approved: bool,
}

/// An agent that is to get the next attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextAgent {
    /// A person named it.
    Named(Arc<str>),
    /// It had the last attempt and knows what it is about.
    Again(Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepStatus {
    /// For the steps it depends on, or for the task to go on.
    Waiting,
    /// An agent is being chosen.
    Choosing,
    /// For the next attempt.
    Delayed {
        until: Timestamp,
    },
    /// For a person's APPROVE.
    NeedsApproval,
    /// For a person's ANSWER.
    NeedsInput,
    /// With the agent's topic; a full queue is no failure of the agent, so this wait is its own.
    Assigned {
        accept_by: Timestamp,
    },
    /// The agent works on it.
    Accepted {
        /// The end of the attempt.
        done_by: Timestamp,
        /// The agent's next word; each word moves it.
        quiet_by: Timestamp,
    },
    Succeeded,
    Failed,
    /// What it depends on failed.
    Skipped,
}

impl StepStatus {
    /// Whether nothing follows any more.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped)
    }

    /// Whether an agent has it.
    #[must_use]
    pub fn is_assigned(self) -> bool {
        matches!(self, Self::Assigned { .. } | Self::Accepted { .. })
    }
}

impl Step {
    /// A step that nobody has worked on.
    #[must_use]
    pub fn new(id: Arc<str>, status: StepStatus) -> Self {
        Self {
            id,
            status,
            agent_name: Arc::default(),
            agent_version: Arc::default(),
            topic_name: Arc::default(),
            attempt: 0,
            by_contract: false,
            grounds: None,
            assigned_at: Timestamp(0),
            progress_at: None,
            ended_at: None,
            output: None,
            trouble: None,
        }
    }

    /// Where its troubles are kept.
    pub(super) fn trouble_mut(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }

    #[must_use]
    pub fn is_approved(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.approved)
    }
}

impl Workflow {
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.get(self.place(id)?)
    }

    /// The place of a step.
    pub(super) fn place(&self, id: &str) -> Option<usize> {
        let is_it = |place: &usize| self.steps.get(*place).is_some_and(|step| *step.id == *id);
        let by_plan = self.plan.as_ref().and_then(|plan| plan.place(id)).filter(is_it);
        by_plan.or_else(|| self.steps.iter().position(|step| *step.id == *id))
    }

    #[must_use]
    pub fn choice(&self, question: u32) -> Option<&OpenChoice> {
        self.choices.iter().find(|choice| choice.question == question)
    }

    /// The latest result and the agent it came from.
    #[must_use]
    pub fn last_output(&self) -> Option<(&Payload, &Arc<str>)> {
        self.steps.iter().rev().find_map(|step| step.output.as_ref().map(|output| (output, &step.agent_name)))
    }

    /// The plan's word on a step; none in a route.
    #[must_use]
    pub fn planned(&self, id: &str) -> Option<&PlannedStep> {
        let plan = self.plan.as_ref()?;
        plan.get(plan.place(id)?)
    }

    /// What the step's agent gets, and the step whose output it is if it is one's: the step's own input, else what it depends on
    /// (of several an object by step), else the task's input; in a route the last output, else the task's input.
    #[must_use]
    pub fn input_of(&self, id: &str) -> (Option<Payload>, Option<&Step>) {
        let task_input = || self.task.as_ref().and_then(|task| task.input.clone());
        let Some(planned) = self.planned(id) else {
            let before = self.steps.iter().rev().filter(|step| &*step.id != id);
            let last = before.filter_map(|step| step.output.as_ref().map(|output| (output, step))).next();
            return match last {
                Some((output, step)) => (Some(output.clone()), Some(step)),
                None => (task_input(), None),
            };
        };
        if let Some(input) = &planned.input {
            return (Some(input.clone()), None);
        }
        let done = |id: &String| self.step(id).and_then(|step| Some((step, step.output.as_ref()?)));
        match planned.depends_on.as_slice() {
            [] => (task_input(), None),
            [one] => match done(one) {
                Some((step, output)) => (Some(output.clone()), Some(step)),
                None => (task_input(), None),
            },
            several => {
                let done = several.iter().filter_map(done);
                (Some(Payload::object(done.map(|(step, output)| (&*step.id, output)))), None)
            }
        }
    }

    /// What comes of the task: the last output of a route; of a plan its only leaf's, of several leaves an object by
    /// step.
    #[must_use]
    pub fn result(&self) -> Option<Payload> {
        let Some(plan) = &self.plan else { return self.last_output().map(|(output, _)| output.clone()) };
        let needed: std::collections::BTreeSet<&str> =
            plan.iter().flat_map(|step| step.depends_on.iter().map(String::as_str)).collect();
        let leaves: Vec<&PlannedStep> = plan.iter().filter(|step| !needed.contains(step.step_id.as_str())).collect();
        let output = |step: &PlannedStep| self.step(&step.step_id).and_then(|step| step.output.as_ref());
        if let [leaf] = leaves.as_slice() {
            return output(leaf).cloned();
        }
        let mut outputs = leaves.iter().filter_map(|step| Some((&*step.step_id, output(step)?))).peekable();
        outputs.peek().is_some().then(|| Payload::object(outputs))
    }

    /// Whether nothing new may be begun now.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.paused || self.unapproved || self.begins_at.is_some()
    }

    /// Bytes of all payloads kept: the task's input and the steps' outputs.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        let input = self.task.as_ref().and_then(|task| task.input.as_ref()).map_or(0, |input| input.text().len());
        let outputs = self.steps.iter().filter_map(|step| step.output.as_ref());
        outputs.fold(input, |sum, output| sum.saturating_add(output.text().len()))
    }

    /// Whether something is known under the task's id.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.phase != Phase::Absent
    }
}
