//! Certificates and kubeconfigs of a test cluster.

use crate::Result;
use crate::failure::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What a certificate may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// TLS clients alone.
    Client,
    /// TLS servers and clients.
    Both,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key (PKCS#8).
    pub key: String,
}

impl Pair {
    /// Both in one text, as an HTTP client's identity.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}{}", self.key, self.certificate)
    }

    /// Writes NAME.crt and NAME.key into `folder` and returns the two paths.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<(PathBuf, PathBuf)> {
        let (certificate, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
        std::fs::write(&certificate, &self.certificate).context(certificate.display())?;
        write_private(&key, &self.key)?;
        Ok((certificate, key))
    }
}

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pair: Pair,
}

impl Authority {
    /// A new CA named `name`.
    ///
    /// # Errors
    /// The key cannot be generated.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        let pair = Pair {
            certificate,
            key: key.serialize_pem(),
        };
        Ok(Self {
            issuer: Issuer::new(params, key),
            pair,
        })
    }

    /// The CA's own certificate and key.
    #[must_use]
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// Issues a certificate: `name` is the common name (the user), `groups` its organisations, `hosts` the names and
    /// addresses of the server.
    ///
    /// # Errors
    /// A host is no DNS name and no address.
    pub fn issue(&self, name: &str, groups: &[&str], hosts: &[&str], usage: Usage) -> Result<Pair> {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name = distinguished_name(name, groups);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = match usage {
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Both => vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth],
        };
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Pair {
            certificate,
            key: key.serialize_pem(),
        })
    }
}

fn distinguished_name(name: &str, groups: &[&str]) -> DistinguishedName {
    let mut dn = DistinguishedName::new();
    // One attribute of a kind is what rcgen holds; several groups of one user are not needed here.
    if let Some(group) = groups.first() {
        dn.push(DnType::OrganizationName, *group);
    }
    dn.push(DnType::CommonName, name);
    dn
}

/// How a client says who it is.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A client certificate.
    Certificate(Pair),
    /// A bearer token.
    Token(String),
    /// Nobody.
    Anonymous,
}

/// Writes a kubeconfig for `server` to `path`, readable by its owner alone.
///
/// # Errors
/// The file cannot be written.
pub fn write_kubeconfig(path: &Path, server: &str, ca: &str, credential: &Credential) -> Result<()> {
    let user = match credential {
        Credential::Certificate(pair) => json!({
            "client-certificate-data": STANDARD.encode(&pair.certificate),
            "client-key-data": STANDARD.encode(&pair.key),
        }),
        Credential::Token(token) => json!({ "token": token }),
        Credential::Anonymous => json!({}),
    };
    let config: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "local",
        "clusters": [{"name": "local", "cluster": {"server": server, "certificate-authority-data": STANDARD.encode(ca)}}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "user"}}],
    });
    write_private(path, &serde_json::to_string_pretty(&config)?)
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).context(path.display())?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).context(path.display())
}
