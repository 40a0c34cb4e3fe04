//! Where the story plays: broker and registry.

use crate::cli::context::Context;

pub(super) struct Stage {
    pub(super) context: Context,
}

impl Stage {
    pub(super) async fn set(context: &Context) -> anyhow::Result<Self> {
        let mut config = context.config.clone();
        config.http.listen = "127.0.0.1:0".parse()?;
        Ok(Self { context: Context { config } })
    }

    pub(super) async fn strike(self) {}
}
