//! A TCP door before a server: shut, it drops every connection and refuses new ones; opened, all is as before.
//!
//! For "the registry is away": no server has to be stopped that other tests use.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug, Default)]
struct Door {
    shut: bool,
    open: Vec<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Gate {
    address: String,
    door: Arc<Mutex<Door>>,
}

impl Gate {
    /// An open door to `target` (`host:port`).
    pub(crate) fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (door, target) = (Arc::<Mutex<Door>>::default(), target.to_owned());
        let seen = door.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut door = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if door.shut {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let [to, from] = [(&client, &server), (&server, &client)]
                    .map(|(a, b)| (a.try_clone().expect("cloned"), b.try_clone().expect("cloned")));
                door.open.extend([client, server]);
                for (mut from, mut to) in [to, from] {
                    std::thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { address, door }
    }

    /// A URL's host and port replaced by this door's.
    pub(crate) fn before(url: &str) -> (Self, String) {
        let (scheme, rest) = url.split_once("://").expect("a URL has a scheme");
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let gate = Self::to(host);
        let through = format!("{scheme}://{}/{path}", gate.address);
        (gate, through)
    }

    /// `host:port` of the door.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn shut(&self) {
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        door.shut = true;
        for stream in door.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn open(&self) {
        self.door.lock().unwrap_or_else(PoisonError::into_inner).shut = false;
    }
}
