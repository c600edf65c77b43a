//! Access to the demo's metrics API: an authority, one client certificate and a kubeconfig, in a temporary folder.

use crate::serve::authority::{Authority, CertError};
use leadline_model::Timestamp;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The one user that the demo's metrics API knows.
pub(crate) const USER: &str = "leadline-demo";

/// Files that give access; removed when this is dropped.
pub(crate) struct Access {
    folder: PathBuf,
    /// Certificate and key of [`USER`], PEM.
    pub identity_pem: String,
    /// The authority's certificate, PEM.
    pub authority_pem: String,
}

impl Access {
    /// Makes the folder and its files, readable by this user only.
    ///
    /// # Errors
    /// The files could not be written or the certificates not be made.
    pub(crate) fn create(authority: &Authority, server: SocketAddr, now: Timestamp) -> Result<Self, CertError> {
        let folder = std::env::temp_dir().join(format!("leadline-demo-{}", std::process::id()));
        let pair = authority.client(USER, now)?;
        let fail = |file: &Path| {
            let file = file.display().to_string();
            move |source| CertError::File { file, source }
        };
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(fail(&folder))?;
        let access = Self {
            identity_pem: format!("{}{}", pair.cert_pem, pair.key_pem),
            authority_pem: authority.cert_pem().to_owned(),
            folder,
        };
        let files = [
            ("ca.crt", access.authority_pem.as_str()),
            ("client.crt", &pair.cert_pem),
            ("client.key", &pair.key_pem),
            ("kubeconfig", &access.kubeconfig(server)),
        ];
        for (name, text) in files {
            let path = access.file(name);
            let opened = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            opened
                .and_then(|mut f| f.write_all(text.as_bytes()))
                .map_err(fail(&path))?;
        }
        Ok(access)
    }

    /// The path of one of the files: `ca.crt`, `client.crt`, `client.key`, `kubeconfig`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn kubeconfig(&self, server: SocketAddr) -> String {
        let path = |name| self.file(name).display().to_string();
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: demo\n\
             clusters: [{{name: demo, cluster: {{server: \"https://{server}\", certificate-authority: \"{}\"}}}}]\n\
             users: [{{name: {USER}, user: {{client-certificate: \"{}\", client-key: \"{}\"}}}}]\n\
             contexts: [{{name: demo, context: {{cluster: demo, user: {USER}, namespace: demo}}}}]\n",
            path("ca.crt"),
            path("client.crt"),
            path("client.key"),
        )
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "the demo's folder was not removed");
        }
    }
}
