//! The example is the defaults; nonsense is refused by name.

use super::*;

const EXAMPLE: &str = include_str!("../../plenary-server.example.toml");

fn parse(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(Some(&file), &Overrides::default())
}

#[test]
fn the_example_is_the_defaults_and_names_every_key() {
    assert_eq!(parse(EXAMPLE), Ok(Config::default()));
    fn keys(value: &serde_json::Value, all: &mut std::collections::BTreeSet<String>) {
        for (key, value) in value.as_object().into_iter().flatten() {
            all.insert(key.clone());
            keys(value, all);
        }
    }
    let mut all = std::collections::BTreeSet::new();
    keys(&serde_json::to_value(Config::default()).unwrap(), &mut all);
    for key in all {
        let named = EXAMPLE.lines().any(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{key} = "))
                || line == format!("[{key}]")
                || line.ends_with(&format!(".{key}]"))
        });
        assert!(named, "{key} is not in the example");
    }
}

#[test]
fn what_the_example_comments_out_is_valid_too() {
    let mut seen = 0;
    let text: Vec<_> = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.split(' ').nth(1) == Some("=") => {
                seen += 1;
                rest
            }
            _ => line,
        })
        .collect();
    let config = parse(&text.join("\n")).unwrap();
    assert_eq!(seen, 9);
    assert_eq!(config.public_address(1), "plenary.example.org:443");
    assert!(config.tls.chain.is_some() && config.tls.key.is_some());
}

#[test]
fn later_sources_win() {
    let overrides = Overrides {
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 1))),
        log: Some(LogOverride {
            filter: "debug".to_owned(),
        }),
        ..Overrides::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.toml");
    let text = "listen = \"127.0.0.1:2\"\ndata = \"here\"\nlog.format = \"json\"";
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file), &overrides).unwrap();
    assert_eq!(config.listen.port(), 1);
    assert_eq!(config.data, Path::new("here"));
    assert_eq!(config.log.filter, "debug");
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.limits, Limits::default());
}

#[test]
fn typos_and_nonsense_are_refused_by_name() {
    for (text, named) in [
        ("lisen = \"0.0.0.0:1\"", "lisen"),
        ("listen = \"somewhere\"", "listen"),
        ("[limits]\nconections = 1", "conections"),
        ("[limits]\nconnections = -1", "connections"),
        ("[limits]\nhandshakes = 20000", "limits.handshakes"),
        ("[limits]\nping_seconds = 75", "limits.ping_seconds"),
        (
            "[limits]\nhandshake_seconds = 0",
            "limits.handshake_seconds",
        ),
        ("[tls]\nkey = \"key.pem\"", "tls"),
        ("names = []", "names"),
        ("names = [\"localhost:7443\"]", "names"),
        ("address = \"localhost\"", "address"),
        ("address = \"localhost:0\"", "address"),
        ("[log]\nfilter = \"loud=\\\"\"", "log.filter"),
        ("[log]\nformat = \"xml\"", "format"),
        ("[items]\nlargest_bytes = 0", "items.largest_bytes"),
        (
            "[items]\nbytes_per_second_beside_chat = 1000",
            "items.bytes_per_second_beside_chat",
        ),
        ("[items]\nkeep_days = 4000", "items.keep_days"),
        ("[items.s3]\nbucket = \"\"", "items.s3.bucket"),
        (
            "[items.s3]\nendpoint = \"s3.example.org\"",
            "items.s3.endpoint",
        ),
        (
            "[items.s3]\nendpoint = \"http://s3.example.org\"",
            "items.s3.allow_http",
        ),
        ("[items.s3]\nsecret = \"x\"", "secret"),
        ("[metrics]\nlisten = \"0.0.0.0:9464\"", "metrics.listen"),
        ("[scrub]\nevery_days = 0", "scrub.every_days"),
        ("[admin]\nsoket = \"x\"", "soket"),
        ("not toml at all", "TOML"),
    ] {
        let refused = parse(text).unwrap_err().to_string();
        assert!(refused.contains(named), "{text}: {refused}");
    }
    let absent = Path::new("/nowhere/at/all.toml");
    assert_eq!(
        Config::load(Some(absent), &Overrides::default()),
        Err(ConfigError::NoFile(absent.to_owned()))
    );
}

#[test]
fn members_are_told_a_name_and_the_port_in_use() {
    let mut config = Config::default();
    assert_eq!(config.public_address(4433), "localhost:4433");
    config.names = vec!["::1".to_owned()];
    assert_eq!(config.public_address(4433), "[::1]:4433");
    config.address = Some("[::1]:443".to_owned());
    assert_eq!(config.check(), Ok(()));
}
