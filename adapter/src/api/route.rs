//! Paths: decoded once, and read once for access and answer alike.

use crate::auth::authorize::{Attributes, Target};
use crate::error::ApiError;
use http::Method;
use percent_encoding::percent_decode_str;

/// The group of metrics of Kubernetes objects.
pub const CUSTOM: &str = "custom.metrics.k8s.io";
/// The group of metrics of all else.
pub const EXTERNAL: &str = "external.metrics.k8s.io";
/// The versions of [`CUSTOM`], preferred first.
pub const CUSTOM_VERSIONS: [&str; 2] = ["v1beta2", "v1beta1"];
/// The versions of [`EXTERNAL`], preferred first.
pub const EXTERNAL_VERSIONS: [&str; 1] = ["v1beta1"];
/// Longest path that is looked at, bytes.
const LONGEST: usize = 4096;

/// A group that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// Its versions, preferred first.
    pub versions: &'static [&'static str],
}

/// The groups that are served.
pub const GROUPS: [Group; 2] = [
    Group {
        name: CUSTOM,
        versions: &CUSTOM_VERSIONS,
    },
    Group {
        name: EXTERNAL,
        versions: &EXTERNAL_VERSIONS,
    },
];

/// A metric of an object, or of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomPath {
    /// One of [`CUSTOM_VERSIONS`].
    pub version: &'static str,
    /// Absent for kinds without namespaces.
    pub namespace: Option<String>,
    /// As written: plural or singular, with or without group.
    pub resource: String,
    /// The object, or `*`.
    pub name: String,
    /// The metric.
    pub metric: String,
    /// The resource, subresource and name that access is checked for.
    access: (String, String, String),
}

/// An external metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalPath {
    /// The namespace.
    pub namespace: String,
    /// The metric.
    pub metric: String,
}

/// Health endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// `/healthz`.
    Healthz,
    /// `/livez`.
    Livez,
    /// `/readyz`.
    Readyz,
}

