//! A broker within this process: topics, consumer groups and transactions for clients on this machine.
//!
//! The state machine is `noida`'s, named in this file only; sockets, waiting and durability are ours, because it answers
//! an empty fetch at once (clients would spin), gives a whole log in one answer, lets nobody's session end, and saves
//! itself by whole copies. What it does not do and Baton's guarantees rest on is added around it:
//!
//! - a fetch waits, is bounded, and names only those aborted transactions that lie in what it gives ([`fetch`]);
//! - a member that falls silent leaves its group ([`groups`]);
//! - a transaction that outlives its timeout is aborted and its producer fenced, a stale member's offsets are refused,
//!   undecided offsets are not told to who asks for decided ones ([`transactions`]);
//! - what was acknowledged survives the end of the process, however it ends ([`journal`]). A loss of power it may not.
//!
//! Members may be static or dynamic, but with an eager assignor only: a second cooperative rebalance never ends. It does
//! not know the newer group protocol, topic ids, TLS, authentication, authorisation. Records written in transactions are never
//! compacted, and the journal is never shortened: both grow until the folder is deleted.

mod connection;
mod fetch;
mod groups;
mod journal;
mod transactions;

use super::EmbeddedError;
use journal::Journal;
use noida::kafka::engine::{self, EngineState};
use noida::kafka::log::batch_last_offset;
use noida::lifecycle::Lifecycle;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Sessions and transactions past their time are looked for this often.
const SWEEP: Duration = Duration::from_millis(500);
/// Retention and compaction.
const CLEAN: Duration = Duration::from_secs(10);
/// Of a connection's thread; decoding is not recursive.
const STACK: usize = 512 * 1024;

/// A broker under way; dropped, it ends.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    shared: Arc<Shared>,
    lives: Vec<Life>,
    sweeper: Option<JoinHandle<()>>,
}

/// What all connections work on.
#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    /// Woken when there may be more to read.
    data: Condvar,
    /// Woken when a group changed.
    groups: Condvar,
    stopping: AtomicBool,
}

#[derive(Debug)]
struct Inner {
    engine: EngineState,
    rounds: groups::Rounds,
    journal: Option<Journal>,
}

/// One port's connections.
#[derive(Clone, Default)]
struct Life(Lifecycle);

impl std::fmt::Debug for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Life").field("connections", &self.0.connections()).finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Waits for one of ours to be woken, at most so long.
    fn wait<'a>(on: &Condvar, inner: MutexGuard<'a, Inner>, at_most: Duration) -> MutexGuard<'a, Inner> {
        on.wait_timeout(inner, at_most).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Broker {
    /// Takes the port, reads back what `data` holds, and serves. Port 0 is any free one; `data` is a folder of the
    /// broker's own, made if it is not there; without one all is forgotten at the end. On `127.0.0.1` the same port of
    /// `::1` is taken too, where there is such, for `localhost` may mean either.
    ///
    /// # Errors
    /// [`EmbeddedError`].
    pub fn start(address: SocketAddr, data: Option<&Path>) -> Result<Self, EmbeddedError> {
        let listeners = listen(address)?;
        let local = |source| EmbeddedError::Listen { address, source };
        let address = listeners[0].local_addr().map_err(local)?;
        let mut engine = EngineState::new(address.ip().to_string(), i32::from(address.port()));
        // It has none in fact; listed, they would only be looked at.
        engine.topics.clear();
        // A typo must not make a topic.
        engine.broker_configs.insert("auto.create.topics.enable".to_owned(), "false".to_owned());
        let journal = data.map(|folder| Journal::open(folder, &mut engine)).transpose()?;
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner { engine, rounds: groups::Rounds::new(), journal }),
            data: Condvar::new(),
            groups: Condvar::new(),
            stopping: AtomicBool::new(false),
        });
        let mut lives = Vec::new();
        for listener in listeners {
            let life = Life::default();
            accept(listener, &life, &shared).map_err(local)?;
            lives.push(life);
        }
        let sweeping = Arc::clone(&shared);
        let sweeper = thread::Builder::new().name("broker-sweep".to_owned()).stack_size(STACK);
        let sweeper = sweeper.spawn(move || sweep(&sweeping)).map_err(local)?;
        Ok(Self { address, shared, lives, sweeper: Some(sweeper) })
    }

    /// Where it listens in fact.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes kept on disk; 0 without data.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.shared.lock().journal.as_ref().map_or(0, Journal::bytes)
    }

    /// Closes the port and all connections; what was acknowledged is kept.
    ///
    /// # Errors
    /// [`EmbeddedError::Data`] where the disk does not take it.
    pub fn stop(mut self) -> Result<(), EmbeddedError> {
        self.end();
        self.shared.lock().journal.as_mut().map_or(Ok(()), Journal::sync)
    }

    fn end(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.data.notify_all();
        self.shared.groups.notify_all();
        for life in self.lives.drain(..) {
            life.0.stop();
        }
        if let Some(sweeper) = self.sweeper.take() {
            sweeper.thread().unpark();
            if sweeper.join().is_err() {
                tracing::error!("the embedded broker's sweeper panicked");
            }
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.end();
    }
}

/// The port, on both loopback addresses where the IPv4 one is asked for.
fn listen(address: SocketAddr) -> Result<Vec<TcpListener>, EmbeddedError> {
    let bind = |address| TcpListener::bind(address).map_err(|source| EmbeddedError::Listen { address, source });
    let first = bind(address)?;
    if address.ip() != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        return Ok(vec![first]);
    }
    let port = first.local_addr().map_err(|source| EmbeddedError::Listen { address, source })?.port();
    match bind(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port)) {
        Ok(second) => Ok(vec![first, second]),
        // Somebody else's there, clients of `localhost` would reach that one now and this one then.
        Err(EmbeddedError::Listen { address: other, source })
            if source.kind() == ErrorKind::AddrInUse && address.port() != 0 =>
        {
            Err(EmbeddedError::Listen { address: other, source })
        }
        // No IPv6 here.
        Err(_) => Ok(vec![first]),
    }
}

fn accept(listener: TcpListener, life: &Life, shared: &Arc<Shared>) -> std::io::Result<()> {
    let incoming = life.0.incoming(listener);
    let shared = Arc::clone(shared);
    thread::Builder::new().name("broker-accept".to_owned()).stack_size(STACK).spawn(move || {
        for (stream, open) in incoming {
            let shared = Arc::clone(&shared);
            let serve = move || {
                let _open = open;
                if let Err(error) = connection::serve(&stream, &shared) {
                    tracing::debug!(%error, "a connection to the embedded broker ended");
                }
            };
            let thread = thread::Builder::new().name("broker-client".to_owned()).stack_size(STACK);
            if let Err(error) = thread.spawn(serve) {
                tracing::error!(%error, "the embedded broker cannot serve another connection");
            }
        }
    })?;
    Ok(())
}

/// What nobody asks for and time brings.
fn sweep(shared: &Shared) {
    let mut cleaned = Instant::now();
    while !shared.is_stopping() {
        thread::park_timeout(SWEEP);
        let mut inner = shared.lock();
        let left = groups::expire(&mut inner.engine);
        let ended = transactions::expire(&mut inner);
        if cleaned.elapsed() >= CLEAN {
            cleaned = Instant::now();
            inner.engine.run_log_cleaner();
        }
        drop(inner);
        if left {
            shared.groups.notify_all();
        }
        if ended {
            shared.data.notify_all();
        }
    }
}
