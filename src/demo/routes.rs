//! The sample's routes without a broker: the selection itself chooses, the work itself is done.

use super::{Lead, Sample, SampleAgent};
use crate::agent::definition::compile;
use crate::contract::{Contract, ContractNames, Registry as SchemaRegistry};
use crate::selection::{Availability, Policy, Registry, choose, topic_name};
use crate::workflow::{Choice, Choosing, Payload, SettledBy, Task, Verdict};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

struct Office {
    agents: Vec<SampleAgent>,
    registry: Registry,
    availability: Availability,
}

/// A path, and by whom each choice was settled.
type Route = Vec<(String, SettledBy)>;

impl Office {
    async fn open(sample: &Sample) -> Self {
        let nowhere = SchemaRegistry::new("http://localhost:1", None).unwrap();
        let (names, mut entries) = (ContractNames::new(), BTreeMap::new());
        for agent in &sample.agents {
            let wire = &agent.definition;
            names.put(&wire.output.contract, Contract::Label, Instant::now());
            let key = topic_name(&wire.agent_name, 1);
            let compiled = compile(&key, wire, &names, &nowhere).await.unwrap().unwrap();
            entries.insert(key, Ok(Arc::new(compiled)));
        }
        let availability = entries.keys().cloned().collect();
        Self { agents: sample.agents.clone(), registry: Registry::new(entries), availability }
    }

    fn route(&self, lead: &Lead) -> (Route, Value) {
        let given = lead.task(0);
        let mut task = Task::new(&lead.id, given["objective"].as_str().unwrap());
        task.input = Some(given["input"].to_string().into());
        task.input_contract = Some(given["inputContract"].as_str().unwrap().to_owned());
        let policy = Policy::default();
        let (mut route, mut picked) = (Route::new(), Vec::new());
        let mut last: Option<(Payload, String)> = None;
        loop {
            assert!(route.len() < 10, "{} goes in circles: {route:?}", lead.id);
            let choosing = Choosing {
                value: last.as_ref().map(|(output, _)| output).or(task.input.as_ref()),
                producer: last.as_ref().map(|(_, agent)| agent.as_str()),
                contract: task.input_contract.as_deref(),
                may_end: last.is_some(),
                picked_by_contract: &picked,
                ..Choosing::of(&task)
            };
            let Verdict::Settled(settled) = choose(&self.registry, &self.availability, &policy, &choosing) else {
                panic!("there is no LLM to ask");
            };
            let output = last.as_ref().map_or(Value::Null, |(output, _)| output.value());
            let name = match settled.choice {
                Choice::Agent(name) => name,
                Choice::Done => return (route, output),
                Choice::None => panic!("{} waits: {}", lead.id, settled.reason),
            };
            if settled.by == SettledBy::Contract {
                picked.push(name.as_str().into());
            }
            let agent = self.agents.iter().find(|agent| agent.definition.agent_name == name).unwrap();
            let input = if last.is_some() { output } else { given["input"].clone() };
            let output = agent.work.run(&input).unwrap_or_else(|fault| panic!("{} at {name}: {fault}", lead.id));
            route.push((name.clone(), settled.by));
            last = Some((output.to_string().into(), topic_name(&name, 1)));
        }
    }

    fn path(&self, lead: &Lead) -> Vec<String> {
        self.route(lead).0.into_iter().map(|(agent, _)| agent).collect()
    }
}

fn built_in() -> Sample {
    Sample::load(Some(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/sales").as_ref())).unwrap()
}

fn lead<'s>(sample: &'s Sample, company: &str) -> &'s Lead {
    sample.leads.iter().find(|lead| lead.company == company).unwrap()
}

fn with(lead: &Lead, field: &str, value: Value) -> Lead {
    let mut lead = lead.clone();
    lead.fields.insert(field.to_owned(), value);
    lead
}

#[tokio::test]
async fn the_leads_take_many_paths_and_every_agent_has_work() {
    let sample = built_in();
    let office = Office::open(&sample).await;
    let mut paths: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
    let mut settlers = BTreeSet::new();
    for lead in sample.leads.iter().take(50) {
        let (route, _) = office.route(lead);
        settlers.extend(route.iter().map(|(_, by)| format!("{by:?}")));
        paths.entry(route.into_iter().map(|(agent, _)| agent).collect()).or_default().push(&lead.company);
    }
    let used: BTreeSet<&String> = paths.keys().flatten().collect();
    assert_eq!(used.len(), sample.agents.len(), "an agent without work: {paths:#?}");
    assert!(paths.len() >= 5, "{paths:#?}");
    assert!(paths.contains_key(&["Lead Researcher", "Lead Scorer"].map(str::to_owned)[..]), "{paths:#?}");
    assert!(settlers.contains("ClearWinner") && settlers.contains("Contract"), "{settlers:?}");
}

#[tokio::test]
async fn one_field_of_a_lead_changes_its_path() {
    let sample = built_in();
    let office = Office::open(&sample).await;
    let freight = lead(&sample, "Tidal Freight");
    let ends_with = |lead: &Lead| office.path(lead).last().unwrap().clone();
    assert_eq!(office.path(freight), ["Lead Researcher", "Lead Scorer", "Outreach Writer", "Email Sender"]);
    let intern = office.path(&with(freight, "job_title", json!("Intern")));
    assert_ne!(office.path(freight), intern);
    let clinics = lead(&sample, "Harbour Lane Clinics");
    assert_eq!(ends_with(clinics), "Email Sender");
    assert_eq!(ends_with(&with(clinics, "consent", json!(false))), "Compliance Reviewer");
    let tools = lead(&sample, "Moss & Stone Tools");
    assert!(office.path(tools).contains(&"Workshop Host".to_owned()));
    let reads =
        with(tools, "project_description", json!("We would like reading for our assembly team before we decide."));
    assert!(office.path(&reads).contains(&"Nurture Planner".to_owned()), "{:?}", office.path(&reads));
}

#[tokio::test]
async fn a_workshop_goes_to_those_who_ask_for_one() {
    let sample = built_in();
    let office = Office::open(&sample).await;
    for lead in &sample.leads {
        let path = office.path(lead);
        let wish = lead.fields.get("project_description").and_then(Value::as_str).unwrap_or_default();
        let asks = ["workshop", "webinar", "training"].iter().any(|word| wish.contains(word));
        let writer = if asks { "Workshop Host" } else { "Nurture Planner" };
        let other = if asks { "Nurture Planner" } else { "Workshop Host" };
        let has = |name: &str| path.iter().any(|agent| agent == name);
        assert!(!has(other), "{}: {writer} would be right: {path:?}", lead.company);
    }
}