/// OpenAPI documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenApi {
    /// `/openapi/v2`.
    V2,
    /// `/openapi/v3`.
    V3Index,
    /// `/openapi/v3/apis/GROUP/VERSION`.
    V3(Group, &'static str),
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/`.
    Root,
    /// Health.
    Health(Health),
    /// `/version`.
    Version,
    /// OpenAPI.
    OpenApi(OpenApi),
    /// `/apis`.
    Apis,
    /// `/apis/GROUP`.
    Group(Group),
    /// `/apis/GROUP/VERSION`.
    Resources(Group, &'static str),
    /// A metric of objects.
    Custom(CustomPath),
    /// An external metric.
    External(ExternalPath),
    /// `/explain` followed by a metric's path.
    Explain(Box<Route>),
    /// A well-formed path that leads nowhere.
    Unknown(String),
}

/// Reads a path as it came in the request line.
///
/// # Errors
/// 400 for a path that could mean two things to two readers: empty parts (`//`, a slash at the end), dot parts, and
/// parts that hold a slash, a backslash, a semicolon, a percent sign or a control character once decoded.
pub fn parse(path: &str) -> Result<Route, ApiError> {
    let invalid = |why: &str| Err(ApiError::bad_request(format!("invalid request path: {why}")));
    if path.len() > LONGEST {
        return invalid("it is too long");
    }
    let Some(rest) = path.strip_prefix('/') else {
        return invalid("it must begin with a slash");
    };
    if rest.is_empty() {
        return Ok(Route::Root);
    }
    let mut parts = Vec::with_capacity(8);
    for raw in rest.split('/') {
        let Ok(part) = percent_decode_str(raw).decode_utf8() else {
            return invalid("it is not UTF-8");
        };
        if part.is_empty() {
            return invalid("it has an empty part");
        }
        if part == "." || part == ".." {
            return invalid("it has a dot part");
        }
        if part.contains(|c: char| matches!(c, '/' | '\\' | ';' | '%' | '?' | '#') || c.is_control()) {
            return invalid("a part holds a character that no name has");
        }
        parts.push(part);
    }
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    #[cfg(feature = "planted")]
    leadline_model::planted::trap(parts[0] == "explain" && path.contains('%'));
    Ok(find(&parts).unwrap_or_else(|| Route::Unknown(format!("/{}", parts.join("/")))))
}

fn find(parts: &[&str]) -> Option<Route> {
    match parts {
        ["healthz"] => Some(Route::Health(Health::Healthz)),
        ["livez"] => Some(Route::Health(Health::Livez)),
        ["readyz"] => Some(Route::Health(Health::Readyz)),
        ["version"] => Some(Route::Version),
        ["openapi", "v2"] => Some(Route::OpenApi(OpenApi::V2)),
        ["openapi", "v3"] => Some(Route::OpenApi(OpenApi::V3Index)),
        ["openapi", "v3", "apis", group, version] => {
            let (group, version) = served(group, version)?;
            Some(Route::OpenApi(OpenApi::V3(group, version)))
        }
        ["apis"] => Some(Route::Apis),
        ["apis", group] => GROUPS.iter().find(|g| g.name == *group).map(|g| Route::Group(*g)),
        ["apis", group, version] => served(group, version).map(|(g, v)| Route::Resources(g, v)),
        ["apis", group, version, rest @ ..] => {
            let (group, version) = served(group, version)?;
            if group.name == CUSTOM {
                custom(version, rest).map(Route::Custom)
            } else {
                external(rest)
            }
        }
        ["explain", rest @ ..] => find(rest).filter(Route::is_metric).map(|r| Route::Explain(Box::new(r))),
        _ => None,
    }
}

fn served(group: &str, version: &str) -> Option<(Group, &'static str)> {
    let group = GROUPS.iter().find(|g| g.name == group)?;
    let version = group.versions.iter().find(|v| **v == version)?;
    Some((*group, version))
}

fn custom(version: &'static str, parts: &[&str]) -> Option<CustomPath> {
    let own = |s: &str| s.to_owned();
    let path = |namespace: Option<&str>, resource: &str, name: &str, metric: &str, access| CustomPath {
        version,
        namespace: namespace.map(own),
        resource: own(resource),
        name: own(name),
        metric: own(metric),
        access,
    };
    match parts {
        // A metric about the namespace itself.
        ["namespaces", namespace, "metrics", metric] => {
            let access = (own("metrics"), String::new(), own(metric));
            Some(path(Some(namespace), "namespaces", namespace, metric, access))
        }
        ["namespaces", namespace, resource, name, metric] => {
            let access = (own(resource), own(metric), own(name));
            Some(path(Some(namespace), resource, name, metric, access))
        }
        // Kubernetes reads this as a list of METRIC within the namespace, and so does access.
        ["namespaces", namespace, metric] => {
            let access = (own(metric), String::new(), String::new());
            Some(path(Some(namespace), "namespaces", namespace, metric, access))
        }
        [resource, name, metric] => {
            let access = (own(resource), own(metric), own(name));
            Some(path(None, resource, name, metric, access))
        }
        _ => None,
    }
}

fn external(parts: &[&str]) -> Option<Route> {
    match parts {
        ["namespaces", namespace, metric] => Some(Route::External(ExternalPath {
            namespace: (*namespace).to_owned(),
            metric: (*metric).to_owned(),
        })),
        _ => None,
    }
}

impl Route {
    /// Whether it is a metric.
    #[must_use]
    pub fn is_metric(&self) -> bool {
        matches!(self, Self::Custom(_) | Self::External(_))
    }

    /// The word by which it is counted.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Custom(_) => "custom",
            Self::External(_) => "external",
            Self::Explain(_) => "explain",
            Self::Apis | Self::Group(_) | Self::Resources(..) | Self::OpenApi(_) => "discovery",
            Self::Root | Self::Health(_) | Self::Version | Self::Unknown(_) => "other",
        }
    }

    /// What access to it means, as kube-apiserver reads the same path (`k8s.io/apiserver`,
    /// `endpoints/request/requestinfo.go`). An explanation needs access to the metric it explains.
    #[must_use]
    pub fn attributes(&self, method: &Method, watch: bool) -> Attributes {
        match self {
            Self::Explain(inner) => inner.attributes(method, watch),
            Self::Custom(path) => {
                let (resource, subresource, name) = path.access.clone();
                let verb = resource_verb(method, name.is_empty(), watch);
                let namespace = path.namespace.clone().unwrap_or_default();
                let (group, version) = (CUSTOM.to_owned(), path.version.to_owned());
                Attributes {
                    verb,
                    target: Target::Resource {
                        group,
                        version,
                        resource,
                        subresource,
                        namespace,
                        name,
                    },
                }
            }
            Self::External(path) => Attributes {
                verb: resource_verb(method, true, watch),
                target: Target::Resource {
                    group: EXTERNAL.to_owned(),
                    version: EXTERNAL_VERSIONS[0].to_owned(),
                    resource: path.metric.clone(),
                    subresource: String::new(),
                    namespace: path.namespace.clone(),
                    name: String::new(),
                },
            },
            _ => Attributes {
                verb: path_verb(method),
                target: Target::Path(self.path()),
            },
        }
    }

    fn path(&self) -> String {
        match self {
            Self::Root => "/".into(),
            Self::Health(Health::Healthz) => "/healthz".into(),
            Self::Health(Health::Livez) => "/livez".into(),
            Self::Health(Health::Readyz) => "/readyz".into(),
            Self::Version => "/version".into(),
            Self::OpenApi(OpenApi::V2) => "/openapi/v2".into(),
            Self::OpenApi(OpenApi::V3Index) => "/openapi/v3".into(),
            Self::OpenApi(OpenApi::V3(group, version)) => format!("/openapi/v3/apis/{}/{version}", group.name),
            Self::Apis => "/apis".into(),
            Self::Group(group) => format!("/apis/{}", group.name),
            Self::Resources(group, version) => format!("/apis/{}/{version}", group.name),
            Self::Unknown(path) => path.clone(),
            // Resources have attributes of their own.
            Self::Custom(_) | Self::External(_) | Self::Explain(_) => String::new(),
        }
    }
}

