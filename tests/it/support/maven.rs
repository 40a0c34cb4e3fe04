//! Apache Kafka and Apicurio Registry as plain Java processes, their jars resolved by Maven once and kept under
//! `target/tmp`.

use super::reaper::{self, Kept};
use super::stack::{Secure, Stack, broker_answers, registry_answers};
use super::wait::free_port;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const KAFKA: &str = "4.3.0";
const APICURIO: &str = "2.6.13.Final";
/// For the first resolution over a slow line.
const RESOLVE: Duration = Duration::from_secs(300);
const START: Duration = Duration::from_secs(60);

/// A stack of one's own: for tests that stop or freeze the broker, where others must not notice.
#[derive(Debug)]
pub(crate) struct Broker {
    dir: PathBuf,
    libs: PathBuf,
    pub(crate) bootstrap: String,
    secure: Option<Secure>,
    process: Option<Kept>,
}

/// The registry; it keeps its schemas in memory.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) url: String,
    _process: Kept,
}

/// Broker and registry on free ports.
pub(crate) fn start() -> Result<Stack, String> {
    for (tool, version) in [("java", "-version"), ("openssl", "version"), ("mvn", "-v")] {
        let found = Command::new(tool).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.map_err(|e| format!("`{tool}` cannot be run: {e}"))?;
    }
    let registry = Registry::start()?;
    let broker = Broker::start()?;
    registry.ready()?;
    broker.ready()?;
    let (bootstrap, url, secure) = (broker.bootstrap.clone(), registry.url.clone(), broker.secure.clone());
    Ok(Stack::new("maven", bootstrap, url, vec![Box::new(broker), Box::new(registry)]).with_secure(secure))
}

impl Broker {
    /// A formatted, started broker; [`Broker::ready`] waits until it answers.
    pub(crate) fn start() -> Result<Self, String> {
        let libs = kafka_libs()?;
        let dir = run_dir("kafka")?;
        let [plain, controller, scram, oauth] = std::array::from_fn(|_| free_port());
        let secure = certificate(&dir).map(|ca| Secure {
            scram: format!("127.0.0.1:{scram}"),
            oauth: format!("127.0.0.1:{oauth}"),
            ca,
        })?;
        fs::write(dir.join("server.properties"), properties(&dir, [plain, controller, scram, oauth]))
            .map_err(|e| format!("{}: {e}", dir.display()))?;
        let scram = |user| format!("SCRAM-SHA-512=[name={user},password={}]", Secure::PASSWORD);
        let mut format = java(&libs, "256m");
        format.args(["kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c"]);
        format.arg(dir.join("server.properties"));
        format.args(["--add-scram", &scram("baton"), "--add-scram", &scram("guest")]);
        reaper::run(&format, &dir.join("format.log"), START)?;
        let mut broker =
            Self { dir, libs, bootstrap: format!("127.0.0.1:{plain}"), secure: Some(secure), process: None };
        broker.resume();
        Ok(broker)
    }

    /// This broker with the shared registry, for `Scratch::on`.
    pub(crate) fn stack(&self) -> &'static Stack {
        let registry = super::stack().registry.clone();
        Box::leak(Box::new(
            Stack::new("maven", self.bootstrap.clone(), registry, vec![]).with_secure(self.secure.clone()),
        ))
    }

    /// Starts the process again, on the same ports and data.
    pub(crate) fn resume(&mut self) {
        let mut server = java(&self.libs, "1g");
        server.arg("kafka.Kafka").arg(self.dir.join("server.properties"));
        self.process = Some(Kept::spawn(&server, &self.dir.join("server.log")));
    }

    pub(crate) fn ready(&self) -> Result<(), String> {
        answers("the broker", &self.dir.join("server.log"), || broker_answers(&self.bootstrap))
    }

    /// `kill -9`: gone until [`Broker::resume`].
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    pub(crate) fn freeze(&self) {
        self.process.as_ref().expect("it runs").signal("STOP");
    }

    pub(crate) fn thaw(&self) {
        self.process.as_ref().expect("it runs").signal("CONT");
    }
}

impl Registry {
    fn start() -> Result<Self, String> {
        let app = apicurio_app()?;
        let dir = run_dir("registry")?;
        let port = free_port();
        let mut server = Command::new("java");
        server.arg("-Xmx512m").arg(format!("-Dquarkus.http.port={port}")).arg("-Dquarkus.http.host=127.0.0.1");
        server.arg("-jar").arg(app).current_dir(&dir);
        let process = Kept::spawn(&server, &dir.join("server.log"));
        Ok(Self { url: format!("http://127.0.0.1:{port}/apis/ccompat/v7"), _process: process })
    }

    fn ready(&self) -> Result<(), String> {
        answers("the registry", Path::new(""), || registry_answers(&self.url))
    }
}

