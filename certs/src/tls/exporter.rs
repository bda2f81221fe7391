//! The channel binding of RFC 9266 (`tls-exporter`).

use rustls::ConnectionCommon;

/// Section 2 of RFC 9266: this label, an empty context, 32 bytes.
const LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// The `tls-exporter` channel binding of a finished handshake: equal at both ends of one TLS
/// connection, different on every other.
///
/// # Errors
/// [`rustls::Error::HandshakeNotComplete`] before the handshake is over.
pub fn exporter<Side>(connection: &ConnectionCommon<Side>) -> Result<[u8; 32], rustls::Error> {
    connection.export_keying_material([0; 32], LABEL, Some(&[]))
}
