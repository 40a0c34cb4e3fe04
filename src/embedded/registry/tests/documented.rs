//! What the API's documentation says of each path.

use super::*;

#[tokio::test]
async fn a_schema_is_registered_found_and_shown() {
    let registry = running(None).await;
    let schema = record(&["a:int"]);
    assert_eq!(registry.get("/").await, json!({}));
    assert_eq!(registry.get("/subjects").await, json!([]));
    assert_eq!(registry.register("s", schema.clone()).await, 1);
    assert_eq!(registry.get("/subjects").await, json!(["s"]));
    let text = schema["schema"].clone();
    let shown = json!({"subject": "s", "version": 1, "id": 1, "schema": text});
    for version in ["1", "latest", "-1"] {
        assert_eq!(registry.get(&format!("/subjects/s/versions/{version}")).await, shown);
    }
    assert_eq!(registry.well("POST", "/subjects/s", Some(schema)).await, shown);
    assert_eq!(registry.get("/subjects/s/versions").await, json!([1]));
    assert_eq!(registry.get("/schemas").await, json!([shown]));
    assert_eq!(registry.get("/schemas/ids/1").await, json!({"schema": text}));
    assert_eq!(registry.get("/schemas/ids/1?fetchMaxId=true").await["maxId"], 1);
    let parsed: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    assert_eq!(registry.get("/schemas/ids/1/schema").await, parsed);
    assert_eq!(registry.get("/subjects/s/versions/1/schema").await, parsed);
    assert_eq!(registry.get("/schemas/ids/1/subjects").await, json!(["s"]));
    assert_eq!(registry.get("/schemas/ids/1/versions").await, json!([{"subject": "s", "version": 1}]));
    assert_eq!(registry.get("/schemas/types").await, json!(["JSON", "PROTOBUF", "AVRO"]));
}

#[tokio::test]
async fn the_same_schema_has_one_id_wherever_and_however_it_is_written() {
    let registry = running(None).await;
    let first = registry.register("s", avro(&json!({"type": "record", "name": "n.R", "fields": []}))).await;
    let spaced = json!({"schema": "{ \"name\":\"R\", \"namespace\": \"n\",\n \"fields\":[], \"type\":\"record\"}"});
    assert_eq!(registry.register("s", spaced.clone()).await, first);
    assert_eq!(registry.get("/subjects/s/versions").await, json!([1]));
    assert_eq!(registry.register("t", spaced).await, first);
    let documented = avro(&json!({"type": "record", "name": "n.R", "doc": "d", "fields": []}));
    assert_ne!(registry.register("s", documented).await, first);
    // The same text of another type is another schema.
    let object = json!({"type": "string"});
    assert_ne!(registry.register("j", json_schema(&object)).await, registry.register("a", avro(&object)).await);
}

#[tokio::test]
async fn what_is_not_there_is_told_by_its_code() {
    let registry = running(None).await;
    registry.register("s", record(&["a:int"])).await;
    let other = Some(record(&["b:int"]));
    for (code, method, path, body) in [
        (40401, "GET", "/subjects/none/versions", None),
        (40401, "GET", "/subjects/none/versions/1", None),
        (40401, "POST", "/subjects/none", other.clone()),
        (40401, "DELETE", "/subjects/none", None),
        (40401, "DELETE", "/config/s", None),
        (40401, "DELETE", "/mode/s", None),
        (40402, "GET", "/subjects/s/versions/2", None),
        (40402, "GET", "/subjects/s/versions/2/schema", None),
        (40402, "DELETE", "/subjects/s/versions/2", None),
        (40402, "POST", "/compatibility/subjects/s/versions/2", other.clone()),
        (40403, "POST", "/subjects/s", other.clone()),
        (40403, "GET", "/schemas/ids/9", None),
        (40403, "GET", "/schemas/ids/9/schema", None),
        (40403, "GET", "/schemas/ids/9/subjects", None),
        (40403, "GET", "/schemas/ids/9/versions", None),
        (40408, "GET", "/config/s", None),
        (40409, "GET", "/mode/s", None),
        (404, "GET", "/schemas/ids/x", None),
        (404, "GET", "/nowhere", None),
        (405, "PUT", "/subjects", None),
        (42202, "GET", "/subjects/s/versions/0", None),
        (42202, "GET", "/subjects/s/versions/first", None),
        (42202, "GET", "/subjects/s/versions/-2", None),
    ] {
        assert_eq!(registry.refused(method, path, body).await, code, "{method} {path}");
    }
}

