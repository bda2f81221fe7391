//! Health and metrics of the real binary, and that dashboard and alert rules ask for what there is.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use common::{Server, command, run};

const PACKAGING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging");

fn start(data: &Path) -> (Server, u16) {
    let mut command = command(data);
    command.env("PLENARY_SERVER_METRICS__LISTEN", "127.0.0.1:0");
    let server = Server::run(command);
    let port = server.said.iter().find_map(|line| {
        let at = line.strip_prefix("plenary-server: metrics on 127.0.0.1:")?;
        at.parse().ok()
    });
    (server, port.unwrap())
}

/// Status line and headers, and the body.
fn get(port: u16, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn health_and_metrics_are_told_and_nothing_else() {
    let base = tempfile::tempdir().unwrap();
    let (server, port) = start(&base.path().join("data"));
    for path in ["/livez", "/readyz"] {
        let (head, body) = get(port, &format!("GET {path}"));
        assert!(head.starts_with("HTTP/1.1 200") && body == "ok\n", "{head}");
    }
    assert!(get(port, "GET /").0.starts_with("HTTP/1.1 404"));
    assert!(get(port, "POST /metrics").0.starts_with("HTTP/1.1 405"));
    // Somebody who only knocks is counted.
    drop(TcpStream::connect(("127.0.0.1", server.port)).unwrap());
    let counted = || get(port, "GET /metrics").1;
    while !counted().contains("\nplenary_refused_total{kind=\"handshake\"} 1") {}
    let (head, text) = get(port, "GET /metrics");
    assert!(head.contains("openmetrics-text"), "{head}");
    assert!(text.ends_with("# EOF\n"));
    for line in [
        "plenary_accepted_total 1",
        "plenary_store_healthy 1",
        "plenary_last_backup_timestamp_seconds 0",
        "plenary_connections{kind=\"chat\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let days = text
        .lines()
        .find_map(|line| line.strip_prefix("plenary_certificate_days "));
    assert!(matches!(days, Some("89" | "90")), "{text}");
    // No label can name anybody or anything.
    let labels: BTreeSet<_> = text
        .split(['{', ','])
        .filter_map(|part| part.split_once("=\"")?.0.split_whitespace().next_back())
        .collect();
    assert_eq!(labels, BTreeSet::from(["kind", "le", "version"]));
    server.signal("-TERM");
    assert!(server.wait().0.success());
}

/// Names of metrics that a text asks for.
fn asked(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_name(c))
        .filter(|word| word.starts_with("plenary_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn dashboard_and_alerts_ask_for_metrics_that_exist() {
    let base = tempfile::tempdir().unwrap();
    let (_server, port) = start(&base.path().join("data"));
    let text = get(port, "GET /metrics").1;
    // What was never counted has no sample yet, but is described.
    let mut there = asked(&text);
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        if kind == "counter" {
            there.insert(format!("{name}_total"));
        }
    }
    let read = |name: &str| fs::read_to_string(Path::new(PACKAGING).join(name)).unwrap();
    let dashboard = read("grafana-dashboard.json");
    let parsed: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let mut queries = String::new();
    for panel in parsed["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            queries += target["expr"].as_str().unwrap();
            queries += "\n";
        }
    }
    let rules = read("prometheus-alerts.yaml");
    for (what, text) in [("dashboard", &queries), ("rules", &rules)] {
        let asked = asked(text);
        assert!(asked.len() > 10, "{what}: {asked:?}");
        let unknown: Vec<_> = asked.difference(&there).collect();
        assert!(unknown.is_empty(), "{what}: {unknown:?}");
    }
    // Every rule is explained to the operator, and every metric is on the dashboard.
    let guide = fs::read_to_string(Path::new(PACKAGING).join("../docs/OPERATORS.md")).unwrap();
    for alert in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        assert!(guide.contains(&format!("`{alert}`")), "{alert}");
    }
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(queries.contains(name) || name == "plenary_build", "{name}");
    }
}

#[test]
fn only_loopback_is_listened_on() {
    let base = tempfile::tempdir().unwrap();
    let mut public = command(&base.path().join("data"));
    public.env("PLENARY_SERVER_METRICS__LISTEN", "0.0.0.0:0");
    let (code, said) = run(&mut public);
    assert_eq!((code, said.contains("metrics.listen")), (2, true), "{said}");
}

/// What systemd would hear, by a socket in its place.
#[test]
fn systemd_is_told_ready_alive_and_ending() {
    use std::os::unix::net::UnixDatagram;
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(std::time::Duration::from_secs(30)))
        .unwrap();
    let hear = || {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let mut command = command(&base.path().join("data"));
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "150000");
    let server = Server::run(command);
    let mut heard = BTreeSet::new();
    while !(heard.contains("READY=1") && heard.contains("WATCHDOG=1")) {
        heard.insert(hear().trim().to_owned());
    }
    server.signal("-TERM");
    while hear().trim() != "STOPPING=1" {}
    assert!(server.wait().0.success());
}
