//! What each answer of an agent becomes.

use super::super::support::{post, read_all};
use super::*;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

/// Agents by what they do, and how a task for each has to end: the reason, and words of the message.
const ENDS: [(&str, &str, &str); 14] = [
    ("good", "completed", ""),
    ("later", "completed", ""),
    ("busy", "completed", ""),
    ("limit", "completed", ""),
    ("fails", "CONTRACT", "no such column"),
    ("rubbish", "INVALID_OUTPUT", "not a JSON object"),
    ("empty", "INVALID_OUTPUT", "204"),
    ("huge", "INVALID_OUTPUT", "longer than"),
    ("broken", "TRANSIENT", "500"),
    ("moved", "PERMANENT", "307"),
    ("strange", "CONTRACT", "400"),
    ("shut", "AUTH", "401"),
    ("hangs", "TIMEOUT", "no answer"),
    ("closes", "TRANSIENT", ""),
];

async fn script(asked: Asked, before: usize) -> Response {
    match asked.path.trim_start_matches('/') {
        "busy" if before == 0 => put_off(StatusCode::SERVICE_UNAVAILABLE, 1),
        "limit" if before == 0 => put_off(StatusCode::TOO_MANY_REQUESTS, 1),
        "later" => StatusCode::ACCEPTED.into_response(),
        "fails" => {
            let error = json!({ "class": "CONTRACT", "message": "no such column" });
            axum::Json(json!({ "status": "FAILED", "error": error })).into_response()
        }
        "rubbish" => "<html>well</html>".into_response(),
        "empty" => StatusCode::NO_CONTENT.into_response(),
        "huge" => vec![b' '; 100_000_000].into_response(),
        "broken" => (StatusCode::INTERNAL_SERVER_ERROR, "no disk").into_response(),
        "moved" => (StatusCode::TEMPORARY_REDIRECT, [("Location", "/good")]).into_response(),
        "strange" => (StatusCode::BAD_REQUEST, "what is this").into_response(),
        "shut" => StatusCode::UNAUTHORIZED.into_response(),
        "hangs" => std::future::pending().await,
        _ => well(&asked),
    }
}

/// Takes a request and says nothing.
fn closing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.read(&mut [0; 65_536]);
        }
    });
    url
}

