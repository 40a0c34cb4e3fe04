use super::*;
use crate::selection::Embed;
use std::fs;
use std::path::Path;

/// What is said of a directory with these files.
fn refused(files: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().expect("a directory can be made");
    for (name, content) in files {
        fs::write(dir.path().join(name), content).expect("it can be written");
    }
    SentenceModel::open(dir.path()).expect_err("it is no model").to_string()
}

const CONFIG: &str = r#"{"vocab_size": 4, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 4, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "max_position_embeddings": 8,
    "type_vocab_size": 2, "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0}"#;
const TOKENIZER: &str = r#"{"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": null, "decoder": null, "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "a": 1}, "unk_token": "[UNK]"}}"#;

#[test]
fn the_file_that_is_missing_or_broken_is_named() {
    let no_heads = CONFIG.replace("\"num_attention_heads\": 2", "\"num_attention_heads\": 0");
    let few_words = CONFIG.replace("\"vocab_size\": 4", "\"vocab_size\": 1");
    let (config, tokenizer) = (("config.json", CONFIG), ("tokenizer.json", TOKENIZER));
    for (files, parts) in [
        (&[][..], ["config.json", "cannot be read"]),
        (&[("config.json", "{}")], ["config.json", "vocab_size"]),
        (&[("config.json", &*no_heads)], ["config.json", "0 heads"]),
        (&[config], ["tokenizer.json", "cannot be read"]),
        (&[config, ("tokenizer.json", "{}")], ["tokenizer.json", "get it anew"]),
        (&[("config.json", &*few_words), tokenizer], ["tokenizer.json", "vocab_size of 1"]),
        (&[config, tokenizer], ["model.safetensors", "cannot be read"]),
        (&[config, tokenizer, ("model.safetensors", "none")], ["model.safetensors", "get it anew"]),
    ] {
        let said = refused(files);
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?} are not in {said}");
    }
}

#[test]
#[ignore = "needs a model: BATON_MINILM=/path/to/all-MiniLM-L6-v2 cargo test --features embeddings --lib embeddings -- --ignored"]
fn what_means_the_same_lies_close_and_alone_or_among_others_it_lies_there() {
    let directory = std::env::var("BATON_MINILM").expect("BATON_MINILM names a model's directory");
    let model = SentenceModel::open(Path::new(&directory)).expect("it is a model");
    let texts =
        ["my card was stolen", "somebody took my credit card", "the weather in Paris", "sun", &"far ".repeat(500)];
    let vectors = model.embed(&texts).expect("it embeds");
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    assert!(cosine(&vectors[0], &vectors[1]) > 0.6, "{}", cosine(&vectors[0], &vectors[1]));
    assert!(cosine(&vectors[0], &vectors[2]) < 0.2, "{}", cosine(&vectors[0], &vectors[2]));
    for (text, among) in texts.iter().zip(&vectors) {
        let alone = model.embed(&[text]).expect("it embeds").pop().expect("one");
        assert!((cosine(&alone, among) - 1.0).abs() < 1e-4, "{text}");
        assert_eq!(model.embed(&[text]).expect("it embeds"), [alone], "what was asked for lately is kept");
    }
}