/// The verb of a request for a resource; without a name a GET is a list, or a watch.
fn resource_verb(method: &Method, nameless: bool, watch: bool) -> &'static str {
    match method.as_str() {
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" if nameless => "deletecollection",
        "DELETE" => "delete",
        _ if nameless && watch => "watch",
        _ if nameless => "list",
        _ => "get",
    }
}

/// The verb of a request for a path: the method in lower case.
fn path_verb(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "HEAD" => "head",
        "POST" => "post",
        "PUT" => "put",
        "PATCH" => "patch",
        "DELETE" => "delete",
        "OPTIONS" => "options",
        _ => "other",
    }
}

/// The query parameters that mean something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedQuery {
    /// `labelSelector`.
    pub label_selector: Option<String>,
    /// `metricLabelSelector`.
    pub metric_label_selector: Option<String>,
    /// `watch=true` or `1`.
    pub watch: bool,
    /// A parameter that was given twice with different values, or is no UTF-8.
    pub fault: Option<String>,
}

impl ParsedQuery {
    /// Reads `application/x-www-form-urlencoded`, in which `+` is a blank.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(key), value) = (form_decode(key), form_decode(value)) else {
                continue;
            };
            let mut set = |slot: &mut Option<String>| match (&value, &*slot) {
                (None, _) => parsed.fault = Some(format!("{key} is not UTF-8")),
                (Some(new), Some(old)) if new != old => parsed.fault = Some(format!("{key} is given twice")),
                (Some(new), _) => *slot = Some(new.clone()),
            };
            match key.as_str() {
                "labelSelector" => set(&mut parsed.label_selector),
                "metricLabelSelector" => set(&mut parsed.metric_label_selector),
                "watch" => parsed.watch = matches!(value.as_deref(), Some("true" | "1" | "True" | "TRUE" | "t" | "T")),
                _ => {}
            }
        }
        parsed
    }
}

