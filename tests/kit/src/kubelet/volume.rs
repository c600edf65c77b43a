//! Volumes as folders: written the way a kubelet writes them, so that programs that watch for changes see what they see in
//! a cluster (`..data` is a symbolic link that is replaced in one step).

use super::env::{field, keys};
use crate::api::{Api, text};
use crate::failure::Context;
use crate::{Result, fail};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

type Files = BTreeMap<String, Vec<u8>>;

/// The volumes of a pod.
#[derive(Debug)]
pub(super) struct Volumes {
    folder: PathBuf,
    written: BTreeMap<String, Files>,
    generation: u64,
}

impl Volumes {
    /// Volumes below `folder`.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            written: BTreeMap::new(),
            generation: 0,
        }
    }

    /// The folder of volume `name`.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes every volume of `pod`. Volumes with a token are written once; the others again when their source changed.
    ///
    /// # Errors
    /// A source is absent and not optional, or the kind of volume is not supported.
    pub(super) async fn write(&mut self, api: &Api, pod: &Value) -> Result<()> {
        for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
            let name = text(volume, "/name")?;
            let path = self.path(name);
            let known = self.written.get(name);
            if known.is_some() && (volume.get("emptyDir").is_some() || has_token(volume)) {
                continue;
            }
            let files = files_of(api, pod, volume).await.context(format!("volume {name}"))?;
            if known == Some(&files) {
                continue;
            }
            std::fs::create_dir_all(&path).context(path.display())?;
            if volume.get("emptyDir").is_some() {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))?;
            } else {
                self.generation += 1;
                replace(&path, &files, self.generation)?;
            }
            self.written.insert(name.to_owned(), files);
        }
        Ok(())
    }
}

fn has_token(volume: &Value) -> bool {
    let sources = volume["projected"]["sources"].as_array();
    sources.is_some_and(|sources| sources.iter().any(|source| source.get("serviceAccountToken").is_some()))
}

async fn files_of(api: &Api, pod: &Value, volume: &Value) -> Result<Files> {
    if volume.get("emptyDir").is_some() {
        return Ok(Files::new());
    }
    if let Some(sources) = volume["projected"]["sources"].as_array() {
        let mut files = Files::new();
        for source in sources {
            files.extend(source_files(api, pod, source).await?);
        }
        return Ok(files);
    }
    source_files(api, pod, volume).await
}

/// The files of one source: a volume of its own or a part of a projected one.
async fn source_files(api: &Api, pod: &Value, source: &Value) -> Result<Files> {
    let namespace = text(pod, "/metadata/namespace")?;
    if let Some(reference) = source["configMap"].as_object() {
        return Ok(chosen(reference, keys(api, namespace, "configmaps", reference).await?));
    }
    if let Some(reference) = source["secret"].as_object() {
        return Ok(chosen(reference, keys(api, namespace, "secrets", reference).await?));
    }
    if let Some(items) = source["downwardAPI"]["items"].as_array() {
        let item = |item: &Value| -> Result<(String, Vec<u8>)> {
            let value = field(pod, text(item, "/fieldRef/fieldPath")?)?;
            Ok((text(item, "/path")?.to_owned(), value.into_bytes()))
        };
        return items.iter().map(item).collect();
    }
    if source.get("serviceAccountToken").is_some() {
        let token = token(api, pod, &source["serviceAccountToken"]).await?;
        return Ok(Files::from([token]));
    }
    fail!("source {source} is not supported")
}

/// `items` of a reference, or all keys.
fn chosen(reference: &Map<String, Value>, data: Vec<(String, Vec<u8>)>) -> Files {
    let Some(items) = reference.get("items").and_then(Value::as_array) else {
        return data.into_iter().collect();
    };
    let path_of = |key: &str| {
        let item = items.iter().find(|item| item["key"] == key)?;
        item["path"].as_str().map(ToOwned::to_owned)
    };
    data.into_iter()
        .filter_map(|(key, bytes)| Some((path_of(&key)?, bytes)))
        .collect()
}

/// A token of the pod's ServiceAccount, bound to the pod.
async fn token(api: &Api, pod: &Value, source: &Value) -> Result<(String, Vec<u8>)> {
    let namespace = text(pod, "/metadata/namespace")?;
    let account = text(pod, "/spec/serviceAccountName")?;
    let mut spec = json!({
        "expirationSeconds": source["expirationSeconds"].as_u64().unwrap_or(3600),
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]},
    });
    if let Some(audience) = source["audience"].as_str() {
        spec["audiences"] = json!([audience]);
    }
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
    let answer = api.create(&path, &request).await?;
    let token = text(&answer, "/status/token")?.as_bytes().to_vec();
    Ok((source["path"].as_str().unwrap_or("token").to_owned(), token))
}

/// Replaces the content of `path` in one step.
fn replace(path: &Path, files: &Files, generation: u64) -> Result<()> {
    let stamp = format!("..{generation}");
    let fresh = path.join(&stamp);
    for (name, bytes) in files {
        let file = fresh.join(name);
        let folder = file.parent().unwrap_or(&fresh);
        std::fs::create_dir_all(folder).context(folder.display())?;
        std::fs::write(&file, bytes).context(file.display())?;
    }
    std::fs::create_dir_all(&fresh)?;
    let data = path.join("..data");
    let previous = std::fs::read_link(&data).ok();
    let aside = path.join("..data_tmp");
    let _ = std::fs::remove_file(&aside);
    symlink(&stamp, &aside)?;
    std::fs::rename(&aside, &data)?;
    for name in files.keys() {
        let top = name.split('/').next().unwrap_or(name);
        let link = path.join(top);
        if link.symlink_metadata().is_err() {
            symlink(Path::new("..data").join(top), link)?;
        }
    }
    if let Some(previous) = previous {
        let _ = std::fs::remove_dir_all(path.join(previous));
    }
    Ok(())
}