#[tokio::test]
async fn an_unsound_schema_is_refused_with_what_is_wrong() {
    let registry = running(None).await;
    for (schema, said) in [
        (json!({"schema": "{\"type\":\"recor\"}"}), "recor"),
        (json!({"schema": ""}), "Empty"),
        (json!({"schemaType": "AVRO"}), "Empty"),
        (json!({"schema": "\"string\"", "schemaType": "XML"}), "XML"),
        (json_schema(&json!({"type": "strin"})), "strin"),
        (json_schema(&json!({"$ref": "http://example.invalid/x"})), "stands alone"),
        (avro(&json!({"type": "array", "items": "Unknown"})), "Unknown"),
    ] {
        let (status, answer) = registry.ask("POST", "/subjects/s/versions", Some(schema.clone())).await;
        assert_eq!((status.as_u16(), &answer["error_code"]), (422, &json!(42201)), "{schema} {answer}");
        assert!(answer["message"].as_str().unwrap().contains(said), "{answer}");
    }
    assert_eq!(registry.get("/subjects").await, json!([]));
}

#[tokio::test]
async fn all_seven_levels_hold_what_they_promise() {
    // Each with whether a field may be added without a default, with one, and a field taken away that had none; then
    // whether a schema goes that suits the last version but not the first.
    let levels = [
        ("NONE", [true, true, true, true]),
        ("BACKWARD", [false, true, true, true]),
        ("BACKWARD_TRANSITIVE", [false, true, true, false]),
        ("FORWARD", [true, true, false, true]),
        ("FORWARD_TRANSITIVE", [true, true, false, false]),
        ("FULL", [false, true, false, true]),
        ("FULL_TRANSITIVE", [false, true, false, false]),
    ];
    for (level, [bare, with_default, taken, last_only]) in levels {
        let registry = running(None).await;
        registry.put("/config", json!({ "compatibility": level })).await;
        registry.register("s", record(&["a:int", "b:int"])).await;
        for (fields, fits) in [
            (&["a:int", "b:int", "c:int"][..], bare),
            (&["a:int", "b:int", "c:int=0"], with_default),
            (&["a:int"], taken),
        ] {
            let (status, answer) =
                registry.ask("POST", "/compatibility/subjects/s/versions?verbose=true", Some(record(fields))).await;
            assert_eq!(status, 200);
            assert_eq!(answer["is_compatible"], fits, "{level} {fields:?} {answer}");
            assert_eq!(answer["messages"].as_array().unwrap().is_empty(), fits, "{answer}");
        }
        // Version 2 has no x, which in versions 1 and 3 has other types.
        registry.register("t", record(&["x:int=0"])).await;
        registry.register("t", record(&[])).await;
        let path = "/subjects/t/versions";
        let (status, answer) = registry.ask("POST", path, Some(record(&["x:string=\"\""]))).await;
        assert_eq!(status.as_u16(), if last_only { 200 } else { 409 }, "{level} {answer}");
    }
}

#[tokio::test]
async fn the_default_level_is_backward_and_a_refusal_says_why() {
    let registry = running(None).await;
    assert_eq!(registry.get("/config").await, json!({"compatibilityLevel": "BACKWARD"}));
    registry.register("s", record(&["a:int"])).await;
    let (status, answer) = registry.ask("POST", "/subjects/s/versions", Some(record(&["a:int", "b:int"]))).await;
    assert_eq!((status.as_u16(), &answer["error_code"]), (409, &json!(409)));
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("subject \"s\"") && message.contains("version 1 wrote: `b` is not written"), "{message}");
}

