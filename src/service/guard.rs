//! The part of the role `insights` that watches the guardrails of experiments: a thread of its own.

use super::Base;
use super::experiments::Known;
use crate::experiments::Guard;
use crate::worker::{Clock as _, SystemClock};
use anyhow::Context;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Watches until told to stop, while `leads` says that it is this process's turn.
///
/// # Errors
/// If the thread cannot be started, or panics.
pub(super) async fn run(base: &Base, known: Arc<Known>, leads: Arc<AtomicBool>) -> anyhow::Result<()> {
    let (root, clock) = (base.root.clone(), SystemClock::default());
    let guard = Guard {
        kafka: base.config.kafka.clone(),
        codec: (*base.codec).clone(),
        registry: base.registry.clone(),
        runtime: Handle::current(),
        known: Box::new(move || known.get()),
        leads: Box::new(move || leads.load(Ordering::Relaxed)),
        now: Box::new(move || clock.now().0),
        stop: Box::new(move || root.is_cancelled()),
    };
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name("baton-guard".to_owned()).spawn(move || {
        guard.run();
        // Nobody may be waiting any more.
        let _ = ended.send(());
    })?;
    end.await.context("the thread that watches guardrails panicked")
}