fn form_decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(path: &str) -> String {
        let route = parse(path).unwrap();
        let Attributes { verb, target } = route.attributes(&Method::GET, false);
        match target {
            Target::Path(path) => format!("{verb} {path}"),
            Target::Resource {
                group,
                resource,
                subresource,
                namespace,
                name,
                ..
            } => {
                let group = group.split('.').next().unwrap_or_default();
                format!("{verb} {group} {namespace}|{resource}|{subresource}|{name}")
            }
        }
    }

    #[test]
    fn access_is_asked_for_what_kubernetes_reads_in_the_same_path() {
        for (path, expected) in [
            (
                "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/pods/%2A/rps",
                "get custom demo|pods|rps|*",
            ),
            (
                "/apis/custom.metrics.k8s.io/v1beta1/namespaces/demo/pods/*/rps",
                "get custom demo|pods|rps|*",
            ),
            (
                "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/ingresses.networking.k8s.io/main/hits",
                "get custom demo|ingresses.networking.k8s.io|hits|main",
            ),
            (
                "/apis/custom.metrics.k8s.io/v1beta2/nodes/n1/temp",
                "get custom |nodes|temp|n1",
            ),
            (
                "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/metrics/load",
                "get custom demo|metrics||load",
            ),
            (
                "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/load",
                "list custom demo|load||",
            ),
            (
                "/apis/external.metrics.k8s.io/v1beta1/namespaces/demo/queue",
                "list external demo|queue||",
            ),
            (
                "/explain/apis/external.metrics.k8s.io/v1beta1/namespaces/demo/queue",
                "list external demo|queue||",
            ),
            ("/apis", "get /apis"),
            (
                "/apis/custom.metrics.k8s.io/v1beta2",
                "get /apis/custom.metrics.k8s.io/v1beta2",
            ),
            (
                "/apis/custom.metrics.k8s.io/v9/namespaces/demo/pods/x/y",
                "get /apis/custom.metrics.k8s.io/v9/namespaces/demo/pods/x/y",
            ),
            ("/metrics", "get /metrics"),
            ("/", "get /"),
        ] {
            assert_eq!(attributes(path), expected, "{path}");
        }
    }

    #[test]
    fn a_path_that_two_readers_could_read_differently_is_refused() {
        for path in [
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/pods%2Fx/a/b",
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/pods%2fx/a/b",
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/demo/pods/%252A/b",
            "/apis//custom.metrics.k8s.io",
            "//apis",
            "/apis/",
            "/apis/../metrics",
            "/apis/./x",
            "/apis/%2e%2e/metrics",
            "/readyz;x/../apis",
            "/apis/custom.metrics.k8s.io;x",
            "/apis/a%00b",
            "/apis/a%5Cb",
            "/apis/%ff",
            "",
        ] {
            assert!(parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn query_parameters_are_decoded_once_and_given_once() {
        let q = ParsedQuery::parse(
            "labelSelector=env+in+%28prod%2Cstage%29%2Cq%3Dwork&metricLabelSelector=code%3D%2520&x=%ff",
        );
        assert_eq!(q.label_selector.as_deref(), Some("env in (prod,stage),q=work"));
        assert_eq!(q.metric_label_selector.as_deref(), Some("code=%20"));
        assert_eq!((q.watch, q.fault), (false, None));
        assert!(ParsedQuery::parse("watch=true").watch);
        assert!(ParsedQuery::parse("labelSelector=a&labelSelector=b").fault.is_some());
        assert!(ParsedQuery::parse("labelSelector=%ff").fault.is_some());
    }

    proptest::proptest! {
        #[test]
        fn no_path_or_query_panics(path in ".{0,64}", query in ".{0,64}") {
            let _ = parse(&path);
            let _ = parse(&format!("/apis/{path}"));
            let _ = ParsedQuery::parse(&query);
        }
    }
}
