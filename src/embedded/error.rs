//! What can keep the embedded parts from running.

use super::registry::RegistryServerError;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why what is embedded does not run.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(
        "the embedded broker cannot listen on {address}; choose another port with --kafka-port (0 = any free one), or end \
         what listens there"
    )]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("{} is in use by another `baton dev`; end that one, or keep this one's data elsewhere with --data", .0.display())]
    InUse(PathBuf),
    #[error("the embedded broker cannot use its data, {}", .path.display())]
    Data { path: PathBuf, source: std::io::Error },
    #[error(
        "the embedded broker's data, {}, is not what this version of baton wrote ({problem}); delete the folder to start \
         over, or keep this one's data elsewhere with --data", .path.display()
    )]
    Damaged { path: PathBuf, problem: String },
    #[error(
        "the embedded schema registry cannot listen on {address}; choose another port with --registry-port (0 = any free \
         one), or end what listens there"
    )]
    ListenForSchemas { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Registry(RegistryServerError),
}
