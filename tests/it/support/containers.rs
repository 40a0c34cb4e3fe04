//! The same two in Docker, through testcontainers.

use super::reaper;
use super::stack::{Stack, broker_answers, registry_answers};
use super::wait::{free_port, runtime};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use testcontainers::core::{IntoContainerPort as _, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt as _};

pub(crate) const KAFKA: &str = "apache/kafka:4.3.0";
pub(crate) const REGISTRY: &str = "apicurio/apicurio-registry:2.6.13.Final";
/// Of one image, where it is not here yet.
const PULL: Duration = Duration::from_secs(180);
const START: Duration = Duration::from_secs(90);

/// Both containers, ready; Err says what is missing: no engine, no image, no answer.
pub(crate) fn start() -> Result<Stack, String> {
    engine()?;
    image(KAFKA)?;
    image(REGISTRY)?;
    let (kafka_port, registry_port) = (free_port(), free_port());
    let (name, tag) = KAFKA.split_once(':').expect("an image has a tag");
    // Two listeners, since clients and the broker itself (for transaction markers) reach it by different addresses.
    let kafka = run(
        "kafka",
        GenericImage::new(name, tag)
            .with_wait_for(WaitFor::seconds(0))
            .with_mapped_port(kafka_port, 9092.tcp())
            .with_env_var("KAFKA_PROCESS_ROLES", "broker,controller")
            .with_env_var("KAFKA_NODE_ID", "1")
            .with_env_var("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093")
            .with_env_var("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
            .with_env_var("KAFKA_LISTENERS", "PLAINTEXT://:9092,BROKER://:19092,CONTROLLER://:9093")
            .with_env_var(
                "KAFKA_ADVERTISED_LISTENERS",
                format!("PLAINTEXT://127.0.0.1:{kafka_port},BROKER://localhost:19092"),
            )
            .with_env_var(
                "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT",
            )
            .with_env_var("KAFKA_INTER_BROKER_LISTENER_NAME", "BROKER")
            .with_env_var("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
            .with_env_var("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
            .with_env_var("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1")
            .with_env_var("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "4")
            .with_env_var("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
            .with_env_var("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
            .with_env_var("KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS", "4")
            .with_env_var("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR", "1")
            .with_env_var("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR", "1"),
    )?;
    let (name, tag) = REGISTRY.split_once(':').expect("an image has a tag");
    let registry = run(
        "registry",
        GenericImage::new(name, tag).with_wait_for(WaitFor::seconds(0)).with_mapped_port(registry_port, 8080.tcp()),
    )?;
    let bootstrap = format!("127.0.0.1:{kafka_port}");
    let url = format!("http://127.0.0.1:{registry_port}/apis/ccompat/v7");
    answers(KAFKA, || broker_answers(&bootstrap))?;
    answers(REGISTRY, || registry_answers(&url))?;
    Ok(Stack::new("docker", bootstrap, url, vec![Box::new(kafka), Box::new(registry)]))
}

fn run(what: &str, request: ContainerRequest<GenericImage>) -> Result<ContainerAsync<GenericImage>, String> {
    let name = format!("baton-test-{}-{what}", std::process::id());
    reaper::container(&name);
    let request = request.with_container_name(&name).with_startup_timeout(START);
    runtime()
        .block_on(async { tokio::time::timeout(START, request.start()).await })
        .map_err(|_| format!("{name} did not start within {START:?}"))?
        .map_err(|e| format!("{name} did not start: {e}"))
}

fn answers(who: &str, look: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let start = Instant::now();
    loop {
        match look() {
            Ok(()) => return Ok(()),
            Err(seen) if start.elapsed() > START => {
                return Err(format!("{who} did not answer within {START:?}: {seen}"));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn docker(args: &[&str], within: Duration) -> bool {
    let Ok(mut child) = Command::new("docker").args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
        return false;
    };
    let deadline = Instant::now() + within;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

fn engine() -> Result<(), String> {
    if docker(&["version", "--format", "{{.Server.Version}}"], Duration::from_secs(10)) {
        Ok(())
    } else {
        Err("no engine answers `docker version`".into())
    }
}

fn image(image: &str) -> Result<(), String> {
    if docker(&["image", "inspect", image], Duration::from_secs(10)) || docker(&["pull", "-q", image], PULL) {
        Ok(())
    } else {
        Err(format!("the image {image} is neither here nor pulled within {PULL:?}"))
    }
}
