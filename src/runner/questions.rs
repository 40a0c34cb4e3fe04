//! What the LLM is asked, read off a workflow.

use super::calls::Asker;
use crate::llm::{Ask, PlanAsk, PlanLimits, StepSoFar, outline};
use crate::workflow::{PlanAnswer, Timestamp, Workflow};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// A plan that is owed.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) faults: Arc<[String]>,
    pub(super) deadline: Timestamp,
    pub(super) workflow: Arc<Workflow>,
    /// What the LLM wrote before and the core rejected. Not in state: after a restart the faults have to do.
    pub(super) rejected: Option<Arc<PlanAnswer>>,
    /// Plans that succeeded for tasks of the type, in short.
    pub(super) precedents: Vec<Arc<str>>,
}

pub(super) fn ask(
    asker: &Asker,
    task_id: &str,
    question: u32,
    set: &[String],
    offers_done: bool,
    deadline: Timestamp,
    workflow: &Workflow,
) -> Ask {
    let choice = workflow.choice(question);
    let step_id = choice.map_or("", |choice| &choice.step_id);
    let planned = workflow.planned(step_id);
    let (value, producer) = workflow.input_of(step_id);
    let objective =
        planned.map(|planned| &planned.objective).or_else(|| workflow.task.as_ref().map(|task| &task.objective));
    let done = workflow.steps.iter().filter(|step| step.output.is_some());
    Ask {
        task_id: task_id.to_owned(),
        question,
        objective: objective.cloned().unwrap_or_default(),
        last_output: value.filter(|_| producer.is_some()),
        last_agent: producer.map(|step| step.agent_name.to_string()),
        history: done.map(|step| (step.agent_name.to_string(), step.id.to_string())).collect(),
        candidates: (asker.cards)(set, workflow.task.as_ref().and_then(|task| task.kind.as_deref())),
        offers_done,
        deadline: instant(deadline),
    }
}

pub(super) fn plan(asker: &Asker, task_id: &str, question: u32, wanted: Wanted) -> PlanAsk {
    let Wanted { faults, deadline, workflow, rejected, precedents } = wanted;
    let so_far = so_far(&workflow);
    // What succeeded stays in the plan and counts.
    let kept = so_far.iter().filter(|step| step.output.is_some()).count();
    let task = workflow.task.as_ref();
    PlanAsk {
        task_id: task_id.to_owned(),
        question,
        objective: task.map(|task| task.objective.clone()).unwrap_or_default(),
        input: task.and_then(|task| task.input.clone()),
        input_contract: task.and_then(|task| task.input_contract.clone()),
        agents: task.map(|task| (asker.allowed)(task)).unwrap_or_default(),
        precedents,
        so_far,
        rejected: rejected.and_then(|answer| answer.plan.as_deref().map(outline).ok()),
        faults,
        limits: PlanLimits { max_steps: asker.limits.max_steps.saturating_sub(kept).max(1), ..asker.limits },
        deadline: instant(deadline),
    }
}

fn so_far(workflow: &Workflow) -> Vec<StepSoFar> {
    let planned = workflow.plan.iter().flat_map(|plan| plan.iter());
    let told = planned.map(|planned| {
        let step = workflow.step(&planned.step_id);
        StepSoFar {
            step_id: planned.step_id.clone(),
            agent_name: step.map(|step| step.agent_name.to_string()).unwrap_or_default(),
            objective: planned.objective.clone(),
            output: step.and_then(|step| step.output.clone()),
        }
    });
    told.collect()
}

fn instant(deadline: Timestamp) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let due = Duration::from_millis(u64::try_from(deadline.0).unwrap_or(0));
    Instant::now() + due.saturating_sub(now)
}

#[cfg(test)]
mod tests {
    use crate::llm::{Api, Card, Llm, PlanLimits, Provider, Settings};
    use crate::runner::{Asker, EffectRunner};
    use crate::worker::Runner;
    use crate::workflow::{
        Input, Payload, Phase, PlannedStep, Planning, Step, StepStatus, Task, Timestamp, Workflow, outstanding,
    };
    use axum::Router;
    use axum::extract::State;
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
    use tokio::net::TcpListener;
    use tokio::runtime::Handle;
    use tokio::sync::Semaphore;

    type Bodies = Arc<Mutex<Vec<Value>>>;

