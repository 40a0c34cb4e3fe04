//! Where the story plays: a broker and a schema registry in this process, with topics and schemas, on free ports.

use crate::cli::apply;
use crate::cli::context::Context;
use crate::embedded::{Ports, Stack};
use crate::kafka::produce::PlainProducer;
use std::net::{Ipv4Addr, SocketAddr};

pub(super) struct Stage {
    /// What was configured, but here.
    pub(super) context: Context,
    /// For definitions and tasks.
    pub(super) producer: PlainProducer,
    stack: Stack,
}

impl Stage {
    pub(super) async fn set(context: &Context) -> anyhow::Result<Self> {
        let stack = Stack::start(Ports::default(), None).await?;
        let mut config = stack.configure(context.config.clone());
        // Two demos at a time are no mistake.
        config.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // Before anything else: a producer's first record waits half a second or more for the producer's id.
        let producer = PlainProducer::new(&config.kafka, "demo")?;
        let stage = Self { context: Context { config }, producer, stack };
        tracing::debug!("broker and registry answer");
        apply::bring_up(&stage.context).await?;
        Ok(stage)
    }

    /// Everybody who uses it has ended.
    pub(super) async fn strike(self) -> anyhow::Result<()> {
        drop(self.producer);
        Ok(self.stack.stop().await?)
    }
}
