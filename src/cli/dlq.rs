//! `baton dlq …`: what was refused and why, its original bytes, and the way back to where it came from.

mod letters;
mod list;
mod replay;

use super::Done;
use super::args::{DlqArgs, DlqCommand};
use super::context::Context;

pub(super) async fn run(context: &Context, args: DlqArgs) -> anyhow::Result<Done> {
    match args.command {
        DlqCommand::List { filter, format } => list::list(context, &filter, format.format).await,
        DlqCommand::Show { topic, partition, offset } => list::show(context, &topic, partition, offset).await,
        DlqCommand::Replay(args) => replay::run(context, args).await,
    }
}
