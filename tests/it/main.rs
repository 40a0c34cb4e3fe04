//! Integration tests against a real Kafka and schema registry; see `support` for how these are found.
#![allow(clippy::print_stderr, reason = "a failing test shows the logs of its processes, some what they measured")]
#![allow(dead_code, unused_imports, reason = "the harness is whole before all of its users are")]

mod agents_exec;
mod arrows;
mod demo;
mod dev;
mod dispatch;
mod documented;
mod e2e;
mod eval;
mod exactly_once;
mod experiments;
mod harness;
mod insights;
mod learning;
mod python_agent;
mod python_sdk;
mod registry_server;
mod rust_agent;
mod sdk;
mod sources;
mod support;
mod typescript_sdk;
