use super::*;
use crate::config::{Api, AskLlm, LogFormat};
use std::collections::BTreeSet;
use std::time::Duration;

fn sources(file: &str, environment: &[(&str, &str)], set: &[&str]) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("given.toml");
    std::fs::write(&path, file).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    (dir, Sources { file: Some(path), environment, set: set.iter().map(|it| (*it).to_owned()).collect() })
}

fn load(file: &str, environment: &[(&str, &str)], set: &[&str]) -> Config {
    let (_dir, sources) = sources(file, environment, set);
    Config::load(&sources).unwrap()
}

fn faults(file: &str, environment: &[(&str, &str)], set: &[&str]) -> Vec<Fault> {
    let (_dir, sources) = sources(file, environment, set);
    Config::load(&sources).unwrap_err().0
}

#[test]
fn the_defaults_are_sound() {
    Config::default().validate().unwrap();
    let config = load("", &[], &[]);
    assert_eq!(config.kafka.prefix, "baton");
    assert_eq!(config.worker.batch, 2_000);
    assert_eq!(config.workflow.payload_bytes, 256 * 1024);
}

#[test]
fn flags_go_over_the_environment_and_that_over_the_file() {
    let file = "[worker]\nbatch = 1\nmax_live = 1\ntransaction_timeout = \"1s\"";
    let environment = [("BATON__WORKER__MAX_LIVE", "2"), ("BATON__WORKER__TRANSACTION_TIMEOUT", "2s")];
    let config = load(file, &environment, &["worker.transaction_timeout=3s"]);
    assert_eq!((config.worker.batch, config.worker.max_live), (1, 2));
    assert_eq!(config.worker.transaction_timeout, Duration::from_secs(3));
}

#[test]
fn a_text_from_the_environment_takes_the_type_of_its_field() {
    let environment = [
        ("BATON__KAFKA__SLOT", "0"),
        ("BATON__KAFKA__PREFIX", "true"),
        ("BATON__KAFKA__PARTITIONS", "12"),
        ("BATON__HTTP__INSECURE", "true"),
        ("BATON__HTTP__LISTEN", "0.0.0.0:0"),
        ("BATON__ROUTING__LLM", "never"),
        ("BATON__ROUTING__MARGIN", "1"),
        ("BATON__WORKFLOW__PAYLOAD_BYTES", "1MB"),
        ("BATON__TELEMETRY__LOG_FORMAT", "json"),
        ("BATON__REGISTRY__USER", "1e3"),
        ("BATON__REGISTRY__PASSWORD", "007"),
    ];
    let config = load("", &environment, &[]);
    assert_eq!(config.kafka.slot.as_deref(), Some("0"));
    assert_eq!(config.kafka.prefix, "true");
    assert_eq!(config.kafka.partitions, Some(12));
    assert!(config.http.insecure);
    assert_eq!(config.routing.llm, AskLlm::Never);
    assert!((config.routing.margin - 1.0).abs() < f64::EPSILON);
    assert_eq!(config.workflow.payload_bytes, 1 << 20);
    assert_eq!(config.telemetry.log_format, LogFormat::Json);
    assert_eq!(config.registry.user.as_deref(), Some("1e3"));
    assert_eq!(config.registry.password.as_ref().map(crate::config::Secret::reveal), Some("007"));
}

#[test]
fn a_strategy_is_routing_with_some_of_it_otherwise() {
    let file = "[routing]\nmargin = 0.3\nllm_by_type = { lead = \"always\" }\n[routing.weights]\ncost = 0.2\n\
                [strategies.frugal]\nllm = \"never\"\nweights = { cost = 2.0 }\n[strategies.same]\n";
    let config = load(file, &[("BATON__STRATEGIES__FRUGAL__EPSILON", "0.4")], &[]);
    let frugal = config.strategies["frugal"].over(&config.routing);
    assert_eq!((frugal.llm, frugal.llm_by_type.len()), (AskLlm::Never, 0));
    assert_eq!((frugal.margin, frugal.epsilon), (0.3, 0.4));
    assert_eq!((frugal.weights.cost, frugal.weights.success), (2.0, 1.0));
    let same = config.strategies["same"].over(&config.routing);
    assert_eq!((same.llm_by_type.len(), same.weights.cost), (1, 0.2));
}