#[tokio::test]
async fn a_subject_has_a_level_of_its_own_or_that_of_all() {
    let registry = running(None).await;
    registry.register("s", record(&["a:int"])).await;
    assert_eq!(registry.get("/config/s?defaultToGlobal=true").await["compatibilityLevel"], "BACKWARD");
    assert_eq!(registry.put("/config/s", json!({"compatibility": "full"})).await, json!({"compatibility": "FULL"}));
    assert_eq!(registry.get("/config/s").await, json!({"compatibilityLevel": "FULL"}));
    assert_eq!(registry.delete("/config/s").await, json!({"compatibilityLevel": "FULL"}));
    assert_eq!(registry.refused("GET", "/config/s", None).await, 40408);
    registry.put("/config", json!({"compatibility": "NONE", "normalize": true, "alias": null})).await;
    assert_eq!(registry.delete("/config").await, json!({"compatibilityLevel": "NONE"}));
    assert_eq!(registry.get("/config").await["compatibilityLevel"], "BACKWARD");
    assert_eq!(registry.refused("PUT", "/config", Some(json!({"compatibility": "MOSTLY"}))).await, 42203);
    assert_eq!(registry.refused("PUT", "/config", Some(json!({"compatibility": "FULL", "alias": "x"}))).await, 422);
}

#[tokio::test]
async fn deleting_is_soft_first_and_then_for_good() {
    let registry = running(None).await;
    let (one, two) = (record(&["a:int"]), record(&["a:int", "b:int=0"]));
    registry.register("s", one.clone()).await;
    registry.register("s", two).await;
    assert_eq!(registry.refused("DELETE", "/subjects/s/versions/1?permanent=true", None).await, 40407);
    assert_eq!(registry.refused("DELETE", "/subjects/s?permanent=true", None).await, 40405);
    assert_eq!(registry.delete("/subjects/s/versions/1").await, json!(1));
    assert_eq!(registry.refused("DELETE", "/subjects/s/versions/1", None).await, 40406);
    assert_eq!(registry.refused("GET", "/subjects/s/versions/1", None).await, 40402);
    assert_eq!(registry.get("/subjects/s/versions/1?deleted=true").await["deleted"], true);
    assert_eq!(registry.get("/subjects/s/versions?deleted=true").await, json!([1, 2]));
    assert_eq!(registry.get("/subjects/s/versions?deletedOnly=true").await, json!([1]));
    // Its data can still be read, and it may come back, with its id and a new number.
    assert_eq!(registry.get("/schemas/ids/1").await["schema"], one["schema"]);
    assert_eq!(registry.refused("POST", "/subjects/s", Some(one.clone())).await, 40403);
    assert_eq!(registry.register("s", one.clone()).await, 1);
    assert_eq!(registry.get("/subjects/s/versions?deleted=true").await, json!([2, 3]));
    assert_eq!(registry.delete("/subjects/s").await, json!([2, 3]));
    assert_eq!(registry.refused("DELETE", "/subjects/s", None).await, 40404);
    assert_eq!(registry.get("/subjects").await, json!([]));
    assert_eq!(registry.get("/subjects?deleted=true").await, json!(["s"]));
    assert_eq!(registry.delete("/subjects/s?permanent=true").await, json!([2, 3]));
    assert_eq!(registry.refused("GET", "/schemas/ids/1", None).await, 40403);
    assert_eq!(registry.register("s", one).await, 3, "an id is not given twice");
}

