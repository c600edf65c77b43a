//! Answers against an OpenAPI document.

use serde_json::Value;

/// A document.
#[derive(Debug)]
pub struct Document(Value);

impl Document {
    /// From YAML.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document: Value = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
        match document["paths"].is_object() {
            true => Ok(Self(document)),
            false => Err("it has no paths".to_owned()),
        }
    }

    /// The paths, as templates.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0["paths"]
            .as_object()
            .into_iter()
            .flat_map(|paths| paths.keys().map(String::as_str))
    }

    /// Whether a path takes its parameters from a form too.
    #[must_use]
    pub fn takes_form(&self, path: &str) -> bool {
        let Some(template) = self.paths().find(|template| same_path(template, path)) else {
            return false;
        };
        !self.0["paths"][template]["post"]["requestBody"].is_null()
    }

    /// What an answer has that the document does not allow.
    #[must_use]
    pub fn complaint(&self, path: &str, form: bool, status: u16, body: &str) -> Option<String> {
        let server = self.0["servers"][0]["url"].as_str().unwrap_or("/");
        let below = path.strip_prefix(server.trim_end_matches('/')).unwrap_or(path);
        let Some(template) = self.paths().find(|template| same_path(template, below)) else {
            return Some(format!("{path} is not in the document"));
        };
        let operation = &self.0["paths"][template];
        let responses = &operation[if form { "post" } else { "get" }]["responses"];
        let response = [status.to_string(), "default".to_owned()]
            .iter()
            .find_map(|code| responses.get(code).cloned());
        let Some(response) = response else {
            return Some(format!("status {status} is not in the document"));
        };
        let schema = &response["content"]["application/json"]["schema"];
        match serde_json::from_str(body) {
            Ok(body) => self.fits(schema, &body).err(),
            Err(error) => Some(format!("no JSON: {error}")),
        }
    }

    fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap_or(name);
            return self.fits(&self.0["components"]["schemas"][name], value);
        }
        for choice in ["anyOf", "oneOf"] {
            let Some(choices) = schema[choice].as_array() else {
                continue;
            };
            let complaints: Vec<String> = choices.iter().filter_map(|one| self.fits(one, value).err()).collect();
            if complaints.len() == choices.len() {
                return Err(complaints.join(" | "));
            }
        }
        if schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
            return Err(format!("{value} is none of {}", schema["enum"]));
        }
        let types = match &schema["type"] {
            Value::Null => return Ok(()),
            Value::Array(all) => all.clone(),
            one => vec![one.clone()],
        };
        let is = |name: &Value| match name.as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("number") => value.is_number(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("boolean") => value.is_boolean(),
            _ => value.is_null(),
        };
        if !types.iter().any(is) {
            let short: String = value.to_string().chars().take(80).collect();
            return Err(format!("{short} is no {}", schema["type"]));
        }
        self.fits_object(schema, value)?;
        self.fits_array(schema, value)
    }

    fn fits_object(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let Some(fields) = value.as_object() else { return Ok(()) };
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                return Err(format!("{name} is missing"));
            }
        }
        for (name, field) in fields {
            let known = schema["properties"].get(name);
            match (known, &schema["additionalProperties"]) {
                (Some(schema), _) => self.fits(schema, field).map_err(|e| format!("{name}: {e}"))?,
                (None, Value::Bool(false)) => return Err(format!("{name} is not in the document")),
                (None, other @ Value::Object(_)) => self.fits(other, field).map_err(|e| format!("{name}: {e}"))?,
                (None, _) => {}
            }
        }
        Ok(())
    }

    fn fits_array(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let Some(items) = value.as_array() else { return Ok(()) };
        let bound = |name: &str, default| schema[name].as_u64().map_or(default, |n| n as usize);
        if !(bound("minItems", 0)..=bound("maxItems", usize::MAX)).contains(&items.len()) {
            return Err(format!("{} items are not allowed", items.len()));
        }
        let one = &schema["items"];
        items.iter().enumerate().try_for_each(|(i, item)| match one {
            Value::Null => Ok(()),
            one => self.fits(one, item).map_err(|e| format!("[{i}]: {e}")),
        })
    }
}

/// Whether `/label/{name}/values` is the template of `/label/job/values`.
fn same_path(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len() && template.iter().zip(&path).all(|(a, b)| a == b || a.starts_with('{'))
}
