//! The two workloads: routes of three steps, decided by contract, and with ten candidates scored at each step.

use serde_json::{Value, json};

/// Steps of a route.
pub(crate) const STEPS: usize = 3;
const STAGES: [&str; STEPS + 1] = ["enquiry", "checked enquiry", "scored enquiry", "answer"];
const SKILLS: [&str; 10] = [
    "invoices and payment terms",
    "delivery dates and freight",
    "damaged goods and returns",
    "contract renewals and notice periods",
    "user accounts and passwords",
    "prices, discounts and quotes",
    "technical faults of pumps",
    "training and documentation",
    "data protection requests",
    "press and public relations",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Three chains of three agents and one more: each step has one agent whose input label matches.
    Contract,
    /// Ten agents for each step, all taking the same label: each step scores ten.
    Scored,
}

impl Workload {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::Scored => "scored",
        }
    }

    pub(crate) fn parse(name: &str) -> Self {
        if name == "scored" { Self::Scored } else { Self::Contract }
    }

    /// The definitions, as `baton agents register` takes them.
    pub(crate) fn agents(self) -> Vec<Value> {
        let agent = |name: String, about: &str, takes: String, gives: String| {
            json!({
                "agentName": name,
                "description": format!("Handles {about} for the sales desk."),
                "capabilities": [format!("answer questions about {about}"), format!("look up {about}")],
                "input": { "format": "application/json", "contract": takes },
                "output": { "format": "application/json", "contract": gives },
            })
        };
        let many = if self == Self::Contract { 3 } else { SKILLS.len() };
        let label = |stage: usize, number: usize| match self {
            Self::Contract => format!("{} {number}", STAGES[stage]),
            Self::Scored => STAGES[stage].to_owned(),
        };
        let mut agents = Vec::new();
        for (number, about) in SKILLS.iter().take(many).enumerate() {
            for stage in 0..STEPS {
                let name = format!("Agent {stage}-{number}");
                agents.push(agent(name, about, label(stage, number), label(stage + 1, number)));
            }
        }
        if self == Self::Contract {
            agents.push(agent("Letter Writer".to_owned(), "letters", "letter".to_owned(), "printed letter".to_owned()));
        }
        agents
    }

    /// The topics of the agents, without the prefix.
    pub(crate) fn topics(self) -> Vec<String> {
        let topic = |agent: &Value| {
            let name = agent["agentName"].as_str().expect("an agent has a name").to_lowercase().replace(' ', "-");
            format!("assignments.{name}")
        };
        self.agents().iter().map(topic).collect()
    }

    /// Objective, input and the input's contract of a task.
    pub(crate) fn task(self, number: usize) -> (String, String, String) {
        let about = SKILLS[number % SKILLS.len()];
        let objective = format!("Answer this enquiry about {about}: check the company, score it and write a reply.");
        let input = format!(
            "{{\"company\":\"Customer {}\",\"contact\":{{\"name\":\"Person {number}\",\"mail\":\"person{number}@example.org\"}},\
             \"message\":\"We ordered twelve units in March and ask for a word on {about}. Please call back this week.\",\
             \"employees\":{},\"country\":\"DE\"}}",
            number % 977,
            number % 5_000
        );
        let contract = match self {
            Self::Contract => format!("{} {}", STAGES[0], number % 3),
            Self::Scored => STAGES[0].to_owned(),
        };
        (objective, input, contract)
    }

    /// What an agent answers.
    pub(crate) fn output(agent: &str) -> String {
        format!(
            "{{\"by\":\"{agent}\",\"score\":87,\"why\":\"It asks for what we sell, and says by when it wants it.\",\
             \"next\":\"Look up what was agreed and answer with a date.\"}}"
        )
    }
}
