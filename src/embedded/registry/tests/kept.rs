//! The file: what was answered is in it, and a damaged one is told.

use super::*;

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("registry.json")
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_start() {
    let folder = TempDir::new().unwrap();
    let registry = running(Some(file(&folder))).await;
    // Higher ids are referred to by lower ones once a schema is deleted and comes back.
    registry.register("colour", avro(&json!({"type": "enum", "name": "Colour", "symbols": ["RED"]}))).await;
    let mut car = avro(&json!({"type": "record", "name": "Car", "fields": [{"name": "c", "type": "Colour"}]}));
    car["references"] = json!([{"name": "Colour", "subject": "colour", "version": 1}]);
    registry.register("car", car).await;
    registry.register("gone", json_schema(&json!({"type": "string"}))).await;
    registry.delete("/subjects/gone").await;
    registry.put("/config", json!({"compatibility": "FULL"})).await;
    registry.put("/config/car", json!({"compatibility": "NONE"})).await;
    registry.put("/mode/set-before", json!({"mode": "READONLY"})).await;
    let paths = ["/schemas?deleted=true", "/config", "/config/car", "/mode/set-before", "/schemas/ids/2"];
    let mut before = vec![];
    for path in paths {
        before.push(registry.get(path).await);
    }
    registry.delete("/subjects/gone?permanent=true").await;
    registry.stop().await;

    let again = running(Some(file(&folder))).await;
    for (path, before) in paths.iter().zip(before).skip(1) {
        assert_eq!(again.get(path).await, before, "{path}");
    }
    assert_eq!(again.get("/subjects?deleted=true").await, json!(["car", "colour"]));
    assert_eq!(again.register("new", record(&["a:int"])).await, 4, "an id is not given twice");
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["registry.json"], "nothing is left beside it");
}

#[tokio::test]
async fn a_damaged_file_is_an_error_that_names_it_and_stays_as_it_is() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder);
    let whole = |schemas: Value, subjects: Value| {
        json!({"format": 1, "lastId": 2, "schemas": schemas, "subjects": subjects}).to_string()
    };
    let one = json!({"1": {"schemaType": "AVRO", "schema": "\"string\""}});
    let referring = |to: u32| {
        json!({"1": {"schemaType": "AVRO", "schema": "\"string\"",
               "references": [{"name": "x", "subject": "s", "version": to}]}})
    };
    let version = json!({"s": {"versions": {"1": {"id": 1}}}});
    for (text, said) in [
        (String::new(), "EOF"),
        ("{\"format\":1,".to_owned(), "EOF"),
        (json!({"format": 2, "lastId": 0, "schemas": {}, "subjects": {}}).to_string(), "format is 2"),
        (whole(json!({}), version.clone()), "s version 1 has the id 1"),
        (whole(json!({"1": {"schemaType": "AVRO", "schema": "{"}}), json!({})), "schema 1"),
        (whole(one.clone(), json!({"s": {"versions": {"0": {"id": 1}}}})), "version 0"),
        (whole(one, json!({"s": {"compatibility": "MOSTLY"}})), "MOSTLY"),
        (whole(referring(1), version.clone()), "refers to itself"),
        (whole(referring(2), version), "s version 2"),
    ] {
        std::fs::write(&path, &text).unwrap();
        let error = RegistryServer::bind(([127, 0, 0, 1], 0).into(), Some(path.clone())).await.unwrap_err();
        assert!(matches!(error, RegistryServerError::Damaged { .. }), "{error:?}");
        let shown = error.to_string();
        assert!(shown.contains(&path.display().to_string()) && shown.contains(said), "{shown}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_kept_is_not_made() {
    let folder = TempDir::new().unwrap();
    let registry = running(Some(file(&folder))).await;
    registry.register("s", record(&["a:int"])).await;
    // Where the new file is to be written there is a folder.
    std::fs::create_dir(folder.path().join("registry.json.new")).unwrap();
    assert_eq!(registry.refused("POST", "/subjects/t/versions", Some(record(&["b:int"]))).await, 50001);
    assert_eq!(registry.get("/subjects").await, json!(["s"]));
    assert_eq!(registry.register("s", record(&["a:int"])).await, 1, "what changes nothing is not written");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_to_shows_at_the_start() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("missing/registry.json");
    let error = RegistryServer::bind(([127, 0, 0, 1], 0).into(), Some(path.clone())).await.unwrap_err();
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}
