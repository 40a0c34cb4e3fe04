//! The registry that `baton dev` brings, as its users see it: our own client and commands, a stock client, and the same
//! requests to it and to a real one.

use super::python_agent::python;
use super::support::{Scratch, stack};
use baton::contract::{Compatibility, Contract, Registry, TopicSpec, WriterSchema};
use baton::embedded::registry::RegistryServer;
use reqwest::Method;
use serde_json::{Value, json};
use std::process::Command;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// A server of the test's own, with the runtime it lives in.
struct Server {
    url: String,
    runtime: Runtime,
}

impl Server {
    fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime starts");
        let server = runtime.block_on(RegistryServer::bind(([127, 0, 0, 1], 0).into(), None)).expect("a port is free");
        let url = format!("http://{}", server.address());
        runtime.spawn(server.serve(CancellationToken::new()));
        Self { url, runtime }
    }

    fn client(&self) -> Registry {
        Registry::new(&self.url, None).expect("the address is one")
    }
}

#[test]
fn our_client_does_its_whole_work_against_it() {
    let server = Server::start();
    let client = server.client();
    server.runtime.block_on(async {
        for spec in TopicSpec::built_in() {
            let (Some(subject), Some(record)) = (spec.subject("baton"), spec.record) else { continue };
            let (text, level) = (record.schema_text(), Compatibility::FullTransitive);
            assert_eq!(client.id_of(&subject, text).await.unwrap(), None);
            assert_eq!(client.compatibility(&subject).await.unwrap(), None);
            assert_eq!(client.incompatibilities(&subject, text).await.unwrap(), [""; 0]);
            let id = client.register(&subject, text).await.unwrap();
            client.set_compatibility(&subject, level).await.unwrap();
            assert_eq!(client.register(&subject, text).await.unwrap(), id);
            assert_eq!(client.id_of(&subject, text).await.unwrap(), Some(id));
            assert_eq!(client.compatibility(&subject).await.unwrap().as_deref(), Some(level.as_str()));
            assert_eq!(client.incompatibilities(&subject, text).await.unwrap(), [""; 0]);
            assert!(matches!(client.schema(id).await.unwrap(), Some(WriterSchema::Avro(_))));

            // A field without a default is more than old readers and writers know of.
            let mut more: Value = serde_json::from_str(text).unwrap();
            more["fields"].as_array_mut().unwrap().push(json!({"name": "added", "type": "string"}));
            let reasons = client.incompatibilities(&subject, &more.to_string()).await.unwrap();
            assert!(reasons.concat().contains("`added`"), "{reasons:?}");
            let error = client.register(&subject, &more.to_string()).await.unwrap_err();
            assert!(!error.is_retriable() && error.to_string().contains("409"), "{error}");
            assert!(error.to_string().contains("`added`"), "{error}");
        }
        assert!(client.schema(9_999).await.unwrap().is_none());
        assert_eq!(client.contract("lead").await.unwrap(), Contract::Label);
        let lead = json!({"schema": "{\"type\":\"object\"}", "schemaType": "JSON"});
        let request = reqwest::Client::new().post(format!("{}/subjects/lead/versions", server.url)).json(&lead);
        assert_eq!(request.send().await.unwrap().status(), 200);
        assert_eq!(client.contract("lead").await.unwrap(), Contract::Schema("{\"type\":\"object\"}".into()));
    });
}

#[test]
fn baton_apply_registers_there_and_finds_it_as_wanted_the_second_time() {
    let server = Server::start();
    let scratch = Scratch::new("registry-server").with_registry(&server.url);
    let rows = |ran: &str| -> Vec<(String, String)> {
        let rows: Vec<Value> = serde_json::from_str(ran).expect("the list is JSON");
        let schemas = rows.iter().filter(|row| row["what"] == "schema");
        schemas.map(|row| (row["state"].to_string(), row["detail"].to_string())).collect()
    };
    let first = scratch.baton(&["apply", "--format", "json"]);
    assert!(first.status.success(), "{first:?}");
    let first = rows(&first.stdout);
    assert!(first.len() > 5 && first.iter().all(|(state, _)| state == "\"registered\""), "{first:?}");
    let again = rows(&scratch.baton(&["apply", "--format", "json"]).stdout);
    assert_eq!(again.len(), first.len());
    assert!(again.iter().all(|(state, _)| state == "\"as wanted\""), "{again:?}");
}

