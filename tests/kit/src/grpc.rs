//! gRPC channels as a client of a test sees them: plain, or over TLS with a certificate or without one.

use crate::failure::Context;
use crate::pki::Pair;
use crate::{Failure, Result};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::net::SocketAddr;
use std::sync::Arc;
use tonic::transport::{Channel, Endpoint};

/// A channel without TLS, connected at the first call.
///
/// # Errors
/// The address makes no URI.
pub fn plain(address: SocketAddr) -> Result<Channel> {
    Ok(Channel::from_shared(format!("http://{address}"))
        .map_err(|error| Failure::new(error.to_string()))?
        .connect_lazy())
}

/// A channel to the server that answers to `host` at `address`, which is verified by the authority `ca` (PEM) and shown
/// `identity`.
///
/// # Errors
/// The connection or the handshake failed. A TLS 1.3 server that refuses the client's certificate says so only at the first
/// call.
pub async fn over_tls(address: SocketAddr, host: &str, ca: &str, identity: Option<&Pair>) -> Result<Channel> {
    let connector = tokio_rustls::TlsConnector::from(Arc::new(settings(ca, identity)?));
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Failure::new(format!("{host}: {error}")))?;
    let connect = move |_| {
        let (connector, name) = (connector.clone(), name.clone());
        async move {
            let stream = tokio::net::TcpStream::connect(address).await?;
            Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, stream).await?))
        }
    };
    // The scheme says what tonic itself does; TLS is the connector's.
    Endpoint::from_static("http://localhost")
        .connect_with_connector(tower::service_fn(connect))
        .await
        .context(address)
}

fn settings(ca: &str, identity: Option<&Pair>) -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).context("the CA's certificate")?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut settings = match identity {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes());
            builder.with_client_auth_cert(
                vec![certificate.context("the client's certificate")?],
                key.context("the client's key")?,
            )?
        }
    };
    settings.alpn_protocols = vec![b"h2".to_vec()];
    Ok(settings)
}
