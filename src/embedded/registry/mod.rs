//! A small schema registry: the part of Confluent's API that stock clients use.
//!
//! For one process on one machine, as `baton dev` and `baton demo` are: no authentication, no cluster, no contexts. Schemas
//! live in memory and, with a store, in one JSON file that is written whole at each change, before the change is
//! answered: what was answered is kept, and what could not be written did not happen.
//!
//! | type | when registered | compatible |
//! | --- | --- | --- |
//! | AVRO | is parsed, with its references | by Avro's rules of resolution, at all seven levels |
//! | JSON | is compiled, alone: references are refused | if it can be shown that one schema takes all that the other does |
//! | PROTOBUF | is kept as text, unparsed | if equal |
//!
//! Two schemas are the same, and so have one id under all subjects, if they mean the same JSON: white space, the order of
//! keys and, in Avro, how a name is qualified make no difference; documentation, defaults and aliases do. The text is
//! handed out as it was handed in. `normalize` is taken and changes nothing further.
//!
//! It fails as the real one does: `{"error_code", "message"}` with the documented codes. Metadata, rule sets, aliases of
//! subjects and whatever else it does not do are refused, never ignored.

mod answer;
mod avro;
mod request;
mod routes;
mod schema;
mod state;
mod store;
mod subjects;
mod words;

use state::State;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

/// Why the server cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RegistryServerError {
    #[error("the schema registry cannot listen on {address}; free the port or choose another one, or 0 for any")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the schema registry cannot use its file {}", path.display())]
    Store { path: PathBuf, source: std::io::Error },
    #[error(
        "the schema registry's file {} is damaged: {problem}; restore it, or move it away to start without schemas",
        path.display()
    )]
    Damaged { path: PathBuf, problem: String },
    #[error("the schema registry ended")]
    Serve(#[source] std::io::Error),
}

/// A registry whose port is taken and which is not yet served.
#[derive(Debug)]
pub struct RegistryServer {
    listener: TcpListener,
    address: SocketAddr,
    shared: Shared,
}

/// What all requests share.
#[derive(Clone, Debug)]
struct Shared(Arc<RwLock<Kept>>);

/// What is registered, and where it is kept.
#[derive(Debug)]
struct Kept {
    state: State,
    store: Option<Store>,
}

impl RegistryServer {
    /// Takes the port and reads `store`, which is created where it is missing; its folder is not.
    ///
    /// # Errors
    /// All but [`RegistryServerError::Serve`]; each names the address or the file.
    pub async fn bind(address: SocketAddr, store: Option<PathBuf>) -> Result<Self, RegistryServerError> {
        let listen = |source| RegistryServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (state, store) = match store {
            Some(path) => {
                let (state, store) = Store::open(path).await?;
                (state, Some(store))
            }
            None => (State::default(), None),
        };
        Ok(Self { listener, address, shared: Shared(Arc::new(RwLock::new(Kept { state, store }))) })
    }

    /// The address in fact, also where port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then ends what is under way and returns.
    ///
    /// # Errors
    /// [`RegistryServerError::Serve`].
    pub async fn serve(self, stop: CancellationToken) -> Result<(), RegistryServerError> {
        let router = routes::router(self.shared);
        let served = axum::serve(self.listener, router).with_graceful_shutdown(stop.cancelled_owned());
        served.await.map_err(RegistryServerError::Serve)
    }
}

#[cfg(test)]
mod tests;
