use super::*;
use crate::selection::succession::broken;
use serde_json::{Value, json};

/// An agent of one name in a version, with its contracts.
fn reader(version: &str, input: &str, output: &str) -> Agent {
    let definition = Definition { version: version.to_owned(), ..agent("Reader", Some(input), Some(output)) };
    compile(definition).expect("sound")
}

/// What the second breaks of the first.
fn breaks(before: Agent, after: Agent) -> Vec<String> {
    broken(&before, &after)
}

fn order(amount: &Value, required: &[&str]) -> String {
    let properties = json!({"amount": amount, "note": {"type": "string"}});
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false}).to_string()
}

#[test]
fn an_input_contract_may_only_widen() {
    let (narrow, wide) =
        (order(&json!({"type": "integer"}), &["amount", "note"]), order(&json!({"type": "number"}), &["amount"]));
    assert_eq!(breaks(reader("1.0.0", &narrow, "any"), reader("1.1.0", &wide, "any")), [""; 0]);
    let faults = breaks(reader("1.0.0", &wide, "any"), reader("1.1.0", &narrow, "any"));
    let [fault] = &faults[..] else { panic!("{faults:?}") };
    for part in ["input.contract", "version 1.0.0", "`amount.type`", "version 2.0.0", "--force"] {
        assert!(fault.contains(part), "{part}: {fault}");
    }
}

#[test]
fn an_output_contract_may_only_narrow() {
    let (narrow, wide) = (r#"{"enum": ["yes", "no"]}"#, r#"{"enum": ["yes", "no", "perhaps"]}"#);
    assert_eq!(breaks(reader("1.0.0", "any", wide), reader("1.1.0", "any", narrow)), [""; 0]);
    let faults = breaks(reader("1.0.0", "any", narrow), reader("1.0.1", "any", wide));
    assert!(faults.len() == 1 && faults[0].starts_with("output.contract"), "{faults:?}");
}

#[test]
fn any_is_the_widest_and_a_label_is_only_itself() {
    let schema = r#"{"type": "object"}"#;
    let goes = |before: &str, after: &str| breaks(reader("1.0.0", before, "x"), reader("1.1.0", after, "x")).is_empty();
    assert!(goes("letter", "any") && goes(schema, "any") && goes("letter", " Letter "));
    assert!(!goes("any", "letter") && !goes("letter", "form") && !goes("letter", schema) && !goes(schema, "letter"));
}

#[test]
fn a_media_type_stays_whatever_its_parameters() {
    let of = |version: &str, format: &str| {
        let mut definition = Definition { version: version.to_owned(), ..Definition::new("Reader") };
        definition.output.format = format.to_owned();
        compile(definition).expect("sound")
    };
    assert_eq!(breaks(of("1.0.0", "application/json"), of("1.1.0", "Application/JSON; charset=utf-8")), [""; 0]);
    assert_eq!(breaks(of("1.0.0", ""), of("1.1.0", "text/plain")), [""; 0]);
    let faults = breaks(of("1.0.0", "text/plain"), of("1.1.0", "application/json"));
    assert!(faults.len() == 1 && faults[0].starts_with("output.format"), "{faults:?}");
}

#[test]
fn another_major_major_0_and_going_back_are_not_compared() {
    for (before, after) in [("1.9.0", "2.0.0"), ("0.9.0", "0.10.0"), ("0.9.0", "1.0.0"), ("1.1.0", "1.0.9")] {
        let found = breaks(reader(before, "letter", "any"), reader(after, "form", "any"));
        assert_eq!(found, [""; 0], "{before} to {after}");
    }
    assert_eq!(breaks(reader("1.1.0", "letter", "any"), reader("1.1.0", "form", "any")).len(), 1, "the same version");
}

#[test]
fn what_breaks_is_not_taken_unless_forced_or_after_the_one_before_was_taken_out() {
    let mut before = Predecessors::default();
    let mut next = |agent, forced| before.succeed(agent, forced).map(|agent| agent.version().to_string());
    assert!(next(reader("1.0.0", "letter", "any"), false).is_ok());
    assert!(next(reader("1.1.0", "form", "any"), false).is_err());
    assert!(next(reader("1.2.0", "letter", "any"), false).is_ok(), "it is compared with 1.0.0");
    assert_eq!(next(reader("1.3.0", "form", "any"), true).as_deref(), Ok("1.3.0"));
    assert!(next(reader("1.4.0", "letter", "any"), false).is_err());
    before.forget("reader");
    assert!(before.succeed(reader("1.4.0", "letter", "any"), false).is_ok());
}
