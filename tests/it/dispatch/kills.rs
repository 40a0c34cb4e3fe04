//! A dispatcher is killed again and again while a slow agent has its work: every task ends once, and the agent sees no
//! new key for old work.

use super::super::support::heavy;
use super::*;

const TASKS: usize = 1_000;
const KILLS: usize = 20;

#[test]
fn killed_twenty_times_it_loses_nothing_and_invents_nothing() {
    let _turn = heavy();
    let house = House::new(|asked, _| {
        Box::pin(async move {
            // Of a task its number decides: most take their time, and some report later.
            let number: u64 = asked.task().trim_start_matches("t-").parse().unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(100 + number * 7 % 400)).await;
            if number.is_multiple_of(10) {
                let url = asked.body["reportUrl"].as_str().unwrap_or_default().to_owned();
                let id = |name: &str| asked.body[name].clone();
                let report = json!({
                    "taskId": id("taskId"), "assignmentId": id("assignmentId"), "agentName": id("agentName"),
                    "status": "SUCCEEDED", "output": { "of": id("taskId") },
                });
                tokio::spawn(async move {
                    let client = reqwest::Client::builder().no_proxy().build().expect("a client is built");
                    // Until it is taken: whoever it reports to is being killed.
                    for _ in 0..600 {
                        let sent = client.post(&url).json(&report).send().await;
                        if sent.is_ok_and(|answer| answer.status().as_u16() == 202) {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                });
                return StatusCode::ACCEPTED.into_response();
            }
            well(&asked)
        })
    });
    let scratch = Scratch::new("http-kills");
    let mut agent = behind("Slow", &format!("{}/slow", house.url));
    agent["maxConcurrency"] = json!(40);
    scratch.apply().register_all(&[agent]);
    // The one that decides lives; the one that delivers is killed, and listens where the agents know it.
    let _orchestrator = scratch.worker("decides").roles("orchestrator").start();
    let port = super::super::support::free_port();
    let toml = format!(
        "[http]\nlisten = \"127.0.0.1:{port}\"\n[dispatcher]\nreport_url = \"http://127.0.0.1:{port}/api/v1/reports\"\n"
    );
    let start = || scratch.worker("delivers").roles("dispatcher").toml(&toml).spawn();
    let mut dispatcher = start();
    let ids: Vec<String> = (0..TASKS).map(|number| format!("t-{number}")).collect();
    submit(&scratch, &ids.iter().map(|id| (id.as_str(), "Slow")).collect::<Vec<_>>());
    for _ in 0..KILLS {
        let before = house.asked().len();
        until("work is with the agent", SOON, || match house.asked().len() - before {
            asked if asked >= 20 => Ok(()),
            asked => Err(format!("{asked} requests")),
        });
        dispatcher.kill9();
        dispatcher = start();
    }
    each_ends_once(&scratch, TASKS, Duration::from_secs(90));
    assert_eq!(house.by_task().len(), TASKS);
    let asked = house.asked();
    assert!(asked.len() > TASKS, "no kill fell between a delivery and its report");
    eprintln!(
        "kills: {TASKS} tasks, {KILLS} kills, {} requests, of them {} repeated",
        asked.len(),
        asked.len() - TASKS
    );
}
