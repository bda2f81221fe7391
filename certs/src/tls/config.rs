//! What both sides allow: TLS 1.3, X25519MLKEM768, a full handshake every time.

use std::sync::Arc;

use plenary_proto::ids::Digest;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use super::{PinnedCa, Reloadable};

/// The cryptography of every Plenary connection, passed explicitly so that no feature flag and no
/// second provider in the tree can change it: the hybrid group alone, ciphers with 256-bit keys
/// (what is recorded today must stay closed to a later quantum computer).
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        cipher_suites: vec![
            aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
            aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..aws_lc_rs::default_provider()
    })
}

/// The server's side. Certificates come from `identity` and can be replaced while it runs.
///
/// No tickets, no stored sessions, no early data: a connection is never resumed, so that
/// authentication is never older than the connection.
///
/// # Errors
/// Those of rustls, should the provider not fit TLS 1.3.
pub fn server_config(identity: Arc<Reloadable>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(identity);
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    config.cert_compressors = Vec::new();
    config.cert_decompressors = Vec::new();
    Ok(Arc::new(config))
}

/// The client's side: the server must show a certificate for the name that the connection is
/// opened with, under the CA whose SHA-256 (of its DER) is `pin`.
///
/// # Errors
/// Those of rustls, should the provider not fit TLS 1.3.
pub fn client_config(pin: Digest) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = provider();
    let verifier = Arc::new(PinnedCa::new(pin, provider.clone()));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous() // "dangerous" as rustls calls any verifier of one's own: see `pin`
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.cert_compressors = Vec::new();
    config.cert_decompressors = Vec::new();
    Ok(Arc::new(config))
}
