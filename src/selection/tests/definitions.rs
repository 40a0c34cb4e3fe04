use super::*;
use serde_json::json;

#[track_caller]
fn faults(definition: Definition) -> Vec<String> {
    compile(definition).expect_err("a fault")
}

#[track_caller]
fn one_fault(definition: Definition) -> String {
    let mut faults = faults(definition);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

#[test]
fn a_definition_with_nothing_but_a_name_holds() {
    let agent = compile(Definition::new("  Invoice Reader ")).expect("valid");
    assert_eq!((agent.name(), agent.topic_name()), ("Invoice Reader", "invoice-reader"));
}

#[test]
fn the_topic_has_the_major_version_from_two_on() {
    assert_eq!(topic_name("A b.C_d-E", 0), "a-b.c_d-e");
    assert_eq!(topic_name("A b.C_d-E", 1), "a-b.c_d-e");
    assert_eq!(topic_name("A b.C_d-E", 2), "a-b.c_d-e.v2");
}

#[test]
fn reserved_names_are_refused_in_any_case() {
    for name in ["NONE", "Done", "unknown", " End ", "FINISH", "x.dlq", "x.DLQ", "x.v2", "X.V10"] {
        assert!(one_fault(Definition::new(name)).contains("agentName"), "{name}");
    }
    for name in ["none such", "x.v", "x.v2a", "dlq", "xv2", "end-to-end"] {
        compile(Definition::new(name)).expect(name);
    }
}

#[test]
fn names_have_1_to_64_of_the_allowed_characters() {
    for name in ["", "   ", "a/b", "ä", "a\nb", "a`b", &"x".repeat(65)] {
        assert!(one_fault(Definition::new(name)).contains("agentName"), "{name:?}");
    }
    compile(Definition::new("x".repeat(64))).expect("64 characters");
}

#[test]
fn the_key_must_be_the_topic_name() {
    let faults = compile_at("reader", Definition::new("Invoice Reader")).expect_err("a fault");
    assert_eq!(faults, ["the record's key `reader` is not the topic name: use the key `invoice-reader`"]);
    let second = Definition { version: "2.0.0".to_owned(), ..Definition::new("a") };
    assert!(compile_at("a", second.clone()).is_err());
    compile_at("a.v2", second).expect("the key of major 2");
}

#[test]
fn all_faults_are_told_at_once_each_with_its_field() {
    let mut definition = able("NONE", &["", &"c".repeat(101)]);
    definition.version = "1.0".to_owned();
    definition.description = "d".repeat(2_001);
    definition.input.contract = Some("{\"type\": 7}".to_owned());
    definition.success_rate = Some(98.0);
    definition.max_concurrency = Some(0);
    definition.average_latency_ms = Some(-1);
    definition.cost_micros_per_task = Some(-1);
    definition.endpoint = Some("ftp://x".to_owned());
    let faults = faults(definition);
    let fields = [
        "version",
        "agentName",
        "description",
        "capabilities[0]",
        "capabilities[1]",
        "endpoint",
        "performance.averageLatency",
        "performance.successRate",
        "maxConcurrency",
        "costMicrosPerTask",
        "input.contract",
    ];
    assert_eq!(faults.len(), fields.len(), "{faults:#?}");
    for (fault, field) in faults.iter().zip(fields) {
        assert!(fault.starts_with(field) && fault.contains(": "), "{fault}");
    }
}

#[test]
fn an_endpoint_is_an_address_that_everybody_may_read() {
    let faults_of = |endpoint: &str| {
        let mut definition = able("a", &["x"]);
        definition.endpoint = Some(endpoint.to_owned());
        faults(definition)
    };
    for (bad, words) in [
        ("ftp://x", "no http(s) URL"),
        ("http://", "no http(s) URL"),
        ("http://a b/", "no http(s) URL"),
        ("http://host:99999/", "no http(s) URL"),
        ("https://me:secret@host/", "credentials"),
        ("https://host/run#here", "fragment"),
    ] {
        let told = faults_of(bad).join("; ");
        assert!(told.contains(words), "{bad}: {told}");
    }
}

#[test]
fn lists_and_texts_are_bounded() {
    let example = Example { text: "e".to_owned(), capability: None };
    let full = Definition {
        capabilities: vec!["c".repeat(bounds::CAPABILITY); bounds::CAPABILITIES],
        examples: vec![example.clone(); bounds::EXAMPLES],
        description: "d".repeat(bounds::DESCRIPTION),
        ..Definition::new("full")
    };
    compile(full.clone()).expect("at the bounds");
    let mut over = full;
    over.capabilities.push("c".to_owned());
    over.examples.push(example);
    over.examples[0].text = "e".repeat(bounds::EXAMPLE + 1);
    over.description.push('d');
    assert_eq!(faults(over).len(), 4);
}

#[test]
fn success_that_is_no_number_is_a_fault() {
    let definition = Definition { success_rate: Some(f64::NAN), ..Definition::new("a") };
    assert!(one_fault(definition).starts_with("performance.successRate"));
}

#[test]
fn a_long_value_is_shown_by_its_beginning() {
    assert!(one_fault(Definition::new("n".repeat(10_000))).len() < 200);
}

#[test]
fn versions_are_ordered_as_semver_says() {
    let ordered = ["0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-2x", "1.0.0", "1.2.0", "1.10.0"];
    let mut versions: Vec<Version> = ordered.iter().map(|text| Version::parse(text).expect(text)).collect();
    versions.sort();
    let sorted: Vec<String> = versions.iter().map(ToString::to_string).collect();
    assert_eq!(
        sorted,
        ["0.9.9", "1.0.0-2x", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0", "1.2.0", "1.10.0"]
    );
    assert!(Version::parse("1.0.0-9") < Version::parse("1.0.0-10"));
    assert_eq!(Version::parse("1.0.0+build.5"), Version::parse("1.0.0"));
}

#[test]
fn what_is_no_version_is_refused() {
    for text in ["", "1", "1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0+", "1.0.-1", "1.0.x"] {
        assert_eq!(Version::parse(text), None, "{text}");
    }
}

#[test]
fn any_and_absent_and_blank_are_no_contract() {
    for resolved in [Resolved::Any, Resolved::Label(" ANY ".to_owned()), Resolved::Label(" ".to_owned())] {
        assert!(matches!(Contract::compile(resolved), Ok(Contract::Any)));
    }
}

#[test]
fn a_label_is_kept_trimmed_and_folded() {
    let contract = Contract::compile(Resolved::Label(" Invoice ".to_owned()));
    assert!(matches!(contract, Ok(Contract::Label(label)) if label == "invoice"));
}

#[test]
fn a_schema_that_refers_elsewhere_is_a_fault() {
    for reference in ["https://example.com/s.json", "file:///etc/passwd", "other.json", "#/$defs/missing"] {
        let text = json!({"$ref": reference}).to_string();
        let fault = one_fault(agent("a", None, Some(&text)));
        assert!(fault.starts_with("output.contract") && fault.contains("$defs"), "{fault}");
    }
    let own = json!({"$defs": {"n": {"type": "number"}}, "$ref": "#/$defs/n"}).to_string();
    compile(agent("a", Some(&own), None)).expect("refers to itself");
}

#[test]
fn what_is_no_json_is_no_schema() {
    assert!(one_fault(agent("a", Some("{nonsense"), None)).starts_with("input.contract"));
    let huge = format!("{{\"description\": \"{}\"}}", "x".repeat(70_000));
    assert!(one_fault(agent("a", Some(&huge), None)).contains("at most 65536"));
}

#[test]
fn a_schema_that_goes_in_circles_does_no_harm() {
    let circle = json!({"$ref": "#"}).to_string();
    if let Ok(schema) = CompiledSchema::compile(&circle) {
        let _ = schema.accepts(&json!({"a": 1}));
    }
    let circles = json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"});
    if let Ok(schema) = CompiledSchema::compile(&circles.to_string()) {
        let _ = schema.accepts(&json!(1));
    }
    let split = json!({"anyOf": [{"$ref": "#"}, {"allOf": [{"$ref": "#"}]}]}).to_string();
    if let Ok(schema) = CompiledSchema::compile(&split) {
        let _ = schema.accepts(&json!(1));
    }
}

#[test]
fn a_pattern_that_backtracks_for_ever_is_cut_off() {
    let schema = CompiledSchema::compile(&json!({"pattern": "^(?=(a+)+$)(a+)+b$"}).to_string()).expect("a schema");
    assert!(schema.accepts(&json!("a".repeat(40))).is_err());
}

#[test]
fn a_schema_knows_its_text_and_whether_it_refuses_an_empty_object() {
    let text = r#"{"type": "object", "required": ["total"]}"#;
    let schema = CompiledSchema::compile(text).expect("a schema");
    assert_eq!(schema.text(), text);
    assert!(schema.refuses_empty());
    assert!(!CompiledSchema::compile(r#"{"type": "object"}"#).expect("a schema").refuses_empty());
}

#[test]
fn a_violation_says_where_but_not_the_value() {
    let text = json!({"properties": {"total": {"type": "number"}}}).to_string();
    let schema = CompiledSchema::compile(&text).expect("a schema");
    let violation = schema.accepts(&json!({"total": "secret"})).expect_err("a violation");
    assert!(violation.contains("/total") && !violation.contains("secret"), "{violation}");
    assert!(violation.chars().count() <= 200);
}

#[test]
fn output_is_json_by_its_media_type() {
    for (format, is_json) in
        [("application/json", true), ("Application/JSON; charset=utf-8", true), ("text/plain", false), ("", false)]
    {
        let mut definition = Definition::new("a");
        definition.output.format = format.to_owned();
        assert_eq!(compile(definition).expect("valid").output_is_json(), is_json, "{format}");
    }
}
