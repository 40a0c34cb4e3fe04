//! What may be learned from an assignment that ended. Read off state as it stands: nothing of it is kept with the step.

use crate::selection::bounds;
use crate::workflow::{Ended, How, Workflow, World};

/// Characters of a submitter's name that are handed on.
const SOURCE: usize = 128;

/// A text that an agent turned out to be right for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// The beginning of what it was chosen by.
    pub text: String,
    /// Whoever submitted the task; none = it does not say.
    pub source: Option<String>,
    /// The fingerprint of the agent's definition when it was chosen.
    pub definition: u64,
}

/// The lesson of an assignment, where `before` is the workflow it ended in. None unless it was chosen by what the task says,
/// and its output was held against a schema that refuses something, and was taken.
pub(super) fn lesson(before: &Workflow, ended: &Ended, world: &dyn World) -> Option<Lesson> {
    let definition = ended.grounds.as_ref().filter(|_| world.rules().learn)?.teaches?;
    if ended.how != How::Succeeded {
        return None;
    }
    let (task, planned) = (before.task.as_ref()?, before.planned(&ended.step_id));
    if !world.verifies(&ended.topic_name, planned.and_then(|planned| planned.output_contract.as_deref())) {
        return None;
    }
    let objective = planned.map_or(&task.objective, |planned| &planned.objective).trim();
    let beginning = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let source = task.submitted_by.as_deref().map(|source| beginning(source, SOURCE));
    Some(Lesson { text: beginning(objective, bounds::EXAMPLE), source, definition })
}