#[tokio::test]
async fn a_schema_may_build_on_others_which_then_stay() {
    let registry = running(None).await;
    let inner = avro(&json!({"type": "enum", "name": "n.Colour", "symbols": ["RED"]}));
    let text = json!({"type": "record", "name": "n.Car", "fields": [{"name": "colour", "type": "Colour"}]});
    let mut outer = avro(&text);
    assert_eq!(registry.refused("POST", "/subjects/car/versions", Some(outer.clone())).await, 42201);
    outer["references"] = json!([{"name": "n.Colour", "subject": "colour", "version": -1}]);
    assert_eq!(registry.refused("POST", "/subjects/car/versions", Some(outer.clone())).await, 42201);
    registry.register("colour", inner).await;
    let id = registry.register("car", outer.clone()).await;
    let shown = registry.get(&format!("/schemas/ids/{id}")).await;
    assert_eq!(shown["references"], json!([{"name": "n.Colour", "subject": "colour", "version": 1}]));
    assert_eq!(registry.get("/subjects/colour/versions/1/referencedby").await, json!([id]));
    assert_eq!(registry.refused("DELETE", "/subjects/colour/versions/1", None).await, 42206);
    assert_eq!(registry.refused("DELETE", "/subjects/colour", None).await, 42206);
    // What it builds on counts when it is compared.
    registry.put("/config/colour", json!({"compatibility": "NONE"})).await;
    registry.register("colour", avro(&json!({"type": "enum", "name": "n.Colour", "symbols": ["BLUE"]}))).await;
    outer["references"] = json!([{"name": "n.Colour", "subject": "colour", "version": 2}]);
    let (status, answer) = registry.ask("POST", "/subjects/car/versions", Some(outer)).await;
    assert_eq!(status, 409);
    assert!(answer["message"].as_str().unwrap().contains("the symbols RED are unknown"), "{answer}");
    registry.delete("/subjects/car").await;
    registry.delete("/subjects/colour").await;
    assert_eq!(registry.refused("DELETE", "/subjects/colour?permanent=true", None).await, 42206);
}

#[tokio::test]
async fn modes_say_who_may_write_what() {
    let registry = running(None).await;
    let (one, two) = (record(&["a:int"]), record(&["b:int=0"]));
    assert_eq!(registry.get("/mode").await, json!({"mode": "READWRITE"}));
    registry.register("s", one.clone()).await;
    assert_eq!(registry.put("/mode/s", json!({"mode": "readonly"})).await, json!({"mode": "READONLY"}));
    assert_eq!(registry.get("/mode/s").await, json!({"mode": "READONLY"}));
    for (method, path, body) in [
        ("POST", "/subjects/s/versions", Some(two.clone())),
        ("DELETE", "/subjects/s", None),
        ("DELETE", "/subjects/s/versions/1", None),
        ("PUT", "/config/s", Some(json!({"compatibility": "NONE"}))),
    ] {
        assert_eq!(registry.refused(method, path, body).await, 42205, "{method} {path}");
    }
    // Serializers register what they use; what is there already is no write.
    assert_eq!(registry.register("s", one).await, 1);
    assert_eq!(registry.delete("/mode/s").await, json!({"mode": "READONLY"}));
    assert_eq!(registry.refused("PUT", "/mode", Some(json!({"mode": "IMPORT"}))).await, 42205);
    assert_eq!(registry.refused("PUT", "/mode", Some(json!({"mode": "OFF"}))).await, 42204);

    let with_id = |mut schema: Value, id: u32, version: u32| {
        schema["id"] = json!(id);
        schema["version"] = json!(version);
        schema
    };
    assert_eq!(registry.refused("POST", "/subjects/t/versions", Some(with_id(two.clone(), 70, 4))).await, 42205);
    registry.put("/mode/t", json!({"mode": "IMPORT"})).await;
    assert_eq!(registry.refused("POST", "/subjects/t/versions", Some(two.clone())).await, 42205);
    assert_eq!(registry.register("t", with_id(two.clone(), 70, 4)).await, 70);
    assert_eq!(registry.get("/subjects/t/versions").await, json!([4]));
    let other = with_id(record(&["c:int"]), 70, 5);
    assert_eq!(registry.refused("POST", "/subjects/t/versions", Some(other)).await, 42207);
    registry.put("/mode/t?force=true", json!({"mode": "READWRITE"})).await;
    assert_eq!(registry.register("u", record(&["d:int"])).await, 71);
}

