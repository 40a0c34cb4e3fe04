use super::recent::Recent;
use crate::selection::Embed;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokenizers::{Tokenizer, TruncationParams};

/// Tokens of a text that are read, about fifty words: the time a choice takes grows with them, and what is wanted is said
/// at the beginning.
const TOKENS: usize = 64;
/// Texts of one length that go through the model together; more of them take memory and save no time.
const TOGETHER: usize = 64;

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "{} cannot be read; give the directory of a sentence model, with config.json, tokenizer.json and \
         model.safetensors", .path.display()
    )]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} is not what a sentence model's is ({problem}); get it anew, or another model", .path.display())]
    Broken { path: PathBuf, problem: String },
}

/// A model in memory, about as large as its file.
pub struct SentenceModel {
    model: BertModel,
    tokenizer: Tokenizer,
    recent: Mutex<Recent>,
}

impl std::fmt::Debug for SentenceModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SentenceModel").finish_non_exhaustive()
    }
}

impl SentenceModel {
    /// Reads all of it and tries it.
    ///
    /// # Errors
    /// The file that is missing or broken.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let read = |name: &str| {
            let path = directory.join(name);
            match std::fs::read(&path) {
                Ok(bytes) => Ok((path, bytes)),
                Err(source) => Err(OpenError::Unreadable { path, source }),
            }
        };
        let broken = |path: &Path, problem: String| OpenError::Broken { path: path.to_owned(), problem };
        let (path, bytes) = read("config.json")?;
        let config: Config = serde_json::from_slice(&bytes).map_err(|error| broken(&path, error.to_string()))?;
        check(&config).map_err(|problem| broken(&path, problem))?;
        let (path, bytes) = read("tokenizer.json")?;
        let tokenizer = tokenizer(&bytes, &config).map_err(|problem| broken(&path, problem))?;
        let (path, bytes) = read("model.safetensors")?;
        let model = VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu)
            .and_then(|weights| BertModel::load(weights, &config))
            .map_err(|error| broken(&path, first_line(&error)))?;
        let model = Self { model, tokenizer, recent: Mutex::default() };
        let tried = model.vectors(&["a text to try it with"]).map_err(|problem| broken(&path, problem))?;
        if tried.iter().flat_map(|vector| vector.iter()).all(|value| value.is_finite()) {
            return Ok(model);
        }
        Err(broken(&path, "it gives no numbers".to_owned()))
    }

    /// In the order of `texts`. Those of one length go together, so that none is filled up and the same text gives the same.
    fn vectors(&self, texts: &[&str]) -> Result<Vec<Arc<[f32]>>, String> {
        let mut tokens = Vec::with_capacity(texts.len());
        for (place, text) in texts.iter().enumerate() {
            let encoded = self.tokenizer.encode(*text, true).map_err(|error| error.to_string())?;
            tokens.push((place, encoded.get_ids().to_vec()));
        }
        tokens.sort_by_key(|(_, ids)| ids.len());
        let mut vectors = vec![Arc::<[f32]>::from([]); texts.len()];
        for together in
            tokens.chunk_by(|one, other| one.1.len() == other.1.len()).flat_map(|same| same.chunks(TOGETHER))
        {
            let found = self.forward(together).map_err(|error| first_line(&error))?;
            for ((place, _), vector) in together.iter().zip(found) {
                vectors[*place] = vector.into();
            }
        }
        Ok(vectors)
    }

    /// The mean of each text's tokens, of length one.
    fn forward(&self, texts: &[(usize, Vec<u32>)]) -> candle_core::Result<Vec<Vec<f32>>> {
        let length = texts.first().map_or(0, |(_, ids)| ids.len());
        let ids: Vec<u32> = texts.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
        let ids = Tensor::from_vec(ids, (texts.len(), length), &Device::Cpu)?;
        let mean = self.model.forward(&ids, &ids.zeros_like()?, None)?.mean(1)?;
        mean.broadcast_div(&mean.sqr()?.sum_keepdim(1)?.sqrt()?)?.to_vec2()
    }
}

impl Embed for SentenceModel {
    fn embed(&self, texts: &[&str]) -> Option<Vec<Arc<[f32]>>> {
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let [text] = texts
            && let Some(vector) = recent().get(text)
        {
            return Some(vec![vector]);
        }
        let vectors = self
            .vectors(texts)
            .map_err(|problem| tracing::error!(problem, "the sentence model fails: agents are chosen without it"))
            .ok()?;
        if let ([text], [vector]) = (texts, vectors.as_slice()) {
            recent().put((*text).to_owned(), vector);
        }
        Some(vectors)
    }
}

/// What the model would divide by or look up without asking.
fn check(config: &Config) -> Result<(), String> {
    let heads = config.num_attention_heads;
    if heads == 0 || !config.hidden_size.is_multiple_of(heads) || config.hidden_size == 0 {
        return Err(format!("hidden_size {} cannot be divided among {heads} heads", config.hidden_size));
    }
    if config.num_hidden_layers == 0 || config.max_position_embeddings == 0 {
        return Err("it has no layers or no positions".to_owned());
    }
    Ok(())
}

/// Takes a text as it is: models are stored with a tokenizer that fills each text up.
fn tokenizer(bytes: &[u8], config: &Config) -> Result<Tokenizer, String> {
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| error.to_string())?;
    let (words, known) = (tokenizer.get_vocab_size(true), config.vocab_size);
    if words > known {
        return Err(format!("it has {words} tokens, and config.json has a vocab_size of {known}"));
    }
    tokenizer.with_padding(None);
    let max_length = TOKENS.min(config.max_position_embeddings);
    let truncation = TruncationParams { max_length, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(|error| error.to_string())?;
    Ok(tokenizer)
}

/// The library's errors may come with a backtrace.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
