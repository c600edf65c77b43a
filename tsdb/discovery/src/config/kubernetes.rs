//! `kubernetes_sd_configs`.

use super::pod_fields::FieldSelector;
use leadline_cluster::Selector;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Pods of the cluster this process belongs to (or that its kubeconfig names). Role pod only so far.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct KubernetesConfig {
    /// Where pods are looked for.
    pub namespaces: Namespaces,
    /// The label selector of role pod.
    pub labels: Selector,
    /// The field selector of role pod.
    pub fields: FieldSelector,
    /// `attach_metadata.job`: whether pods carry the name of the job that controls them.
    pub attach_job: bool,
}

/// `namespaces`; neither of the two means all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Namespaces {
    /// Also the namespace this process runs in.
    pub own_namespace: bool,
    /// These.
    pub names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSelector {
    #[serde(default)]
    role: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    field: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct AttachMetadata {
    node: bool,
    namespace: bool,
    deployment: bool,
    job: bool,
    cronjob: bool,
}

impl AttachMetadata {
    /// The keys that are set and need more than the pod itself: a watch of nodes, namespaces, replica sets or jobs
    /// (`podLabels` in `discovery/kubernetes/pod.go`).
    fn beyond_the_pod(&self) -> Vec<&'static str> {
        let keys = [
            (self.node, "attach_metadata.node"),
            (self.namespace, "attach_metadata.namespace"),
            (self.deployment, "attach_metadata.deployment"),
            (self.cronjob, "attach_metadata.cronjob"),
        ];
        keys.into_iter().filter(|(set, _)| *set).map(|(_, key)| key).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    api_server: Option<String>,
    #[serde(default)]
    role: String,
    #[serde(default)]
    kubeconfig_file: String,
    #[serde(default)]
    namespaces: Namespaces,
    #[serde(default)]
    selectors: Vec<WrittenSelector>,
    #[serde(default)]
    attach_metadata: AttachMetadata,
    // How to talk to `api_server`.
    basic_auth: Option<IgnoredAny>,
    authorization: Option<IgnoredAny>,
    bearer_token: Option<IgnoredAny>,
    bearer_token_file: Option<IgnoredAny>,
    oauth2: Option<IgnoredAny>,
    tls_config: Option<IgnoredAny>,
    follow_redirects: Option<bool>,
    enable_http2: Option<bool>,
    proxy_url: Option<IgnoredAny>,
    no_proxy: Option<IgnoredAny>,
    proxy_from_environment: Option<bool>,
    proxy_connect_header: Option<IgnoredAny>,
    http_headers: Option<IgnoredAny>,
}

/// Each role with the roles whose selectors it takes (`discovery/kubernetes`).
const ROLES: [(&str, &[&str]); 6] = [
    ("pod", &["pod", "node"]),
    ("service", &["service"]),
    ("endpointslice", &["pod", "service", "endpointslice"]),
    ("endpoints", &["pod", "service", "endpoints"]),
    ("node", &["node"]),
    ("ingress", &["ingress"]),
];

impl Written {
    fn custom_client(&self) -> bool {
        let given = [
            &self.basic_auth,
            &self.authorization,
            &self.bearer_token,
            &self.bearer_token_file,
            &self.oauth2,
            &self.tls_config,
            &self.proxy_url,
            &self.no_proxy,
            &self.proxy_connect_header,
            &self.http_headers,
        ];
        given.into_iter().any(Option::is_some)
            || self.follow_redirects == Some(false)
            || self.enable_http2 == Some(false)
            || self.proxy_from_environment == Some(true)
    }

    /// At most one way to authenticate, as in every `http_config`.
    fn check_credentials(&self) -> Result<(), String> {
        let ways = [&self.basic_auth, &self.authorization, &self.oauth2];
        let tokens = self.bearer_token.is_some() || self.bearer_token_file.is_some();
        let count = ways.into_iter().filter(|way| way.is_some()).count() + usize::from(tokens);
        if count > 1 || (self.bearer_token.is_some() && self.bearer_token_file.is_some()) {
            return Err(
                "at most one of basic_auth, oauth2, authorization, bearer_token & bearer_token_file must be \
                        configured"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn check_server(&self, api_server: bool) -> Result<(), String> {
        let conflict = |condition: bool, message: &str| if condition { Err(message.to_owned()) } else { Ok(()) };
        let (kubeconfig, custom) = (!self.kubeconfig_file.is_empty(), self.custom_client());
        let own = self.namespaces.own_namespace;
        conflict(
            api_server && kubeconfig,
            "cannot use 'kubeconfig_file' and 'api_server' simultaneously",
        )?;
        conflict(
            kubeconfig && custom,
            "cannot use a custom HTTP client configuration together with 'kubeconfig_file'",
        )?;
        conflict(
            !api_server && custom,
            "to use custom HTTP client configuration please provide the 'api_server' URL explicitly",
        )?;
        conflict(
            api_server && own,
            "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously",
        )?;
        conflict(
            kubeconfig && own,
            "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously",
        )
    }

    fn check_selectors(&self, allowed: &[&str]) -> Result<(), String> {
        for (i, selector) in self.selectors.iter().enumerate() {
            if self.selectors[..i].iter().any(|other| other.role == selector.role) {
                return Err(format!("duplicated selector role: {}", selector.role));
            }
            if !allowed.contains(&selector.role.as_str()) {
                return Err(format!(
                    "{} role supports only {} selectors",
                    self.role,
                    allowed.join(", ")
                ));
            }
            Selector::parse(&selector.label).map_err(|e| e.to_string())?;
            FieldSelector::check(&selector.field)?;
        }
        Ok(())
    }
}

impl TryFrom<Written> for KubernetesConfig {
    type Error = String;

    /// First Prometheus' own rules, then what does not work here yet.
    fn try_from(written: Written) -> Result<Self, String> {
        let role = written.role.as_str();
        if role.is_empty() {
            return Err("role missing (one of: pod, service, endpoints, endpointslice, node, ingress)".to_owned());
        }
        let Some((_, allowed)) = ROLES.iter().find(|(name, _)| *name == role) else {
            return Err(format!(
                "unknown Kubernetes SD role {role:?}, expected pod, service, endpoints, endpointslice, node or ingress"
            ));
        };
        let api_server = written.api_server.as_deref().is_some_and(|url| !url.is_empty());
        written.check_credentials()?;
        written.check_server(api_server)?;
        written.check_selectors(allowed)?;
        let not_yet = |what: &str| Err(format!("not supported yet: {what}"));
        let beyond = written.attach_metadata.beyond_the_pod();
        let given = |role: &str| written.selectors.iter().find(|s| s.role == role);
        if role != "pod" {
            return not_yet(&format!("role {role}"));
        }
        if api_server || !written.kubeconfig_file.is_empty() {
            return not_yet(
                "api_server and kubeconfig_file (the one cluster of --kubeconfig, or of this pod, is used)",
            );
        }
        if !beyond.is_empty() {
            return not_yet(&beyond.join(", "));
        }
        if given("node").is_some() {
            return not_yet("selectors of role node");
        }
        let (label, field) = given("pod").map_or(("", ""), |s| (&s.label, &s.field));
        Ok(Self {
            labels: Selector::parse(label).map_err(|e| e.to_string())?,
            fields: FieldSelector::parse(field)?,
            attach_job: written.attach_metadata.job,
            namespaces: written.namespaces,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<KubernetesConfig, String> {
        serde_saphyr::from_str(text).map_err(|e| e.without_snippet().to_string())
    }

    #[test]
    fn metadata_that_need_another_watch_are_refused_by_their_keys_and_the_job_is_not() {
        for (attach, expected) in [
            ("{}", Ok(false)),
            ("{job: false, node: false}", Ok(false)),
            ("{job: true}", Ok(true)),
            (
                "{job: true, node: true}",
                Err("not supported yet: attach_metadata.node"),
            ),
            ("{namespace: true}", Err("not supported yet: attach_metadata.namespace")),
            (
                "{deployment: true, cronjob: true}",
                Err("not supported yet: attach_metadata.deployment, attach_metadata.cronjob"),
            ),
            ("{pod: true}", Err("unknown field")),
        ] {
            let read = read(&format!("role: pod\nattach_metadata: {attach}\n")).map(|c| c.attach_job);
            match (&read, expected) {
                (Err(error), Err(part)) => assert!(error.contains(part), "{attach}: {error}"),
                _ => assert_eq!(read.as_ref().ok(), expected.as_ref().ok(), "{attach}: {read:?}"),
            }
        }
    }
}