fn answers(who: &str, log: &Path, look: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let start = Instant::now();
    loop {
        match look() {
            Ok(()) => return Ok(()),
            Err(seen) if start.elapsed() > START => {
                let log = reaper::tail(&fs::read_to_string(log).unwrap_or_default(), 20);
                return Err(format!("{who} did not answer within {START:?}: {seen}\n{log}"));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn java(libs: &Path, heap: &str) -> Command {
    let mut java = Command::new("java");
    java.arg(format!("-Xmx{heap}")).args(["-XX:+UseG1GC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"]);
    java.arg(format!("{}/*", libs.display()));
    java
}

fn properties(dir: &Path, [plain, controller, scram, oauth]: [u16; 4]) -> String {
    let dir = dir.display();
    // Four partitions of the internal topics: the default of fifty each costs seconds at every start.
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},\
         SCRAM://127.0.0.1:{scram},OAUTH://127.0.0.1:{oauth}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_SSL,OAUTH:SASL_PLAINTEXT\n\
         log.dirs={dir}/data\n\
         auto.create.topics.enable=false\n\
         group.initial.rebalance.delay.ms=0\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         share.coordinator.state.topic.num.partitions=1\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS;User:baton\n\
         listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
         listener.name.scram.scram-sha-512.sasl.jaas.config=\
         org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
         listener.name.scram.ssl.keystore.type=PEM\n\
         listener.name.scram.ssl.keystore.location={dir}/broker.pem\n\
         listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER\n\
         listener.name.oauth.oauthbearer.sasl.jaas.config=\
         org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
         unsecuredLoginStringClaim_sub=\"broker\";\n"
    )
}

/// An authority and a certificate for 127.0.0.1, valid for a day; gives the authority's file.
fn certificate(dir: &Path) -> Result<PathBuf, String> {
    let script = "set -e
        openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=test-authority -keyout ca.key -out ca.pem
        openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout broker.key -out broker.csr
        printf 'subjectAltName=IP:127.0.0.1,DNS:localhost' >broker.ext
        openssl x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile broker.ext -out broker.crt
        cat broker.key broker.crt ca.pem >broker.pem";
    let mut openssl = Command::new("sh");
    openssl.args(["-c", script]).current_dir(dir);
    reaper::run(&openssl, &dir.join("openssl.log"), START)?;
    Ok(dir.join("ca.pem"))
}

fn run_dir(name: &str) -> Result<PathBuf, String> {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let dir = cache().join(format!("run-{}-{number}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    reaper::dir(&dir);
    Ok(dir)
}

fn cache() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn kafka_libs() -> Result<PathBuf, String> {
    resolved(&format!("kafka-{KAFKA}"), |dir| {
        let dependency = |artifact: &str| {
            let (group, rest) = artifact.split_once(':').expect("group:artifact:version");
            let (id, version) = rest.split_once(':').expect("group:artifact:version");
            format!(
                "<dependency><groupId>{group}</groupId><artifactId>{id}</artifactId><version>{version}</version></dependency>"
            )
        };
        let pom = format!(
            "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
             <groupId>baton</groupId><artifactId>test-broker</artifactId><version>1</version><packaging>pom</packaging>\
             <dependencies>{}{}</dependencies></project>",
            dependency(&format!("org.apache.kafka:kafka_2.13:{KAFKA}")),
            dependency("org.slf4j:slf4j-simple:1.7.36"),
        );
        fs::write(dir.join("pom.xml"), pom).map_err(|e| e.to_string())?;
        let mut mvn = Command::new("mvn");
        mvn.args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=."]).current_dir(dir);
        reaper::run(&mvn, &dir.join("mvn.log"), RESOLVE)
    })
}

fn apicurio_app() -> Result<PathBuf, String> {
    let dir = resolved(&format!("apicurio-{APICURIO}"), |dir| {
        let mut mvn = Command::new("mvn");
        mvn.args(["-q", "-B", "dependency:copy", "-DoutputDirectory=."]);
        mvn.arg(format!("-Dartifact=io.apicurio:apicurio-registry-app:{APICURIO}:tar.gz:all")).current_dir(dir);
        reaper::run(&mvn, &dir.join("mvn.log"), RESOLVE)?;
        let mut untar = Command::new("tar");
        untar.arg("xzf").arg(format!("apicurio-registry-app-{APICURIO}-all.tar.gz")).current_dir(dir);
        reaper::run(&untar, &dir.join("tar.log"), START)
    })?;
    Ok(dir.join(format!("apicurio-registry-app-{APICURIO}-runner.jar")))
}

/// A directory of the cache, filled once: the work is done beside it and moved in when whole, one process at a time.
fn resolved(name: &str, fill: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let whole = cache().join(name);
    if whole.is_dir() {
        return Ok(whole);
    }
    let lock = fs::File::create(cache().join(format!("{name}.lock"))).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    if whole.is_dir() {
        return Ok(whole);
    }
    let part = cache().join(format!("{name}.part"));
    let _ = fs::remove_dir_all(&part);
    fs::create_dir_all(&part).map_err(|e| e.to_string())?;
    fill(&part)?;
    fs::rename(&part, &whole).map_err(|e| e.to_string())?;
    Ok(whole)
}
