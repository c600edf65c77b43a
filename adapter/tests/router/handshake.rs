//! What the TLS handshake proves of a caller: that it holds the key of the chain that it shows. Everything else is judged
//! per request, so a handshake that proved nothing would let anybody show the front proxy's certificate, which is public.

use crate::world::{Ca, NOW};
use leadline_adapter::PeerCertificates;
use leadline_adapter::auth::peer::ClientCertVerifier;
use leadline_testkit::handshake::{self, Shows};
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, SanType};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, sign};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier as _;
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion, version,
};
use std::sync::Arc;
use std::time::Duration;

const HOST: &str = "leadline";

/// The tests' moment, in which their certificates are valid.
#[derive(Debug)]
struct Now;

impl TimeProvider for Now {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(
            NOW.try_into().unwrap(),
        )))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

fn verifier() -> Arc<ClientCertVerifier> {
    ClientCertVerifier::new(default_provider().signature_verification_algorithms)
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

/// A server as the adapter's listener is one, and the root that signed its certificate.
fn server() -> (ServerConnection, RootCertStore) {
    let authority = Ca::new("servers");
    let (chain, key) = authority.issue_with_key(HOST, &[], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names = vec![SanType::DnsName(HOST.try_into().unwrap())];
    });
    let config = ServerConfig::builder_with_details(provider(), Arc::new(Now))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier())
        .with_single_cert(chain.0, private(&key))
        .unwrap();
    let mut roots = RootCertStore::empty();
    let pem = authority.pem();
    let root = rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes()).unwrap();
    roots.add(root).unwrap();
    (ServerConnection::new(Arc::new(config)).unwrap(), roots)
}

/// Shakes hands with a client that shows `chain` and signs with `key`: the chain that the server saw, or why it refused.
fn shake(
    version: &'static SupportedProtocolVersion,
    chain: &PeerCertificates,
    key: &KeyPair,
) -> Result<PeerCertificates, Error> {
    let (mut server, roots) = server();
    let shown = CertifiedKey::new(chain.0.clone(), sign::any_supported_type(&private(key)).unwrap());
    let config = ClientConfig::builder_with_details(provider(), Arc::new(Now))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(Shows(Arc::new(shown))));
    let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from(HOST).unwrap()).unwrap();
    handshake::shake(&mut client, &mut server)?;
    assert_eq!(server.protocol_version(), Some(version.version));
    Ok(PeerCertificates(server.peer_certificates().unwrap().to_vec()))
}

#[test]
fn a_chain_that_is_shown_with_another_key_fails_the_handshake() {
    let proxies = Ca::new("proxies");
    let (chain, own) = proxies.issue_with_key("front-proxy-client", &[], |_| {});
    let stolen = KeyPair::generate().unwrap();
    for version in [&version::TLS12, &version::TLS13] {
        let seen = shake(version, &chain, &own).unwrap();
        assert_eq!(seen.0, chain.0, "{version:?}");
        let refused = shake(version, &chain, &stolen).unwrap_err();
        assert_eq!(
            refused,
            Error::InvalidCertificate(CertificateError::BadSignature),
            "{version:?}"
        );
    }
}

#[test]
fn a_listener_asks_for_a_certificate_needs_none_and_takes_any_chain() {
    let verifier = verifier();
    assert!(verifier.offer_client_auth() && !verifier.client_auth_mandatory());
    assert!(verifier.root_hint_subjects().is_empty() && !verifier.supported_verify_schemes().is_empty());
    let chain = Ca::new("anybody").client("x", &[]);
    let now = UnixTime::since_unix_epoch(Duration::ZERO);
    assert!(verifier.verify_client_cert(&chain.0[0], &[], now).is_ok());
}
