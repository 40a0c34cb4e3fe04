//! A record that fits no task is a dead letter with its own bytes and the reason, and those behind it go on.

use super::super::support::{Partitioner, Scratch, Send, Sender, Topic, until};
use super::{SOON, create, framed, register_json, sender};
use serde_json::json;

#[test]
fn what_fits_no_task_is_a_dead_letter_and_the_others_go_on() {
    let scratch = Scratch::new("letters");
    scratch.apply();
    // Larger records than any of Baton's topics takes, and one that not even the dead letters hold.
    let topic = create(&scratch, "odd", 1, &[("max.message.bytes", "20000000")]);
    let schema = register_json(&scratch, &format!("{topic}-value"), &json!({ "type": "object" }));
    let toml = format!(
        "[[sources]]\ntopic = {topic:?}\nname = \"odd\"\nid = \"/id\"\nobjective = \"Do {{/what}}\"\ninput = \"/in\"\n\
         [workflow]\npayload_bytes = \"2MB\"\nworkflow_bytes = \"4MB\"\n"
    );
    let worker = scratch.worker("w").toml(&toml).start();
    let fits = |id: &str| json!({ "id": id, "what": "it", "in": 1 });
    let with = |field: &str, value: serde_json::Value| {
        let mut record = fits("bad");
        record[field] = value;
        record
    };
    let large = |bytes: usize| json!("y".repeat(bytes));
    let cases = [
        ("text", b"hello".to_vec(), "UNDECODABLE", "neither JSON"),
        ("half", b"{\"id\": ".to_vec(), "UNDECODABLE", "does not parse"),
        (
            "framed",
            framed(schema, &json!({ "id": "x" })),
            "INVALID",
            "objective: /what is not there; input: /in is not there",
        ),
        ("schema", framed(4_000_000_000, &fits("x")), "UNKNOWN_SCHEMA", "no schema 4000000000"),
        ("id", with("id", json!({})).to_string().into_bytes(), "ID", "id: /id is an object"),
        ("type", with("what", json!([1])).to_string().into_bytes(), "INVALID", "objective: /what is a list"),
        ("payload", with("in", large(2_100_000)).to_string().into_bytes(), "TOO_LARGE", "input: 2100000 bytes"),
        ("record", with("in", large(1_500_000)).to_string().into_bytes(), "TOO_LARGE", "too large"),
        ("huge", with("in", large(17_500_000)).to_string().into_bytes(), "TOO_LARGE", "fit no record here"),
    ];
    let sender = Sender::configured(
        &scratch.stack.bootstrap,
        Partitioner::Default,
        &[("message.max.bytes", "20000000"), ("compression.type", "none")],
    );
    sender.send(Send::to(&topic).json(&fits("first")));
    let places = sender
        .send_all(cases.iter().map(|(name, value, ..)| Send::to(&topic).key(name).header("x-case", name).bytes(value)));
    self::sender(&scratch).send(Send::to(&topic).json(&fits("last")));
    let mut tasks = Topic::open(scratch.stack, &scratch.topic("tasks"));
    tasks.find("the last becomes a task", SOON, |task| task.text("taskId") == "last");
    let ids: Vec<_> = tasks.settle().iter().map(|task| task.text("taskId").to_owned()).collect();
    assert!(ids.len() == 2 && ids.contains(&"first".to_owned()), "{ids:?}");
    let mut letters = Topic::open(scratch.stack, &scratch.topic("sources.dlq"));
    let letters = letters.count(cases.len(), SOON);
    for ((name, value, reason, says), (partition, offset)) in cases.iter().zip(places) {
        let letter = letters.iter().find(|letter| letter.header("x-case") == *name).expect("each has its letter");
        assert_eq!(letter.header("baton.reason"), *reason, "{name}: {}", letter.header("baton.detail"));
        let detail = letter.header("baton.detail").to_lowercase();
        assert!(detail.contains(&says.to_lowercase()), "{name}: {detail}");
        let from =
            ["topic", "partition", "offset"].map(|part| letter.header(&format!("__streams.errors.{part}")).to_owned());
        assert_eq!(from, [topic.clone(), partition.to_string(), offset.to_string()], "{name}");
        assert_eq!(letter.key.as_deref(), Some(*name));
        let expected = Some(value.clone()).filter(|_| *name != "huge");
        assert!(letter.raw == expected, "{name}: the bytes as they came");
    }
    let dead = "baton_sources_total{source=\"odd\",outcome=\"dead\"}";
    until("they are counted", SOON, || match worker.metric(dead) {
        9.0 => Ok(()),
        seen => Err(seen.to_string()),
    });
    let listed =
        scratch.baton(&["dlq", "list", "--topic", "sources", "--reason", "ID", "--format", "json"]).ok().json();
    assert_eq!(
        (&listed[0]["topic"], &listed[0]["from"]["topic"]),
        (&json!(scratch.topic("sources")), &json!(topic)),
        "{listed:#}"
    );
    let place = [&listed[0]["partition"], &listed[0]["offset"]].map(ToString::to_string);
    let shown = scratch.baton(&["dlq", "show", "sources", &place[0], &place[1]]).ok().json();
    assert_eq!(shown["value"]["id"], json!({}), "{shown:#}");
    let missing = format!(
        "[[sources]]\ntopic = \"{topic}-not\"\nobjective = \"x\"\n[[sources]]\ntopic = {topic:?}\nobjective = \"x\"\n"
    );
    let looked = scratch.baton_with(&missing, &["doctor", "--format", "json"], b"").code(1).json();
    let of = |what: String| looked.as_array().into_iter().flatten().find(|row| row["what"] == what.as_str()).cloned();
    assert_eq!(of(format!("source {topic}-not")).expect("it is looked at")["state"], "FAILED");
    assert_eq!(of(format!("source {topic}")).expect("it is looked at")["state"], "ok");
}
