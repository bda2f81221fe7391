//! Real handshakes over memory: what is allowed, and above all what is not.

use std::fs;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use plenary_proto::ids::{Digest, UnixMillis};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, HandshakeKind, NamedGroup,
    PeerIncompatible, ProtocolVersion, ServerConfig, ServerConnection,
};

use super::*;

struct Net {
    _folder: tempfile::TempDir,
    authority: Authority,
    served: Arc<Reloadable>,
    server: Arc<ServerConfig>,
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMillis(since.as_millis() as u64)
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn net() -> Net {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(folder.path(), now()).unwrap();
    let identity = authority
        .issue(&names(&["localhost", "127.0.0.1"]), now())
        .unwrap();
    let served = Reloadable::new(identity);
    let server = server_config(served.clone()).unwrap();
    Net {
        _folder: folder,
        authority,
        served,
        server,
    }
}

/// Runs a handshake to its end in memory; the first side to refuse says why.
fn shake(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    name: &'static str,
) -> Result<(ClientConnection, ServerConnection), Error> {
    let mut client = ClientConnection::new(client, ServerName::try_from(name).unwrap())?;
    let mut server = ServerConnection::new(server)?;
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        feed(&mut server, &wire)?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((client, server))
}

fn feed(server: &mut ServerConnection, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        server.read_tls(&mut bytes).unwrap();
        server.process_new_packets()?;
    }
    Ok(())
}

fn refusal(client: Arc<ClientConfig>, server: Arc<ServerConfig>, name: &'static str) -> Error {
    shake(client, server, name).map(|_| ()).unwrap_err()
}

/// A client that trusts like ours but speaks with another provider.
fn client_with(provider: CryptoProvider, pin: Digest) -> ClientConfig {
    let provider = Arc::new(provider);
    ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedCa::new(pin, provider)))
        .with_no_client_auth()
}

#[test]
fn the_pinned_server_is_reached_over_the_hybrid_group() {
    let net = net();
    for name in ["localhost", "127.0.0.1"] {
        let config = client_config(net.authority.pin()).unwrap();
        let (client, server) = shake(config, net.server.clone(), name).unwrap();
        assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        let group = client.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, NamedGroup::X25519MLKEM768);
        assert_eq!(exporter(&client).unwrap(), exporter(&server).unwrap());
    }
}

#[test]
fn two_connections_export_two_bindings() {
    let net = net();
    let config = client_config(net.authority.pin()).unwrap();
    let (first, _) = shake(config.clone(), net.server.clone(), "localhost").unwrap();
    let (second, _) = shake(config, net.server, "localhost").unwrap();
    assert_ne!(exporter(&first).unwrap(), exporter(&second).unwrap());
}

#[test]
fn the_binding_is_that_of_rfc_9266() {
    let net = net();
    let config = client_config(net.authority.pin()).unwrap();
    let (client, _) = shake(config, net.server, "localhost").unwrap();
    let label = b"EXPORTER-Channel-Binding";
    let named = client.export_keying_material([0u8; 32], label, Some(b""));
    assert_eq!(exporter(&client), named);
    let fresh = ServerName::try_from("localhost").unwrap();
    let unfinished = ClientConnection::new(client_config(Digest([0; 32])).unwrap(), fresh).unwrap();
    assert_eq!(exporter(&unfinished), Err(Error::HandshakeNotComplete));
}

#[test]
fn another_ca_is_refused() {
    let (ours, other) = (net(), net());
    let config = client_config(ours.authority.pin()).unwrap();
    assert_eq!(
        refusal(config, other.server, "localhost"),
        CertificateError::UnknownIssuer.into()
    );
}

#[test]
fn a_chain_that_only_shows_the_pinned_ca_is_refused() {
    // A relay with a certificate of its own adds our CA, which is public, to its chain.
    let (ours, other) = (net(), net());
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(names(&["localhost"])).unwrap();
    let leaf = params.self_signed(&key).unwrap();
    let ca = fs::read(ours._folder.path().join("ca.pem")).unwrap();
    let ca = <CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(&ca);
    let chain = vec![leaf.into(), ca.unwrap()];
    let key = key.serialize_der().try_into().unwrap();
    other.served.replace(Identity::new(chain, key).unwrap());
    assert_eq!(other.served.pin(), ours.authority.pin());
    let config = client_config(ours.authority.pin()).unwrap();
    let refused = refusal(config, other.server, "localhost");
    assert!(
        matches!(refused, Error::InvalidCertificate(_)),
        "{refused:?}"
    );
}

#[test]
fn another_name_is_refused() {
    let net = net();
    for name in ["example.org", "127.0.0.2"] {
        let config = client_config(net.authority.pin()).unwrap();
        let refused = refusal(config, net.server.clone(), name);
        assert!(
            matches!(
                refused,
                Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })
            ),
            "{refused:?}"
        );
    }
}