#[test]
fn the_python_client_does_its_whole_work_against_it() {
    let server = Server::start();
    let mut script = Command::new(python());
    script.args(["-c", PYTHON, &server.url]);
    let out = script.output().expect("python runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "all of it");
}

const PYTHON: &str = r#"
import sys
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.common.schema_registry_client import ConfigCompatibilityLevel, ServerConfig
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

client = SchemaRegistryClient({"url": sys.argv[1]})

def refused(status, code, call, *args, **kwargs):
    try:
        found = call(*args, **kwargs)
    except SchemaRegistryError as error:
        assert (error.http_status_code, error.error_code) == (status, code), error
        return
    raise AssertionError(f"{call} was not refused: {found}")

def record(*fields):
    fields = ",".join(f'{{"name":"{name}","type":"int"{default}}}' for name, default in fields)
    return f'{{"type":"record","name":"R","fields":[{fields}]}}'

one = record(("a", ""))
two = record(("a", ""), ("b", ',"default":7'))
bare = record(("a", ""), ("c", ""))

# Values go there and back, also into another version of their schema.
context = SerializationContext("orders", MessageField.VALUE)
data = AvroSerializer(client, one)({"a": 5}, context)
assert data[0] == 0
assert AvroDeserializer(client)(data, context) == {"a": 5}
assert AvroDeserializer(client, two)(data, context) == {"a": 5, "b": 7}
assert client.get_subjects() == ["orders-value"]
latest = AvroSerializer(client, conf={"auto.register.schemas": False, "use.latest.version": True})
assert latest({"a": 6}, context)[:5] == data[:5]

# Subjects and versions.
subject = "a b/c"
first = client.register_schema(subject, Schema(one, "AVRO"))
assert first == client.register_schema(subject, Schema(one, "AVRO"), normalize_schemas=True)
assert int.from_bytes(data[1:5], "big") == first, "one id under all subjects"
second = client.register_schema(subject, Schema(two, "AVRO"))
assert client.get_versions(subject) == [1, 2]
found = client.get_latest_version(subject)
assert (found.schema_id, found.version, found.subject) == (second, 2, subject), found
assert client.get_version(subject, 1).schema_id == first
fresh = SchemaRegistryClient({"url": sys.argv[1]})
assert fresh.get_schema(first).schema_str == one
assert fresh.lookup_schema(subject, Schema(two, "AVRO")).version == 2
assert sorted(client.get_subjects_by_schema_id(first)) == [subject, "orders-value"]
assert len(client.get_schema_versions(first)) == 2
assert set(client.get_schema_types()) == {"AVRO", "JSON", "PROTOBUF"}

# Compatibility.
assert client.get_compatibility() == "BACKWARD"
assert client.test_compatibility(subject, Schema(one, "AVRO"))
assert not client.test_compatibility(subject, Schema(bare, "AVRO"))
assert not client.test_compatibility_all_versions(subject, Schema(bare, "AVRO"), verbose=True)
refused(409, 409, client.register_schema, subject, Schema(bare, "AVRO"))
refused(422, 42201, client.register_schema, subject, Schema('{"type":"recor"}', "AVRO"))
refused(404, 40408, client.get_compatibility, subject)
client.set_compatibility(subject, "NONE")
assert client.get_compatibility(subject) == "NONE"
client.set_config(subject, ServerConfig(compatibility=ConfigCompatibilityLevel.FULL))
assert client.get_config(subject).compatibility_level == "FULL"
client.delete_config(subject)
refused(422, 42203, client.set_compatibility, subject, "MOSTLY")

# References, and schemas that are not Avro's.
client.register_schema("colour", Schema('{"type":"enum","name":"Colour","symbols":["RED"]}', "AVRO"))
car = '{"type":"record","name":"Car","fields":[{"name":"colour","type":"Colour"}]}'
car = Schema(car, "AVRO", [SchemaReference("Colour", "colour", 1)])
car_id = client.register_schema("cars-value", car)
assert client.get_referenced_by("colour", 1) == [car_id]
context = SerializationContext("cars", MessageField.VALUE)
data = AvroSerializer(client, car)({"colour": "RED"}, context)
assert AvroDeserializer(fresh)(data, context) == {"colour": "RED"}
json_id = client.register_schema("lead", Schema('{"type":"object"}', "JSON"))
assert fresh.get_schema(json_id).schema_type == "JSON"

# Modes and deletion.
assert client.get_global_mode() == "READWRITE"
refused(404, 40409, client.get_mode, subject)
client.update_mode(subject, "READONLY")
refused(422, 42205, client.delete_subject, subject)
assert client.get_mode(subject) == "READONLY"
client.delete_mode(subject)
refused(422, 42206, client.delete_subject, "colour")
assert client.delete_version(subject, 1) == 1
assert client.get_versions(subject) == [2]
assert client.delete_subject(subject) == [2]
assert client.delete_subject(subject, permanent=True) == [1, 2]
refused(404, 40401, client.get_versions, subject)
refused(404, 40403, fresh.get_schema, 4711)
print("all of it")
"#;

/// One registry, asked without our client.
struct Asked {
    url: String,
    client: reqwest::Client,
}

impl Asked {
    /// The status, and the answer without what only one registry can know: ids, and the words of a message.
    async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.url));
        if !body.is_null() {
            request = request.header("content-type", "application/vnd.schemaregistry.v1+json").body(body.to_string());
        }
        let answer = request.send().await.expect("the registry answers");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("the registry answers");
        let mut body: Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(object) = body.as_object_mut() {
            // What was just registered is repeated by newer ones only.
            if method == Method::POST && path.ends_with("/versions") && object.contains_key("id") {
                object.clear();
            }
            for unlike in ["id", "message", "detail", "name", "title", "status", "messages", "reason", "references"] {
                object.remove(unlike);
            }
        }
        (status, body)
    }
}