    /// Writes the same plan again and again, and remembers what it was asked.
    async fn planner(seen: Bodies) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let answer = |State(seen): State<Bodies>, body: String| async move {
            seen.lock().unwrap().push(serde_json::from_str(&body).unwrap());
            let plan = json!({"reason": "r", "steps": [{"stepId": "look", "objective": "look it up", "dependsOn": [],
                "agentName": "Nobody", "capability": ""}]});
            json!({"choices": [{"message": {"content": plan.to_string()}, "finish_reason": "stop"}]}).to_string()
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer).with_state(seen)).await });
        url
    }

    fn asker(url: &str) -> Asker {
        let providers = vec![Provider::new("p", Api::OpenaiChat, url, "m")];
        let card = |name: &str| Card {
            name: name.to_owned(),
            description: "d".to_owned(),
            capabilities: vec![],
            input: String::new(),
            output: String::new(),
            lately: String::new(),
        };
        Asker {
            chooser: Arc::new(|_| panic!("nobody is to be chosen")),
            planner: Arc::new(Llm::new(Settings { providers }).unwrap()),
            cards: Arc::new(|_, _| vec![]),
            allowed: Arc::new(move |task| task.agents.iter().map(|name| card(name)).collect()),
            limits: PlanLimits { max_steps: 10, max_depth: 5, max_fan_out: 5 },
            runtime: Handle::current(),
            turns: Arc::new(Semaphore::new(1)),
            observe: Arc::new(|attempts| assert_eq!(attempts.len(), 1)),
        }
    }

    /// A task of type `lead` whose plan has one step done and one that failed.
    fn replanning(question: u32, faults: &[&str]) -> Arc<Workflow> {
        let step =
            |id: &str| PlannedStep { step_id: id.to_owned(), objective: format!("to {id}"), ..PlannedStep::default() };
        let in_ten_seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(10);
        let output = Some(Payload::from("\"what was found\""));
        let done = Step { output, agent_name: "Finder".into(), ..Step::new("find".into(), StepStatus::Succeeded) };
        let task = Task {
            kind: Some("lead".to_owned()),
            agents: vec!["Finder".to_owned()],
            input: Some(Payload::from("\"the input\"")),
            ..Task::new("t", "the goal")
        };
        Arc::new(Workflow {
            phase: Phase::Live,
            task: Some(Arc::new(task)),
            plan: Some(vec![step("find"), step("pay")].into()),
            steps: [done, Step::new("pay".into(), StepStatus::Failed)].into_iter().collect(),
            planning: Some(Planning {
                question,
                tries: 1,
                faults: faults.iter().map(|fault| (*fault).to_owned()).collect(),
                deadline: Timestamp(i64::try_from(in_ten_seconds.as_millis()).unwrap()),
            }),
            ..Workflow::default()
        })
    }

    async fn planned(runner: &mut EffectRunner, workflow: &Arc<Workflow>) -> Vec<PlannedStep> {
        runner.owe(0, &"t".into(), outstanding(workflow), Some(workflow));
        let begun = Instant::now();
        let mut returned = Vec::new();
        while returned.is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(10), "no plan came");
            tokio::time::sleep(Duration::from_millis(5)).await;
            runner.returned(Timestamp(-1), 10, &mut returned);
        }
        match &returned[0].input {
            Input::Planned { answer, .. } => answer.plan.clone().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_plan_is_asked_for_with_all_that_is_known_and_its_repair_with_the_plan_that_was_rejected() {
        let seen = Bodies::default();
        let mut runner = EffectRunner::new(Some(asker(&planner(Arc::clone(&seen)).await)), Arc::new(|| {}));
        let (task, earlier) = ("earlier".into(), replanning(1, &[]));
        let earlier = Arc::new(Workflow { planning: None, ..(*earlier).clone() });
        runner.owe(0, &task, outstanding(&earlier), Some(&earlier));
        runner.owe(0, &task, vec![], None);

        let steps = planned(&mut runner, &replanning(7, &["step pay failed: no money"])).await;
        assert_eq!(steps[0].agent_name.as_deref(), Some("Nobody"));
        planned(&mut runner, &replanning(8, &["step r1.look: agentName \"Nobody\" is not registered"])).await;
        let seen = seen.lock().unwrap();
        let asked: Vec<&str> = seen.iter().map(|body| body["messages"][1]["content"].as_str().unwrap()).collect();
        for told in [
            "at most 9 steps",
            "agent \"Finder\"\n",
            "A PLAN THAT SUCCEEDED",
            "the goal",
            "the input",
            "step \"find\", done, agent \"Finder\"",
            "what was found",
            "step \"pay\", dropped",
        ] {
            assert!(asked.iter().all(|text| text.contains(told)), "{told}: {asked:#?}");
        }
        assert!(asked[0].contains("step pay failed: no money") && !asked[0].contains("YOUR PLAN"), "{}", asked[0]);
        assert!(
            asked[1].contains("YOUR PLAN") && asked[1].contains("look, agent \"Nobody\": look it up"),
            "{}",
            asked[1]
        );
        assert!(asked[1].contains("step r1.look: agentName"));
    }
}
