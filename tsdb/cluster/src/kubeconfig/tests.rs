//! What a kubeconfig may and may not hold.

use super::*;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";

/// A kubeconfig of one context, with what stands under its cluster and its user.
fn file(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: main\n\
         contexts: [{{name: main, context: {{cluster: prod, user: admin, namespace: web}}}}]\n\
         clusters: [{{name: prod, cluster: {{{cluster}}}}}]\n\
         users: [{{name: admin, user: {{{user}}}}}]\n"
    )
}

const SERVER: &str = "server: 'https://10.0.0.1:6443'";

/// The files beside the kubeconfig.
fn beside(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str() {
        Some("/etc/lead/ca.crt" | "/pki/client.crt") => Ok(CERTIFICATE.into()),
        Some("/pki/client.key") => Ok(KEY.into()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn parse(bytes: impl AsRef<[u8]>) -> Result<Access, KubeconfigError> {
    Access::parse(Path::new("/etc/lead/kubeconfig"), bytes.as_ref(), &beside)
}

#[test]
fn what_is_wrong_is_told_with_the_file_and_its_key() {
    let with = |cluster: &str| file(cluster, "");
    let of = |user: &str| file(SERVER, user);
    for (text, key, told) in [
        (String::new(), "current-context", "none is set; there are: none"),
        (
            of("").replace("current-context: main", ""),
            "current-context",
            "there are: \"main\"",
        ),
        (
            of("").replace("current-context: main", "current-context: staging"),
            "current-context",
            "no context \"staging\"",
        ),
        (
            of("").replace("cluster: prod", "cluster: test"),
            "contexts[\"main\"].context.cluster",
            "no cluster \"test\"; there are: \"prod\"",
        ),
        (with(""), "clusters[\"prod\"].cluster.server", "missing"),
        (
            with("server: '10.0.0.1:6443'"),
            "clusters[\"prod\"].cluster.server",
            "no scheme",
        ),
        (with("server: /api"), "clusters[\"prod\"].cluster.server", "no scheme"),
        (
            with("server: 'ftp://10.0.0.1'"),
            "clusters[\"prod\"].cluster.server",
            "no scheme",
        ),
        (
            with("server: 'https://a b'"),
            "clusters[\"prod\"].cluster.server",
            "a b",
        ),
        (
            with("server: 'https://a:65536'"),
            "clusters[\"prod\"].cluster.server",
            "no port",
        ),
        (
            with(&format!("{SERVER}, proxy-url: 'http://proxy:3128'")),
            "clusters[\"prod\"].cluster.proxy-url",
            "not supported",
        ),
        (
            with(&format!("{SERVER}, certificate-authority-data: '%%%'")),
            "clusters[\"prod\"].cluster.certificate-authority-data",
            "no base64",
        ),
        (
            with(&format!("{SERVER}, certificate-authority-data: aGVsbG8K")),
            "clusters[\"prod\"].cluster.certificate-authority-data",
            "no certificate",
        ),
        (
            with(&format!("{SERVER}, certificate-authority: none.crt")),
            "clusters[\"prod\"].cluster.certificate-authority",
            "/etc/lead/none.crt",
        ),
        (
            of("client-certificate: /pki/client.crt"),
            "users[\"admin\"].user.client-key",
            "no key",
        ),
        (
            of("client-key: /pki/client.key"),
            "users[\"admin\"].user.client-certificate",
            "no certificate",
        ),
        (
            of("client-certificate: /pki/client.crt, client-key: /pki/client.crt"),
            "users[\"admin\"].user.client-key",
            "no private key",
        ),
        (
            of("token: \"two\\nlines\""),
            "users[\"admin\"].user.token",
            "line break",
        ),
        (of("exec: {args: [x]}"), "users[\"admin\"].user.exec.command", "missing"),
        (
            of("exec: {command: aws, env: [{name: A, value: b}, {name: C}]}"),
            "users[\"admin\"].user.exec.env[1]",
            "value",
        ),
        (
            of("auth-provider: {name: azure}"),
            "users[\"admin\"].user.auth-provider.name",
            "azure",
        ),
        ("clusters: 7".to_owned(), "", "line 1"),
    ] {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.key, key, "{text}: {error}");
        assert!(error.reason.contains(told), "{text}: {error}");
        assert!(error.to_string().contains("/etc/lead/kubeconfig"), "{error}");
    }
}

#[test]
fn what_cannot_be_parsed_is_not_shown() {
    let text = file(SERVER, "token: s3cr3t") + "users: {a b: [\n";
    let error = parse(&text).unwrap_err().to_string();
    assert!(error.contains("line") && !error.contains("s3cr3t"), "{error}");
    let shown = format!(
        "{:?}",
        parse(file(SERVER, "token: s3cr3t, username: u, password: s3cr3t")).unwrap()
    );
    assert!(shown.contains("10.0.0.1") && !shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn a_text_is_utf8_or_utf16_with_its_mark() {
    let text = file(SERVER, "");
    let wide = |unit: fn(u16) -> [u8; 2], mark: &[u8]| -> Vec<u8> {
        mark.iter().copied().chain(text.encode_utf16().flat_map(unit)).collect()
    };
    let little = wide(u16::to_le_bytes, &[0xff, 0xfe]);
    for bytes in [
        text.clone().into_bytes(),
        format!("\u{feff}{text}").into_bytes(),
        little.clone(),
        wide(u16::to_be_bytes, &[0xfe, 0xff]),
    ] {
        assert_eq!(parse(bytes).unwrap().server(), "https://10.0.0.1:6443/");
    }
    for bytes in [
        &little[..little.len() - 1],
        b"\xff\xfea",
        b"\xfe\xffa",
        b"current-context: \xff",
    ] {
        let error = parse(bytes).unwrap_err();
        assert!(error.reason.contains("neither UTF-8 nor UTF-16"), "{error}");
    }
}

#[test]
fn files_are_found_beside_the_kubeconfig_and_empty_keys_are_none() {
    let cluster =
        format!("{SERVER}, certificate-authority-data: '', certificate-authority: ca.crt, tls-server-name: ''");
    let user = "client-certificate: /pki/client.crt, client-key: /pki/client.key, tokenFile: token, \
                exec: {command: ./get-token}";
    let access = parse(file(&cluster, user)).unwrap();
    assert_eq!(access.namespace(), "web");
    let config = access.into_config();
    assert_eq!(config.root_cert.map(|certs| certs.len()), Some(1));
    assert_eq!(config.tls_server_name, None);
    assert_eq!(config.auth_info.token_file.as_deref(), Some("/etc/lead/token"));
    let exec = config.auth_info.exec.unwrap();
    assert_eq!(exec.command.as_deref(), Some("/etc/lead/./get-token"));
    assert!(config.auth_info.client_key_data.is_some() && config.auth_info.client_key.is_none());
}

#[test]
fn base64_may_be_folded_and_what_is_not_used_may_be_wrong() {
    let data = STANDARD.encode(CERTIFICATE);
    let (first, second) = data.split_at(40);
    let text = format!(
        "current-context: main\ncontexts:\n- {{name: main, context: {{cluster: prod, user: nobody}}}}\n\
         - {{name: other, context: {{cluster: gone}}}}\nclusters:\n- name: prod\n  cluster:\n    {SERVER}\n    \
         certificate-authority-data: |\n      {first}\n      {second}\n- {{name: bad, cluster: {{server: x}}}}\n"
    );
    let config = parse(&text).unwrap().into_config();
    assert_eq!(config.root_cert.unwrap(), [STANDARD.decode("MIIB").unwrap()]);
    assert_eq!(config.default_namespace, "default");
    assert!(config.auth_info.token.is_none());
}

#[test]
fn there_is_no_proxy() {
    assert_eq!(parse(file(SERVER, "")).unwrap().into_config().proxy_url, None);
}

#[test]
fn proxies_of_the_environment_are_not_read() {
    for proxy in ["http://proxy:3128", "http://[no address"] {
        // A process cannot change its own environment while others of its threads may read it.
        let mut own = std::process::Command::new(std::env::current_exe().unwrap());
        own.args(["--exact", "kubeconfig::tests::there_is_no_proxy"]);
        let output = own
            .env("HTTPS_PROXY", proxy)
            .env("https_proxy", proxy)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{proxy}: {told}");
    }
}