#[test]
fn a_lapsed_certificate_is_refused() {
    let net = net();
    let long_ago = UnixMillis(now().0 - LEAF_LIFE.as_millis() as u64 - 1000);
    let lapsed = net.authority.issue(&names(&["localhost"]), long_ago);
    net.served.replace(lapsed.unwrap());
    let config = client_config(net.authority.pin()).unwrap();
    let refused = refusal(config, net.server, "localhost");
    assert!(
        matches!(
            refused,
            Error::InvalidCertificate(CertificateError::ExpiredContext { .. })
        ),
        "{refused:?}"
    );
}

#[test]
fn every_other_group_is_refused_by_the_server() {
    let net = net();
    use aws_lc_rs::kx_group::{MLKEM768, SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    for group in [X25519, SECP256R1, SECP384R1, MLKEM768] {
        let provider = CryptoProvider {
            kx_groups: vec![group],
            ..aws_lc_rs::default_provider()
        };
        let client = client_with(provider, net.authority.pin());
        assert_eq!(
            refusal(client.into(), net.server.clone(), "localhost"),
            PeerIncompatible::NoKxGroupsInCommon.into(),
            "{group:?}"
        );
    }
    // The same client with the hybrid group gets in, even when it prefers another.
    let provider = CryptoProvider {
        kx_groups: vec![X25519, X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    };
    let client = client_with(provider, net.authority.pin());
    let (client, _) = shake(client.into(), net.server, "localhost").unwrap();
    let group = client.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
}

#[test]
fn a_client_refuses_a_server_without_the_hybrid_group() {
    let net = net();
    let provider = CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let server = ServerConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(net.served.clone());
    let config = client_config(net.authority.pin()).unwrap();
    assert_eq!(
        refusal(config, server.into(), "localhost"),
        PeerIncompatible::NoKxGroupsInCommon.into()
    );
}

/// A ClientHello by hand: `versions` is its supported_versions extension, absent for TLS 1.2.
fn client_hello(versions: &[u8]) -> Vec<u8> {
    let mut extensions = vec![
        0, 10, 0, 4, 0, 2, 0, 29, // supported_groups: x25519
        0, 13, 0, 4, 0, 2, 4, 3, // signature_algorithms: ecdsa_secp256r1_sha256
        0, 11, 0, 2, 1, 0, // ec_point_formats: uncompressed
        0, 23, 0, 0, // extended_master_secret
    ];
    extensions.extend_from_slice(versions);
    let mut body = vec![3, 3];
    body.extend_from_slice(&[7; 32]); // random
    body.push(0); // no session id
    body.extend_from_slice(&[0, 4, 0xc0, 0x2c, 0xc0, 0x2b]); // ECDHE-ECDSA-AES-GCM
    body.extend_from_slice(&[1, 0]); // no compression
    body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    body.extend_from_slice(&extensions);
    let mut record = vec![22, 3, 1];
    record.extend_from_slice(&(body.len() as u16 + 4).to_be_bytes());
    record.extend_from_slice(&[1, 0]);
    record.extend_from_slice(&(body.len() as u16).to_be_bytes());
    record.extend_from_slice(&body);
    record
}

#[test]
fn tls_1_2_is_refused() {
    let net = net();
    let refused = |versions: &[u8]| {
        let mut server = ServerConnection::new(net.server.clone()).unwrap();
        let error = feed(&mut server, &client_hello(versions)).unwrap_err();
        let mut answer = Vec::new();
        server.write_tls(&mut answer).unwrap();
        (error, answer)
    };
    const PROTOCOL_VERSION_ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 70];
    let (error, answer) = refused(&[]);
    assert!(matches!(error, Error::PeerIncompatible(_)), "{error:?}");
    assert_eq!(answer, PROTOCOL_VERSION_ALERT);
    let (_, answer) = refused(&[0, 43, 0, 3, 2, 3, 3]);
    assert_eq!(answer, PROTOCOL_VERSION_ALERT);
    // The hello itself is well formed: with TLS 1.3 in it, only the ciphers do not fit.
    let (error, _) = refused(&[0, 43, 0, 3, 2, 3, 4]);
    assert_ne!(answer, refused(&[0, 43, 0, 3, 2, 3, 4]).1, "{error:?}");
}

#[test]
fn nothing_is_resumed_and_no_early_data_is_taken() {
    let net = net();
    // A client that would take tickets and would send early data.
    let mut eager = client_with(CryptoProvider::clone(&provider()), net.authority.pin());
    eager.enable_early_data = true;
    eager.resumption = rustls::client::Resumption::in_memory_sessions(8);
    let eager = Arc::new(eager);
    for _ in 0..3 {
        let (mut client, server) = shake(eager.clone(), net.server.clone(), "localhost").unwrap();
        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(server.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(client.tls13_tickets_received(), 0);
        assert!(client.early_data().is_none());
    }
    // The same client against a server of rustls' defaults does resume: the test can fail.
    let lax = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(net.served);
    let lax = Arc::new(lax);
    shake(eager.clone(), lax.clone(), "localhost").unwrap();
    let (client, _) = shake(eager, lax, "localhost").unwrap();
    assert_eq!(client.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn our_client_takes_no_ticket_from_a_lax_server() {
    let net = net();
    let lax = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(net.served.clone());
    let lax = Arc::new(lax);
    let ours = client_config(net.authority.pin()).unwrap();
    for _ in 0..2 {
        let (client, _) = shake(ours.clone(), lax.clone(), "localhost").unwrap();
        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[test]
fn a_renewed_certificate_serves_the_next_handshake() {
    let net = net();
    let config = client_config(net.authority.pin()).unwrap();
    let leaf = |client: &ClientConnection| client.peer_certificates().unwrap()[0].clone();
    let (before, _) = shake(config.clone(), net.server.clone(), "localhost").unwrap();
    let renewed = net.authority.issue(&names(&["localhost"]), now()).unwrap();
    net.served.replace(renewed);
    let (after, _) = shake(config, net.server, "localhost").unwrap();
    assert_ne!(leaf(&before), leaf(&after));
}

#[test]
fn a_ca_is_read_back_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Authority::open(folder.path()).unwrap().is_none());
    let made = Authority::create(folder.path(), now()).unwrap();
    let again = Authority::open(folder.path()).unwrap().unwrap();
    assert_eq!(made.pin(), again.pin());
    let refused = Authority::create(folder.path(), now()).unwrap_err();
    assert!(matches!(refused, IssueError::File { .. }), "{refused}");

    let served = Reloadable::new(again.issue(&names(&["localhost"]), now()).unwrap());
    let config = client_config(made.pin()).unwrap();
    shake(config, server_config(served).unwrap(), "localhost").unwrap();
}

#[cfg(unix)]
#[test]
fn the_ca_key_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let net = net();
    let path = net._folder.path().join("ca.key");
    assert_eq!(
        fs::metadata(path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(!format!("{:?}", net.authority).contains("PRIVATE"));
}

#[test]
fn half_a_ca_foreign_halves_and_garbage_are_refused() {
    let (net, other) = (net(), net());
    let path = |net: &Net, file| net._folder.path().join(file);
    fs::copy(path(&other, "ca.key"), path(&net, "ca.key")).unwrap();
    assert!(Authority::open(net._folder.path()).is_err());
    fs::write(path(&net, "ca.key"), "nonsense").unwrap();
    assert!(Authority::open(net._folder.path()).is_err());
    fs::remove_file(path(&net, "ca.key")).unwrap();
    let refused = Authority::open(net._folder.path()).unwrap_err();
    assert!(refused.to_string().contains("ca.key"), "{refused}");
}

#[test]
fn names_and_clocks_that_are_none_are_refused() {
    let net = net();
    for bad in ["", "two words", "http://localhost", "localhost:7443"] {
        let refused = net.authority.issue(&names(&["localhost", bad]), now());
        assert_eq!(refused.unwrap_err(), IssueError::Name(bad.to_owned()));
    }
    assert!(net.authority.issue(&[], now()).is_err());
    let never = UnixMillis(u64::MAX);
    let refused = net.authority.issue(&names(&["localhost"]), never);
    assert_eq!(refused.unwrap_err(), IssueError::Clock(never));
}

#[test]
fn an_identity_from_elsewhere_is_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key_file) = (
        folder.path().join("chain.pem"),
        folder.path().join("key.pem"),
    );
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(names(&["localhost"])).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();

    fs::write(&chain, certificate.pem()).unwrap();
    assert_eq!(
        Identity::read(&chain, &key_file).unwrap_err(),
        IdentityError::NoCa(1)
    );
    fs::write(&chain, certificate.pem().repeat(2)).unwrap();
    let read = Identity::read(&chain, &key_file).unwrap();
    assert_eq!(read.pin(), pin::pin_of(certificate.der()));

    fs::write(
        &key_file,
        rcgen::KeyPair::generate().unwrap().serialize_pem(),
    )
    .unwrap();
    let refused = Identity::read(&chain, &key_file).unwrap_err();
    assert!(matches!(refused, IdentityError::Mismatch(_)), "{refused}");
    fs::remove_file(&key_file).unwrap();
    let refused = Identity::read(&chain, &key_file).unwrap_err();
    assert!(
        matches!(refused, IdentityError::Unreadable { .. }),
        "{refused}"
    );
}