#[test]
fn what_is_wrong_with_a_strategy_is_told_under_its_own_key() {
    let file = "[strategies.default]\n[strategies.\"a b\"]\n[strategies.odd]\nmargin = 2.0\nmodels = [\"none\"]\n\
                select_rules_file = \"/nowhere\"\nweights = { cost = -1.0 }\nsalt = 1\n";
    let faults = faults(file, &[], &[]);
    let keys: BTreeSet<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    let wanted = [
        "strategies.a b",
        "strategies.default",
        "strategies.odd.margin",
        "strategies.odd.models[0]",
        "strategies.odd.salt",
        "strategies.odd.select_rules_file",
        "strategies.odd.weights.cost",
    ];
    assert_eq!(keys, BTreeSet::from(wanted));
}

#[test]
fn client_properties_come_from_every_source_and_underscores_stand_for_dots() {
    let file = "[kafka.client]\n\"socket.timeout.ms\" = 1000\nsecurity.protocol = \"SSL\"";
    let config = load(file, &[("BATON__KAFKA__CLIENT__SASL_PASSWORD", "1234")], &["kafka.client.sasl.username=me"]);
    let client: Vec<_> = config.kafka.client.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let expected = [
        ("sasl.password", "1234"),
        ("sasl.username", "me"),
        ("security.protocol", "SSL"),
        ("socket.timeout.ms", "1000"),
    ];
    assert_eq!(client, expected);
}

#[test]
fn a_client_property_goes_over_the_same_one_however_the_file_spells_it() {
    let file = "[kafka.client]\nsasl.password = \"old\"";
    let config = load(file, &[("BATON__KAFKA__CLIENT__SASL_PASSWORD", "new")], &[]);
    assert_eq!(config.kafka.client["sasl.password"], "new");
}

#[test]
fn a_list_takes_an_index_and_the_next_one_appends() {
    let file = "[[llm.providers]]\napi = \"anthropic_messages\"\nbase_url = \"http://a\"\nmodel = \"one\"";
    let environment = [
        ("BATON__LLM__PROVIDERS__0__MODEL", "changed"),
        ("BATON__LLM__PROVIDERS__1__BASE_URL", "http://b"),
        ("BATON__LLM__PROVIDERS__1__MODEL", "2"),
    ];
    let config = load(file, &environment, &["llm.providers[1].requests_per_minute=5"]);
    let providers: Vec<_> = config.llm.providers.iter().map(|it| (it.api, it.model.as_str())).collect();
    assert_eq!(providers, [(Api::AnthropicMessages, "changed"), (Api::OpenaiChat, "2")]);
    assert_eq!(config.llm.providers[1].requests_per_minute, Some(5));
    let gap = faults("", &[("BATON__LLM__PROVIDERS__1__MODEL", "x")], &[]);
    assert!(gap[0].remedy.contains("index 0"), "{gap:?}");
}