#[test]
fn each_answer_ends_its_task_as_its_class_says() {
    let house = House::new(|asked, before| Box::pin(script(asked, before)));
    let scratch = Scratch::new("http");
    let closes = closing();
    let agents: Vec<Value> = ENDS
        .iter()
        .map(|(name, ..)| {
            behind(name, &if *name == "closes" { closes.clone() } else { format!("{}/{name}", house.url) })
        })
        .collect();
    scratch.apply().register_all(&agents);
    let toml = "[dispatcher]\nrequest_timeout = \"2s\"\n[[dispatcher.secrets]]\nagent = \"good\"\n\
                header = \"X-Api-Key\"\nvalue_env = \"GOOD_KEY\"\n";
    let worker = scratch.worker("w").toml(toml).env("GOOD_KEY", "hunter2").start();
    let tasks: Vec<(String, &str)> = ENDS.iter().map(|(name, ..)| (format!("t-{name}"), *name)).collect();
    submit(&scratch, &tasks.iter().map(|(id, agent)| (id.as_str(), *agent)).collect::<Vec<_>>());

    // Who took it over reports later, and whoever reports something else is told what is wrong.
    let taken = until("the work is taken over", SOON, || match house.asked_for("/later").as_slice() {
        [one, ..] => Ok(one.clone()),
        [] => Err("nobody asked".to_owned()),
    });
    let url = taken.body["reportUrl"].as_str().expect("it is told where to report").to_owned();
    assert_eq!(url, worker.url("/api/v1/reports"));
    let id = |name: &str| taken.body[name].clone();
    let mut report = json!({
        "taskId": id("taskId"), "assignmentId": id("assignmentId"), "agentName": id("agentName"), "status": "DONE",
    });
    let refused = post(&url, &report, SOON).expect("it answers");
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("status") && refused.body.contains("SUCCEEDED"), "{}", refused.body);
    report["status"] = json!("SUCCEEDED");
    report["output"] = json!({ "of": "t-later" });
    for _ in 0..2 {
        assert_eq!(post(&url, &report, SOON).expect("it answers").status, 202, "posted twice, it is answered alike");
    }

    for (name, reason, words) in ENDS {
        let ended = completion(&scratch, &format!("t-{name}"));
        assert_eq!(ended["reason"], reason, "{name}: {ended:#}");
        let message = ended["message"].as_str().unwrap_or_default();
        assert!(message.contains(words), "{name}: {message}");
        if reason == "completed" {
            assert_eq!(ended["result"], json!({ "of": format!("t-{name}") }).to_string());
        }
    }
    for (name, times) in [("busy", 2), ("limit", 2), ("good", 1), ("broken", 1)] {
        let asked = house.asked_for(&format!("/{name}"));
        assert_eq!(asked.len(), times, "{name}");
        let keys: std::collections::BTreeSet<&str> = asked.iter().map(|one| one.header("idempotency-key")).collect();
        assert_eq!(keys.into_iter().collect::<Vec<_>>(), [asked[0].body["assignmentId"].as_str().expect("an id")]);
        if let [first, second] = asked.as_slice() {
            assert!(second.at - first.at >= Duration::from_millis(990), "{name}: not before it is asked to");
        }
    }
    let good = &house.asked_for("/good")[0];
    assert_eq!(good.header("x-api-key"), "hunter2");
    assert_eq!(good.body["input"], json!({ "id": "t-good", "text": "" }), "the payload is a value, not text");
    assert_eq!(good.header("traceparent")[..35], TRACE[..35], "of the task's trace");
    assert_eq!(house.asked_for("/busy")[0].header("x-api-key"), "", "a secret is one agent's");
    assert!(!worker.log().contains("hunter2"));
    let statuses = |task: &str| -> Vec<String> {
        let mut all = read_all(scratch.stack, &scratch.topic("agent-status"));
        all.retain(|record| record.text("taskId") == task);
        all.iter().map(|record| record.text("status").to_owned()).collect()
    };
    assert_eq!(statuses("t-good"), ["SUCCEEDED"], "what is answered at once is one record");
    assert_eq!(statuses("t-hangs"), ["ACCEPTED", "FAILED"], "work that takes its time has been accepted");
    assert_eq!(statuses("t-later"), ["ACCEPTED", "SUCCEEDED", "SUCCEEDED"]);
    assert!(worker.metric("baton_deliveries_total{outcome=\"put_off\"}") >= 2.0);
}

#[test]
fn who_is_away_is_waited_for_and_what_nobody_wants_any_more_is_withdrawn() {
    let house = House::new(|asked, _| {
        Box::pin(async move {
            match asked.path.as_str() {
                "/slow" => std::future::pending().await,
                "/taken/" => StatusCode::ACCEPTED.into_response(),
                _ => well(&asked),
            }
        })
    });
    let port = super::super::support::free_port();
    let scratch = Scratch::new("http-away");
    scratch.apply().register_all(&[
        behind("Slow", &format!("{}/slow", house.url)),
        behind("Taken", &format!("{}/taken/", house.url)),
        behind("Away", &format!("http://127.0.0.1:{port}/work")),
    ]);
    let toml = "[workflow]\naccept_timeout = \"20s\"\nassignment_timeout = \"3s\"";
    let _worker = scratch.worker("w").toml(toml).start();
    submit(&scratch, &[("slow", "Slow"), ("taken", "Taken"), ("away", "Away")]);
    for task in ["slow", "taken"] {
        assert_eq!(completion(&scratch, task)["reason"], "assignment_timeout");
        let delete = until("its agent hears of it", SOON, || {
            let found = house
                .asked()
                .into_iter()
                .find(|asked| asked.method == Method::DELETE && asked.path.starts_with(&format!("/{task}/")));
            found.ok_or_else(|| format!("{:?}", house.asked().iter().map(|asked| &asked.path).collect::<Vec<_>>()))
        });
        let id =
            house.asked().iter().find(|asked| asked.task() == task).expect("it was asked").body["assignmentId"].clone();
        assert_eq!(delete.path, format!("/{task}/{}", id.as_str().expect("an id")), "as the URL has it");
    }
    // It was away all the time, and comes up now.
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is still free");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody calls");
        let _ = stream.read(&mut [0; 65_536]);
        let body = r#"{"status":"SUCCEEDED","output":{"is":"back"}}"#;
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    });
    assert_eq!(completion(&scratch, "away")["outcome"], "SUCCEEDED");
}
