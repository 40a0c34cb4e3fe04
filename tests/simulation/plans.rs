//! Plans as people and LLMs write them: chains, diamonds, fans; some of them faulty.

use super::dice::Dice;
use baton::contract::PlannedStep;

/// What an output may be at most, for whoever asks: agents write longer ones too.
const SHORT: &str = r#"{"type":"string","maxLength":1400}"#;

/// Steps and what they depend on, each with an agent that takes what comes.
type Shape = &'static [(&'static str, &'static [&'static str], &'static str)];

const SHAPES: [Shape; 5] = [
    &[("only", &[], "Checker")],
    &[("check", &[], "Checker"), ("score", &["check"], "Scorer"), ("write", &["score"], "Writer")],
    &[
        ("check", &[], "Second Checker"),
        ("left", &["check"], "Scorer"),
        ("right", &["check"], "Scorer"),
        ("write", &["left", "right"], "Writer"),
    ],
    &[("a", &[], "Checker"), ("b", &[], "Second Checker"), ("c", &[], "Checker"), ("d", &["b"], "Scorer")],
    &[("read", &[], "Reader"), ("print", &["read"], "Printer")],
];

fn step(id: &str, depends_on: &[&str], agent: Option<&str>) -> PlannedStep {
    PlannedStep {
        step_id: id.to_owned(),
        objective: format!("do {id}"),
        depends_on: depends_on.iter().map(|id| (*id).to_owned()).collect(),
        agent_name: agent.map(str::to_owned),
        capability: None,
        input: None,
        input_contract: None,
        output_contract: None,
        require_approval: false,
        timeout_ms: None,
        max_attempts: None,
    }
}

/// A plan that can be followed while all its agents are registered.
pub(crate) fn sound(dice: &Dice) -> Vec<PlannedStep> {
    let shape = *dice.one(&SHAPES);
    let mut steps: Vec<_> = shape.iter().map(|(id, before, agent)| step(id, before, Some(agent))).collect();
    for step in &mut steps {
        match dice.pick(12) {
            0 => step.agent_name = None,
            1 => {
                let makes = super::agents::makes(step.agent_name.as_deref().unwrap_or_default());
                step.capability = Some(format!("make {makes}"));
                step.agent_name = None;
            }
            2 => step.require_approval = true,
            3 => step.output_contract = Some(SHORT.to_owned()),
            4 => step.max_attempts = Some(1),
            5 => step.timeout_ms = Some(1_500),
            6 => step.input = Some("\"something else\"".to_owned()),
            _ => {}
        }
    }
    steps
}

/// A plan with one fault or several.
pub(crate) fn faulty(dice: &Dice) -> Vec<PlannedStep> {
    let mut steps = sound(dice);
    let fault = dice.pick(6);
    let last = steps.last_mut().expect("every shape has steps");
    match fault {
        0 => last.agent_name = Some("Nobody".to_owned()),
        1 => last.depends_on.push("nowhere".to_owned()),
        2 => last.depends_on.push(last.step_id.clone()),
        3 => (last.agent_name, last.capability) = (None, Some("fly".to_owned())),
        4 => {
            let twice = last.clone();
            steps.push(twice);
        }
        _ => {
            steps = vec![step("x", &["y"], None), step("y", &["x"], None), step("z", &[], Some("Nobody"))];
        }
    }
    steps
}
