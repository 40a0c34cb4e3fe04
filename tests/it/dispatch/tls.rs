//! TLS by a private authority, HTTP/2, and a token from the environment.

use super::*;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A certificate that is its own authority, and its key.
fn certificate(dir: &Path) -> (PathBuf, PathBuf) {
    let (key, cert) = (dir.join("agent.key"), dir.join("agent.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=agent", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (key, cert)
}

#[test]
fn an_agent_over_tls_is_called_by_http_2_with_its_token_and_only_if_its_authority_is_known() {
    let scratch = Scratch::new("http-tls");
    let (key, cert) = certificate(scratch.dir());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/dispatch/tls_agent.mjs");
    let child = Command::new("node").arg(script).args([&key, &cert]).stdout(Stdio::piped()).spawn();
    let mut server = Server(child.expect("node is installed"));
    let mut line = String::new();
    let mut said = BufReader::new(server.0.stdout.take().expect("it is piped"));
    said.read_line(&mut line).expect("it says its port");
    let url = format!("https://127.0.0.1:{}/work", line.trim());
    scratch.apply().register_all(&[behind("Safe", &url)]);
    let secret = format!(
        "[[dispatcher.secrets]]\nagent = \"Safe\"\nbearer_env = \"SAFE_TOKEN\"\nendpoint = \"{url}\"\n[dispatcher]\nca_file = {cert:?}\n"
    );
    {
        let _stranger = scratch.worker("stranger").toml("[workflow]\naccept_timeout = \"2s\"").start();
        submit(&scratch, &[("untrusted", "Safe")]);
        assert_eq!(completion(&scratch, "untrusted")["reason"], "assignment_timeout", "it is not sent to a stranger");
    }
    let _worker = scratch.worker("w").toml(&secret).env("SAFE_TOKEN", "hunter2").start();
    submit(&scratch, &[("trusted", "Safe")]);
    let ended = completion(&scratch, "trusted");
    let output: Value = serde_json::from_str(ended["result"].as_str().unwrap_or_default()).unwrap_or_default();
    assert_eq!(output, json!({ "http": "2.0", "authorization": "Bearer hunter2" }), "{ended:#}");
}
