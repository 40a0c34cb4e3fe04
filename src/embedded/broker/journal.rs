//! The broker's memory on disk: every request that changes something, in the order in which it did.
//!
//! A request is written before it is applied and before anybody is answered, so that what was acknowledged is there after
//! the process ended, however it ended; only a loss of power can take what the system had not yet written. Reading it back
//! is applying it again: the state machine gives the same offsets, producer ids and epochs. Group membership is not kept,
//! as its members are gone. A request cut short by the end of the process was not acknowledged and is dropped.
//!
//! Nothing is ever taken out of it.

use super::connection;
use super::engine::EngineState;
use crate::embedded::EmbeddedError;
use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use std::fs::{File, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const NAME: &str = "broker.journal";
/// What the file begins with; another format gets another one.
const MAGIC: &[u8; 16] = b"baton broker 01\n";
/// Length, key and version of an entry.
const HEAD: usize = 8;

#[derive(Debug)]
pub(super) struct Journal {
    /// Locked: the system lets go of it when the process ends.
    file: File,
    path: PathBuf,
    bytes: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Applies what the folder holds and goes on from there.
    pub(super) fn open(folder: &Path, engine: &mut EngineState) -> Result<Self, EmbeddedError> {
        let path = folder.join(NAME);
        let failed = |source| EmbeddedError::Data { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(EmbeddedError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut journal = Self { file, bytes: 0, buffer: Vec::new(), path: path.clone() };
        let length = journal.file.metadata().map_err(failed)?.len();
        if length < MAGIC.len() as u64 {
            journal.file.set_len(0).map_err(failed)?;
            journal.file.write_all(MAGIC).map_err(failed)?;
            journal.bytes = MAGIC.len() as u64;
        } else {
            journal.bytes = journal.replay(length, engine)?;
            if journal.bytes < length {
                tracing::warn!(path = %path.display(), bytes = length - journal.bytes, "an unfinished write is dropped");
                journal.file.set_len(journal.bytes).map_err(failed)?;
            }
            journal.file.seek(SeekFrom::Start(journal.bytes)).map_err(failed)?;
        }
        Ok(journal)
    }

    /// Applies every whole entry; gives where the last one ends.
    fn replay(&self, length: u64, engine: &mut EngineState) -> Result<u64, EmbeddedError> {
        let path = &self.path;
        let failed = |source| EmbeddedError::Data { path: path.clone(), source };
        let damaged = |problem: String| EmbeddedError::Damaged { path: path.clone(), problem };
        let mut reader = BufReader::with_capacity(1 << 20, &self.file);
        let mut magic = [0; MAGIC.len()];
        reader.read_exact(&mut magic).map_err(failed)?;
        if &magic != MAGIC {
            return Err(damaged("it begins with something else".to_owned()));
        }
        let mut at = MAGIC.len() as u64;
        let mut head = [0; HEAD];
        while length - at >= HEAD as u64 {
            reader.read_exact(&mut head).map_err(failed)?;
            let [a, b, c, d, e, f, g, h] = head;
            let size = u64::from(u32::from_be_bytes([a, b, c, d]));
            if length - at - (HEAD as u64) < size {
                break;
            }
            let mut body = vec![0; usize::try_from(size).expect("32 bits fit")];
            reader.read_exact(&mut body).map_err(failed)?;
            let (key, version) = (i16::from_be_bytes([e, f]), i16::from_be_bytes([g, h]));
            let applied =
                ApiKey::try_from(key).ok().and_then(|key| connection::apply(engine, key, version, &Bytes::from(body)));
            applied.ok_or_else(|| damaged(format!("at byte {at} is a request of kind {key} that cannot be read")))?;
            at += HEAD as u64 + size;
        }
        Ok(at)
    }

    /// One request; on the way to the disk when this returns.
    pub(super) fn append(&mut self, key: ApiKey, version: i16, body: &[u8]) -> io::Result<()> {
        let size = u32::try_from(body.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.buffer.clear();
        self.buffer.extend_from_slice(&size.to_be_bytes());
        self.buffer.extend_from_slice(&(key as i16).to_be_bytes());
        self.buffer.extend_from_slice(&version.to_be_bytes());
        self.buffer.extend_from_slice(body);
        if let Err(error) = self.file.write_all(&self.buffer) {
            tracing::error!(%error, path = %self.path.display(), "the embedded broker cannot keep what it is given");
            // What got there is half a request: the next one must not come after it.
            self.file.set_len(self.bytes)?;
            self.file.seek(SeekFrom::Start(self.bytes))?;
            return Err(error);
        }
        self.bytes += self.buffer.len() as u64;
        // One large request does not hold its memory for good.
        self.buffer.shrink_to(1 << 20);
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn sync(&mut self) -> Result<(), EmbeddedError> {
        self.file.sync_all().map_err(|source| EmbeddedError::Data { path: self.path.clone(), source })
    }
}
