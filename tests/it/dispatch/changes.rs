//! An agent's endpoint changes or goes away while requests are under way.

use super::super::support::agents::{Agents, Behaviour, Say, always};
use super::*;
use tokio::sync::Semaphore;

/// Answers `/old` only as often as the gate lets through, `/busy` never, and everything else at once.
fn house() -> (House, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let through = Arc::clone(&gate);
    let house = House::new(move |asked, _| {
        let gate = Arc::clone(&through);
        Box::pin(async move {
            match asked.path.as_str() {
                "/old" => gate.acquire().await.expect("nobody closes it").forget(),
                "/busy" => return put_off(StatusCode::SERVICE_UNAVAILABLE, 600),
                _ => {}
            }
            well(&asked)
        })
    });
    (house, gate)
}

/// Of each agent at once: the dispatcher's own limit, since what a definition says keeps the rest from its topic.
const TWO_AT_ONCE: &str = "[dispatcher]\nmax_in_flight_per_agent = 2";

#[test]
fn what_waits_goes_to_the_new_endpoint_and_what_is_under_way_ends_at_the_old_one() {
    let (house, gate) = house();
    let at = |path: &str| format!("{}{path}", house.url);
    let scratch = Scratch::new("http-moves");
    scratch.apply().register_all(&[behind("Mover", &at("/old")), behind("Busy", &at("/busy"))]);
    let _worker = scratch.worker("w").toml(TWO_AT_ONCE).start();
    let tasks: Vec<(String, &str)> = (0..6).map(|number| (format!("m-{number}"), "Mover")).collect();
    let waits: Vec<(String, &str)> = (0..3).map(|number| (format!("b-{number}"), "Busy")).collect();
    let all: Vec<(&str, &str)> = tasks.iter().chain(&waits).map(|(id, agent)| (id.as_str(), *agent)).collect();
    submit(&scratch, &all);
    house.until_asked("/old", 2);
    house.until_asked("/busy", 1);
    scratch.register_all(&[behind("Mover", &at("/new")), behind("Busy", &at("/new"))]);
    house.until_asked("/new", 7);
    assert_eq!(house.asked_for("/old").len(), 2, "what waited is not sent to where the agent no longer is");
    gate.add_permits(2);
    each_ends_once(&scratch, 9, SOON);
    for (task, asked) in house.by_task() {
        let times = asked.iter().filter(|asked| asked.path != "/busy").count();
        assert_eq!(times, 1, "{task}");
    }
}

#[test]
fn without_its_endpoint_an_agent_reads_for_itself_and_what_is_under_way_is_reported() {
    let (house, gate) = house();
    let scratch = Scratch::new("http-leaves");
    let leaver = behind("Leaver", &format!("{}/old", house.url));
    scratch.apply().register_all(std::slice::from_ref(&leaver));
    let _worker = scratch.worker("w").toml(TWO_AT_ONCE).start();
    let tasks: Vec<String> = (0..6).map(|number| format!("l-{number}")).collect();
    submit(&scratch, &tasks.iter().map(|id| (id.as_str(), "Leaver")).collect::<Vec<_>>());
    house.until_asked("/old", 2);
    let under_way: BTreeSet<String> = house.by_task().into_keys().collect();
    assert_eq!(under_way.len(), 2);
    let mut at_home = leaver;
    at_home.as_object_mut().expect("it is an object").remove("endpoint");
    scratch.register_all(&[at_home]);
    // It reads everything, and leaves alone what it has been asked over HTTP.
    let (theirs, mut answers) = (under_way.clone(), always(Say::succeeded(json!({ "by": "itself" }))));
    let agent: Behaviour = Box::new(move |assignment| {
        if theirs.contains(assignment["taskId"].as_str().unwrap_or_default()) { vec![] } else { answers(assignment) }
    });
    let agents = Agents::start(&scratch, vec![("Leaver", agent)]);
    for task in tasks.iter().filter(|task| !under_way.contains(*task)) {
        let ended = completion(&scratch, task);
        assert_eq!(ended["result"], r#"{"by":"itself"}"#, "{ended:#}");
    }
    gate.add_permits(2);
    for task in &under_way {
        assert_eq!(completion(&scratch, task)["result"], format!(r#"{{"of":"{task}"}}"#), "{task}");
    }
    assert_eq!(house.asked().len(), 2, "nothing more goes to where it was");
    drop(agents);
    // Back behind an endpoint, it is asked for what comes, and for what ended meanwhile at most under its old key.
    scratch.register_all(&[behind("Leaver", &format!("{}/new", house.url))]);
    submit(&scratch, &[("l-back", "Leaver")]);
    each_ends_once(&scratch, 7, SOON);
    assert_eq!(house.by_task()["l-back"].len(), 1);
}