#[test]
fn an_agents_secret_comes_from_one_place_and_is_shown_nowhere() {
    let file = "[[dispatcher.secrets]]\nagent = \"A\"\nbearer_env = \"A_TOKEN\"\n\
                [[dispatcher.secrets]]\nagent = \"B\"\nheader = \"X-Api-Key\"\nvalue_env = \"B_KEY\"\n\
                [[dispatcher.secrets]]\nagent = \"C\"\nbearer_env = \"NOT_SET\"";
    let config = load(file, &[("A_TOKEN", "hunter2\n"), ("B_KEY", "hunter3")], &["dispatcher.request_timeout=5s"]);
    let values: Vec<_> =
        config.dispatcher.secrets.iter().map(|it| it.value.as_ref().map(crate::config::Secret::reveal)).collect();
    assert_eq!(values, [Some("Bearer hunter2"), Some("hunter3"), None]);
    assert_eq!(config.warnings(), ["NOT_SET is not set: calls to the agent C carry no Authorization"]);
    let shown = format!("{:?} {}", config, config.effective());
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn faults_of_agents_secrets_are_told_all_at_once() {
    let file = "[dispatcher]\nmax_in_flight = 0\nreport_url = \"here\"\n\
                [[dispatcher.secrets]]\nbearer_env = \"A\"\nvalue_env = \"B\"\n\
                [[dispatcher.secrets]]\nagent = \"b\"\nheader = \"Content-Type\"\nvalue_file = \"/nowhere\"\n\
                [[dispatcher.secrets]]\nagent = \"c\"\nheader = \"a b\"\nvalue_env = \"BAD\"";
    let faults = faults(file, &[("BAD", "a\u{7f}b")], &[]);
    let keys: Vec<_> = faults.iter().map(|it| it.key.trim_start_matches("dispatcher.")).collect();
    assert_eq!(
        keys,
        [
            "secrets[1].value_file",
            "max_in_flight",
            "report_url",
            "secrets[0].agent",
            "secrets[0].bearer_env",
            "secrets[1].header",
            "secrets[2].header",
            "secrets[2].value",
        ],
        "{faults:#?}"
    );
}

#[test]
fn sources_are_parsed_when_they_are_read_and_all_their_faults_told() {
    let file = "[[sources]]\ntopic = \"crm.leads\"\nobjective = \"Qualify {/name}\"\nid = \"/id\"\n[sources.labels]\nof = \"{/x}\"";
    let config = load(file, &[("BATON__SOURCES__0__FROM", "latest")], &["sources[0].priority=9"]);
    let source = &config.sources[0];
    assert_eq!((source.name(), source.priority), ("crm.leads", Some(9)));
    assert_eq!(source.from, crate::config::StartFrom::Latest);
    let file = "[kafka]\nprefix = \"b\"\n[[sources]]\ntopic = \"b.tasks\"\nobjective = \"a } b\"\nid = \"id\"\npriority = 10\n\
                [[sources]]\ntopic = \"t\"\nname = \"a/b\"\n[[sources]]\nobjective = \"x\"\n[[sources]]\ntopic = \"confluent\"\n\
                objective = \"x\"\n[confluent]\nagents = [\"A\"]\npredictions = \"agent_messages\"";
    let faults = faults(file, &[], &[]);
    let of = |key: &str| faults.iter().find(|it| it.key == key).unwrap_or_else(|| panic!("{key}: {faults:#?}"));
    assert!(of("sources[0].topic").problem.contains("Baton's own"));
    assert!(of("sources[0].objective").problem.contains("write it twice"));
    assert!(of("sources[0].id").problem.contains("begins with a slash"));
    assert_eq!(of("sources[0].priority").value.as_deref(), Some("10"));
    assert!(of("sources[1].name").problem.contains("group's name"));
    assert!(
        of("sources[1].objective").problem.contains("missing") && of("sources[2].topic").problem.contains("missing")
    );
    assert!(of("sources[3].topic").problem.contains("another source"));
    assert!(of("confluent.predictions").problem.contains("messages"));
    assert_eq!(faults.len(), 9, "{faults:#?}");
}

#[test]
fn all_faults_come_at_once_with_key_value_origin_and_remedy() {
    let file = "[kafka]\nslott = \"a\"\nslot = 0\n[worker]\nbatch = 0\ntransaction_timeout = 20\n[webhooks]\nx = 1";
    let environment = [("BATON__WORKER__MAX_LIVE", "many"), ("BATON__ROUTING__LLM", "sometimes")];
    let faults = faults(file, &environment, &["registry.url=nowhere", "nonsense"]);
    let of = |key: &str| faults.iter().find(|it| it.key == key).unwrap_or_else(|| panic!("{key}: {faults:#?}"));
    assert!(of("kafka.slott").remedy.contains("\"slot\""));
    assert_eq!(of("kafka.slot").remedy, "put it in quotes");
    assert_eq!(of("worker.batch").value.as_deref(), Some("0"));
    assert!(of("worker.batch").origin.as_ref().is_some_and(|origin| origin.ends_with("given.toml")));
    assert!(of("worker.transaction_timeout").problem.contains("unit"));
    assert!(of("webhooks").problem.contains("not a known key"));
    assert_eq!(of("worker.max_live").origin.as_deref(), Some("the environment variable BATON__WORKER__MAX_LIVE"));
    assert!(of("routing.llm").remedy.contains("ambiguous"));
    assert_eq!(of("registry.url").value.as_deref(), Some("nowhere"));
    assert!(of("nonsense").remedy.contains("section.key=value"));
    assert_eq!(faults.len(), 9, "{faults:#?}");
}

#[test]
#[cfg(not(feature = "embeddings"))]
fn embeddings_are_refused_by_a_build_that_has_none() {
    let faults = faults("[routing]\nembeddings = \"/models/minilm\"", &[], &[]);
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert_eq!((faults[0].key.as_str(), faults[0].value.as_deref()), ("routing.embeddings", Some("/models/minilm")));
    assert!(faults[0].remedy.contains("cargo build --release --features embeddings"), "{}", faults[0].remedy);
}

#[test]
fn faults_of_insights_are_told_by_key() {
    let file = "[insights]\nhalf_life_outcomes = 0.5\nbreaker_failures = 2.0\nbreaker_wait = \"1m\"\n\
                breaker_longest_wait = \"10s\"\nbreaker_probes = 0\npublish_every = \"1h\"";
    let faults = faults(file, &[], &[]);
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "insights.half_life_outcomes",
            "insights.publish_every",
            "insights.breaker_failures",
            "insights.breaker_longest_wait",
            "insights.breaker_probes"
        ]
    );
}

