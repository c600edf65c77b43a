//! TLS handshakes in memory, with clients that do what no honest one does.

use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConnection, Error, ServerConnection, SignatureScheme};
use std::sync::Arc;

/// Shows one chain and signs with one key, whatever the server asked for and whether or not the two belong together.
#[derive(Debug)]
pub struct Shows(pub Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Carries what each side says to the other until both have shaken hands.
///
/// # Errors
/// Why the server, or else the client, refuses; or that neither has anything to say.
pub fn shake(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), Error> {
    let broken = |error: std::io::Error| Error::General(error.to_string());
    while client.is_handshaking() || server.is_handshaking() {
        let (mut sent, mut answered) = (Vec::new(), Vec::new());
        client.write_tls(&mut sent).map_err(broken)?;
        let mut rest = sent.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).map_err(broken)?;
            server.process_new_packets()?;
        }
        server.write_tls(&mut answered).map_err(broken)?;
        let mut rest = answered.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).map_err(broken)?;
            client.process_new_packets()?;
        }
        if sent.is_empty() && answered.is_empty() {
            return Err(Error::General("nobody has anything to say".to_owned()));
        }
    }
    Ok(())
}
