//! A container's environment and arguments: the downward API, references, `$(NAME)`.

use crate::api::Api;
use crate::{Result, fail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Names and values in the order in which they were given; a later value of a name replaces the earlier.
#[derive(Debug, Default, Clone)]
pub(super) struct Environment(Vec<(String, String)>);

impl Environment {
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// `$(NAME)` becomes the variable's value; `$$` is a dollar; an unknown name stays as it is.
    pub(super) fn expand(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let reference = rest.strip_prefix('(').and_then(|inner| inner.split_once(')'));
            match reference {
                _ if rest.starts_with('$') => {
                    out.push('$');
                    rest = &rest[1..];
                }
                Some((name, after)) => {
                    match self.get(name) {
                        Some(value) => out.push_str(value),
                        None => out.push_str(&format!("$({name})")),
                    }
                    rest = after;
                }
                None => out.push('$'),
            }
        }
        out.push_str(rest);
        out
    }
}

/// The environment of `container` of `pod` (whose status has its address).
///
/// # Errors
/// A reference names something that is absent and not optional.
pub(super) async fn environment(api: &Api, pod: &Value, container: &Value) -> Result<Environment> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let mut env = Environment::default();
    for source in container["envFrom"].as_array().into_iter().flatten() {
        let prefix = source["prefix"].as_str().unwrap_or_default();
        for (name, value) in whole_source(api, namespace, source).await? {
            env.set(&format!("{prefix}{name}"), value);
        }
    }
    for entry in container["env"].as_array().into_iter().flatten() {
        let name = entry["name"].as_str().unwrap_or_default();
        let value = match &entry["valueFrom"] {
            Value::Null => Some(env.expand(entry["value"].as_str().unwrap_or_default())),
            from => value_from(api, namespace, pod, from).await?,
        };
        if let Some(value) = value {
            env.set(name, value);
        }
    }
    Ok(env)
}

async fn whole_source(api: &Api, namespace: &str, source: &Value) -> Result<Vec<(String, String)>> {
    let data = match (&source["configMapRef"], &source["secretRef"]) {
        (Value::Object(reference), _) => keys(api, namespace, "configmaps", reference).await?,
        (_, Value::Object(reference)) => keys(api, namespace, "secrets", reference).await?,
        _ => fail!("envFrom source {source} is not supported"),
    };
    Ok(data
        .into_iter()
        .map(|(name, bytes)| (name, String::from_utf8_lossy(&bytes).into_owned()))
        .collect())
}

async fn value_from(api: &Api, namespace: &str, pod: &Value, from: &Value) -> Result<Option<String>> {
    if let Some(path) = from["fieldRef"]["fieldPath"].as_str() {
        return field(pod, path).map(Some);
    }
    let (kind, reference) = match (&from["configMapKeyRef"], &from["secretKeyRef"]) {
        (Value::Object(reference), _) => ("configmaps", reference),
        (_, Value::Object(reference)) => ("secrets", reference),
        _ => fail!("valueFrom {from} is not supported"),
    };
    let wanted = reference["key"].as_str().unwrap_or_default();
    let data = keys(api, namespace, kind, reference).await?;
    match data.into_iter().find(|(key, _)| key == wanted) {
        Some((_, bytes)) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        None if reference.get("optional") == Some(&Value::Bool(true)) => Ok(None),
        None => fail!("no key {wanted} in {kind} {}", reference["name"]),
    }
}

/// A field of the pod by its downward API path.
pub(super) fn field(pod: &Value, path: &str) -> Result<String> {
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let pointer = format!("/{}", map.replace('.', "/"));
        let value = pod
            .pointer(&pointer)
            .and_then(|map| map.get(key))
            .and_then(Value::as_str);
        return Ok(value.unwrap_or_default().to_owned());
    }
    let pointer = format!("/{}", path.replace('.', "/"));
    match pod.pointer(&pointer) {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => fail!("fieldPath {path} is not supported or not set"),
    }
}

/// The data of a ConfigMap or Secret; empty when it is absent and `optional`.
pub(super) async fn keys(
    api: &Api,
    namespace: &str,
    kind: &str,
    reference: &Map<String, Value>,
) -> Result<Vec<(String, Vec<u8>)>> {
    let name = ["name", "secretName"]
        .iter()
        .find_map(|key| reference.get(*key)?.as_str())
        .unwrap_or_default();
    let Some(object) = api
        .find(&format!("/api/v1/namespaces/{namespace}/{kind}/{name}"))
        .await?
    else {
        if reference.get("optional") == Some(&Value::Bool(true)) {
            return Ok(Vec::new());
        }
        fail!("{kind} {namespace}/{name} is absent");
    };
    let mut out = Vec::new();
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        let bytes = match kind {
            "secrets" => STANDARD.decode(text).unwrap_or_default(),
            _ => text.as_bytes().to_vec(),
        };
        out.push((key.clone(), bytes));
    }
    Ok(out)
}

/// Moves a `--…listen-address=HOST:PORT` argument to the pod's address; others stay.
pub(super) fn move_listener(arg: &str, address: &str) -> String {
    match arg.split_once('=') {
        Some((flag, listen)) if flag.starts_with("--") && flag.ends_with("listen-address") => {
            let port = listen.rsplit_once(':').map_or(listen, |(_, port)| port);
            format!("{flag}={address}:{port}")
        }
        _ => arg.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_expand_as_kubernetes_says() {
        let mut env = Environment::default();
        env.set("A", "1".to_owned());
        for (text, expanded) in [
            ("x$(A)y", "x1y"),
            ("$$(A)", "$(A)"),
            ("$(NONE)", "$(NONE)"),
            ("$A $", "$A $"),
            ("$(A)$(A)", "11"),
        ] {
            assert_eq!(env.expand(text), expanded, "{text}");
        }
    }

    #[test]
    fn listeners_move_to_the_pods_address_and_nothing_else_does() {
        for (arg, moved) in [
            (
                "--web.listen-address=127.0.0.1:9090",
                "--web.listen-address=127.9.8.7:9090",
            ),
            (
                "--adapter.listen-address=[::]:6443",
                "--adapter.listen-address=127.9.8.7:6443",
            ),
            (
                "--scaler.listen-address=:6000",
                "--scaler.listen-address=127.9.8.7:6000",
            ),
            (
                "--config.file=/etc/leadline/leadline.yaml",
                "--config.file=/etc/leadline/leadline.yaml",
            ),
            ("serve", "serve"),
        ] {
            assert_eq!(move_listener(arg, "127.9.8.7"), moved);
        }
    }

    #[test]
    fn downward_fields_are_read_by_path() {
        let pod = json!({"metadata": {"name": "p", "labels": {"a/b": "c"}}, "status": {"podIP": "127.1.2.3"}});
        assert_eq!(field(&pod, "metadata.name").unwrap(), "p");
        assert_eq!(field(&pod, "metadata.labels['a/b']").unwrap(), "c");
        assert_eq!(field(&pod, "status.podIP").unwrap(), "127.1.2.3");
        assert!(field(&pod, "spec.nope").is_err());
    }
}
