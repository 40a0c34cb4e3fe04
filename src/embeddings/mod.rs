//! What texts mean, told by a sentence model (BERT's kind, such as all-MiniLM-L6-v2) on this machine's processor.
//!
//! A model is a directory with `config.json`, `tokenizer.json` and `model.safetensors`. It is read once, at start, and
//! asks for nothing from anywhere. Only built with the feature `embeddings`.

mod model;
mod recent;

pub use model::{OpenError, SentenceModel};

#[cfg(test)]
mod tests;