#[tokio::test]
async fn json_and_protobuf_are_kept_under_their_type() {
    let registry = running(None).await;
    let closed = |properties: Value| {
        json_schema(&json!({"type": "object", "properties": properties, "additionalProperties": false}))
    };
    registry.register("j", closed(json!({"a": {"type": "string"}}))).await;
    registry.register("j", closed(json!({"a": {"type": "string"}, "b": {"type": "integer"}}))).await;
    assert_eq!(registry.get("/subjects/j/versions/2").await["schemaType"], "JSON");
    let fewer = closed(json!({"b": {"type": "integer"}}));
    assert_eq!(registry.refused("POST", "/subjects/j/versions", Some(fewer)).await, 409);
    assert_eq!(registry.refused("POST", "/subjects/j/versions", Some(record(&["a:int"]))).await, 409);
    let proto = |text: &str| json!({"schema": text, "schemaType": "PROTOBUF"});
    let id = registry.register("p", proto("syntax = \"proto3\"; message A {}")).await;
    assert_eq!(registry.get(&format!("/schemas/ids/{id}")).await["schemaType"], "PROTOBUF");
    let other = proto("syntax = \"proto3\"; message A { string b = 1; }");
    assert_eq!(registry.refused("POST", "/subjects/p/versions", Some(other.clone())).await, 409);
    registry.put("/config/p", json!({"compatibility": "NONE"})).await;
    registry.register("p", other).await;
}

#[tokio::test]
async fn compatibility_is_asked_without_registering() {
    let registry = running(None).await;
    let path = "/compatibility/subjects/s/versions";
    let latest = format!("{path}/latest?verbose=true");
    let yes = json!({"is_compatible": true, "messages": []});
    assert_eq!(registry.well("POST", &latest, Some(record(&["a:int"]))).await, yes);
    registry.register("s", record(&["a:int"])).await;
    registry.register("s", record(&[])).await;
    let string = Some(record(&["a:string=\"\""]));
    assert_eq!(registry.well("POST", &latest, string.clone()).await, yes);
    let no = json!({"is_compatible": false});
    assert_eq!(registry.well("POST", &format!("{path}/1"), string.clone()).await, no);
    assert_eq!(registry.well("POST", path, string).await, json!({"is_compatible": true}));
    let unsound = Some(json!({"schema": "{"}));
    assert_eq!(registry.refused("POST", path, unsound.clone()).await, 42201);
    let answer = registry.well("POST", &format!("{path}?verbose=True"), unsound).await;
    assert_eq!(answer["is_compatible"], false);
    assert_eq!(registry.get("/subjects/s/versions").await, json!([1, 2]));
}

#[tokio::test]
async fn lists_are_cut_as_asked() {
    let registry = running(None).await;
    for subject in ["a-1", "a-2", "b-1"] {
        registry.register(subject, record(&["x:int"])).await;
    }
    registry.register("a-1", record(&["x:int", "y:int=0"])).await;
    assert_eq!(registry.get("/subjects?subjectPrefix=a-").await, json!(["a-1", "a-2"]));
    assert_eq!(registry.get("/subjects?subjectPrefix=:*:&offset=1&limit=1").await, json!(["a-2"]));
    assert_eq!(registry.get("/subjects?limit=-1").await.as_array().unwrap().len(), 3);
    assert_eq!(registry.refused("GET", "/subjects?limit=x", None).await, 400);
    assert_eq!(registry.get("/schemas").await.as_array().unwrap().len(), 4);
    let latest = registry.get("/schemas?latestOnly=true&subjectPrefix=a-1").await;
    assert_eq!((latest.as_array().unwrap().len(), &latest[0]["version"]), (1, &json!(2)));
}