#[test]
fn what_baton_owns_of_the_client_is_refused_by_name() {
    let file = "[kafka.client]\n\"group.id\" = \"mine\"\nsession.timeout.ms = 45000\n\"linger.ms\" = 5";
    let faults = faults(file, &[("BATON__KAFKA__CLIENT__ISOLATION_LEVEL", "read_uncommitted")], &[]);
    let named: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(named, ["kafka.client.group.id", "kafka.client.session.timeout.ms", "kafka.client.isolation.level"]);
    assert!(faults[1].remedy.contains("worker.session_timeout"));
    assert_eq!(faults[1].value.as_deref(), Some("45000"));
}

#[test]
fn a_broken_file_is_named_with_its_line() {
    let faults = faults("[kafka]\nprefix = ", &[], &[]);
    assert!(faults[0].to_string().contains("given.toml: line 2"), "{}", faults[0]);
    let missing = Sources { file: Some("/nowhere/baton.toml".into()), ..Sources::default() };
    assert!(Config::load(&missing).unwrap_err().to_string().contains("/nowhere/baton.toml: cannot be read"));
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    std::fs::write(&path, "s3cr3t\n").unwrap();
    let path = path.to_str().unwrap();
    let file = format!(
        "[registry]\nuser = \"u\"\npassword_file = {path:?}\n[http]\ntoken_file = {path:?}\n[kafka.client]\n\
         \"ssl.key.password\" = \"s3cr3t\"\n[[llm.providers]]\nbase_url = \"http://a\"\nmodel = \"m\"\napi_key_env = \"MY_KEY\""
    );
    let environment = [("BATON__KAFKA__CLIENT__SASL_PASSWORD_FILE", path), ("MY_KEY", "s3cr3t")];
    let config = load(&file, &environment, &[]);
    assert_eq!(config.registry.password.as_ref().map(crate::config::Secret::reveal), Some("s3cr3t"));
    assert_eq!(config.http.token.as_ref().map(crate::config::Secret::reveal), Some("s3cr3t"));
    assert_eq!(config.llm.providers[0].api_key.as_ref().map(crate::config::Secret::reveal), Some("s3cr3t"));
    assert_eq!(config.kafka.client["sasl.password"], "s3cr3t");
    let shown = toml::to_string(&config.effective()).unwrap();
    assert!(!shown.contains("s3cr3t") && shown.contains("<redacted>"), "{shown}");
    assert!(!format!("{config:?}").contains("s3cr3t"), "{config:?}");
}

#[test]
fn a_secret_that_is_wrong_is_not_shown_in_its_fault() {
    let faults = faults("[registry]\npassword = \"s3cr3t\"", &[("BATON__REGISTRY__PASSWORD__X", "s3cr3t")], &[]);
    assert!(!format!("{faults:?}").contains("s3cr3t"), "{faults:?}");
    let missing = self::faults("[http]\ntoken_file = \"/nowhere\"", &[], &[]);
    assert!(missing[0].to_string().starts_with("http.token_file = \"/nowhere\""), "{}", missing[0]);
}

#[test]
fn another_address_than_loopback_wants_protection() {
    let faults = faults("[http]\nlisten = \"0.0.0.0:8080\"", &[], &[]);
    assert!(faults[0].remedy.contains("http.insecure = true"), "{faults:?}");
    assert_eq!(load("", &[], &["http.listen=localhost:0"]).http.listen.port(), 0);
}

#[test]
fn a_key_that_is_named_and_not_set_is_a_warning() {
    let file = "[[llm.providers]]\nbase_url = \"http://a\"\nmodel = \"m\"\napi_key_env = \"MY_KEY\"";
    assert!(load(file, &[], &[]).warnings()[0].contains("MY_KEY is not set"));
    assert!(load(file, &[("MY_KEY", "k")], &[]).warnings().is_empty());
}

#[test]
fn rules_of_prompts_come_from_files_that_say_something() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (rules, empty, long) =
        (file("rules", "Choose the cheapest."), file("empty", " \n"), file("long", &"x".repeat(40_000)));
    let config = load("", &[], &[&format!("llm.select_rules_file={rules}")]);
    assert_eq!((config.llm.select_rules.as_deref(), config.llm.plan_rules), (Some("Choose the cheapest."), None));
    for (path, problem) in [(&empty, "empty"), (&long, "40000 bytes"), (&"/none".to_owned(), "cannot be read")] {
        let found = faults("", &[], &[&format!("llm.plan_rules_file={path}")]);
        assert!(found.len() == 1 && found[0].key == "llm.plan_rules_file", "{found:?}");
        assert!(found[0].problem.contains(problem), "{found:?}");
    }
}
