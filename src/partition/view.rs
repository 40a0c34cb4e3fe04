//! (the world)
#[derive(Debug)]
pub struct View;
