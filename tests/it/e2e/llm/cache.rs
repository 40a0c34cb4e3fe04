//! The same question twice: asked once, until something changes that it was answered for.

use super::super::super::support::agents::Say;
use super::*;

const ALL: [&str; 3] = ["Agent A", "Agent AB", "Agent C"];

struct Desk {
    scratch: Scratch,
    told: Told,
    llm: Llm,
    sent: u32,
}

impl Desk {
    /// Hands in the same task under another id; returns its two decisions.
    #[track_caller]
    fn same_again(&mut self) -> [Value; 2] {
        self.sent += 1;
        let id = format!("same-{}", self.sent);
        submit(&self.scratch, &[json!({ "taskId": id, "objective": "look after case-same", "agents": ALL })]);
        self.told.ended(&id, "SUCCEEDED", "completed");
        [1, 2].map(|question| self.told.decision(&id, question))
    }

    /// The same until it is decided as `wanted`.
    #[track_caller]
    fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(what, SOON, || {
            let [decision, _] = self.same_again();
            if wanted(&decision) { Ok(decision) } else { Err(format!("{decision:#}")) }
        })
    }

    /// It is recalled, and the LLM hears nothing of it.
    #[track_caller]
    fn is_recalled(&mut self) {
        let asked = self.llm.asked().len();
        let [first, done] = self.same_again();
        is_decided(&first, "CACHE", None, &[]);
        is_decided(&done, "CACHE", None, &[]);
        assert_eq!((first["chosen"].as_str(), first["confidence"].as_f64()), (Some("Agent AB"), Some(0.9)));
        assert_eq!((done["choice"].as_str(), &done["chosen"]), (Some("DONE"), &Value::Null));
        assert_eq!(first["reason"], "the LLM answered the same question before: as the test says");
        assert_eq!(self.llm.asked().len(), asked);
    }

    /// A task that only Agent AB may have, and fails at.
    #[track_caller]
    fn agent_ab_fails(&mut self, id: &str) {
        let task = json!({ "taskId": id, "objective": "fail at it", "input": "fail", "agents": ["Agent AB"] });
        submit(&self.scratch, &[task]);
        self.told.ended(id, "FAILED", "PERMANENT");
    }
}

#[test]
fn the_same_question_is_not_asked_twice_until_an_agent_changes_or_fails() {
    let scratch = Scratch::new("llm-cache");
    scratch.apply().register_all(&ALL.map(|name| definition(name, "looks after what comes")));
    let agent = || {
        let work = |assignment: &Value| match assignment["input"].as_str() {
            Some(input) if input.contains("fail") => vec![Say::failed("PERMANENT", "as the test says")],
            _ => vec![Say::succeeded(json!({ "done": true }))],
        };
        Box::new(work) as super::super::super::support::agents::Behaviour
    };
    let _agents = Agents::start(&scratch, ALL.map(|name| (name, agent())).into());
    let llm = scripted(|_, _, asked| {
        let named = |name: &str| offered(asked).iter().any(|offered| offered == name).then(|| Reply::agent(name));
        if is_later_hop(asked) { None } else { named("Agent AB").or_else(|| named("Agent A")) }
    });
    let worker = scratch.worker("w").toml(&format!("{PATIENT}{}", llm.toml())).start();
    eligible(&worker, 3);
    let mut desk = Desk { told: Told::of(&scratch), scratch, llm, sent: 0 };

    let [first, done] = desk.same_again();
    is_decided(&first, "LLM", None, &["valid"]);
    is_decided(&done, "LLM", None, &["valid"]);
    desk.is_recalled();
    assert!(worker.metric("baton_decisions_total{by=\"CACHE\",degraded=\"\"}") >= 2.0);

    // Another agent is described otherwise: it might do better now.
    desk.scratch.register_all(&[definition("Agent C", "looks after what comes, and after the rest")]);
    let asked = desk.llm.asked().len();
    desk.until("it is asked again", |decision| decision["by"] == "LLM");
    assert_eq!(desk.llm.asked().len(), asked + 2, "once each");
    desk.is_recalled();

    // The agent fails at something else.
    desk.agent_ab_fails("one");
    let [first, done] = desk.same_again();
    is_decided(&first, "LLM", None, &["valid"]);
    is_decided(&done, "CACHE", None, &[]);
    desk.is_recalled();

    // It fails until its breaker opens: it cannot be chosen.
    for number in 0..6 {
        desk.agent_ab_fails(&format!("failing-{number}"));
    }
    let instead = |decision: &Value| decision["by"] == "LLM" && decision["chosen"] == "Agent A";
    let decision = desk.until("another is chosen", instead);
    assert!(items(&decision, "candidates").iter().any(|one| one["excluded"].is_string()), "{decision:#}");
}