/// Left out is where Apicurio differs from what Confluent documents: modes, the level of all, a version that is no
/// number, an unknown level, what may be deleted for good, the HTTP status of some refusals to delete.
#[test]
fn a_real_registry_answers_the_same() {
    let server = Server::start();
    let scratch = Scratch::new("registry-same");
    let client = reqwest::Client::new();
    let ours = Asked { url: server.url.clone(), client: client.clone() };
    let real = Asked { url: stack().registry.clone(), client };
    let (subject, none) = (format!("{}-s", scratch.prefix), Value::Null);
    let record =
        |fields: Value| json!({"schema": json!({"type": "record", "name": "R", "fields": fields}).to_string()});
    let one = record(json!([{"name": "a", "type": "int"}]));
    let two = record(json!([{"name": "a", "type": "int"}, {"name": "b", "type": "int", "default": 0}]));
    let bare = record(json!([{"name": "a", "type": "int"}, {"name": "c", "type": "int"}]));
    let (unsound, level) = (json!({"schema": "{\"type\":\"recor\"}"}), json!({"compatibility": "FULL_TRANSITIVE"}));
    let steps = [
        ("GET", "/subjects/{s}/versions", &none, 404),
        ("GET", "/subjects/{s}/versions/1", &none, 404),
        ("POST", "/subjects/{s}", &one, 404),
        ("DELETE", "/subjects/{s}", &none, 404),
        ("POST", "/subjects/{s}/versions", &unsound, 422),
        ("POST", "/subjects/{s}/versions", &one, 200),
        ("POST", "/subjects/{s}/versions", &one, 200),
        ("GET", "/subjects/{s}/versions", &none, 200),
        ("GET", "/subjects/{s}/versions/1", &none, 200),
        ("GET", "/subjects/{s}/versions/latest", &none, 200),
        ("GET", "/subjects/{s}/versions/1/schema", &none, 200),
        ("GET", "/subjects/{s}/versions/1/referencedby", &none, 200),
        ("GET", "/subjects/{s}/versions/9", &none, 404),
        ("POST", "/subjects/{s}", &one, 200),
        ("POST", "/subjects/{s}", &two, 404),
        ("GET", "/schemas/ids/99999999", &none, 404),
        ("GET", "/schemas/types", &none, 200),
        ("PUT", "/config/{s}", &level, 200),
        ("GET", "/config/{s}", &none, 200),
        ("POST", "/compatibility/subjects/{s}/versions/latest", &two, 200),
        ("POST", "/compatibility/subjects/{s}/versions/latest", &bare, 200),
        ("POST", "/compatibility/subjects/{s}/versions", &bare, 200),
        ("POST", "/compatibility/subjects/{s}/versions/9", &bare, 404),
        ("POST", "/subjects/{s}/versions", &bare, 409),
        ("POST", "/subjects/{s}/versions", &two, 200),
        ("GET", "/subjects/{s}/versions", &none, 200),
        ("DELETE", "/subjects/{s}/versions/2", &none, 200),
        ("GET", "/subjects/{s}/versions/2", &none, 404),
        ("GET", "/subjects/{s}/versions", &none, 200),
    ];
    server.runtime.block_on(async {
        for (method, path, body, status) in steps {
            let path = path.replace("{s}", &subject);
            let (we, they) = (ours.ask(method, &path, body).await, real.ask(method, &path, body).await);
            assert_eq!(we, they, "{method} {path} {body}");
            assert_eq!(we.0, status, "{method} {path} {body}");
        }
    });
}
