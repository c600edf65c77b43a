//! The API server's audit log: who asked what.

use crate::Result;
use crate::failure::Context;
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The log, read from where a test began.
#[derive(Debug, Clone)]
pub struct Audit {
    path: PathBuf,
}

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position(u64);

impl Position {
    /// The beginning of the log.
    pub const START: Self = Self(0);
}

/// One request.
#[derive(Debug, Clone)]
pub struct Event(Value);

impl Audit {
    /// The log at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The end of the log as it is now. The API server writes an event before it ends the answer, so what was answered
    /// before this call lies before the position.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn position(&self) -> Result<Position> {
        Ok(Position(
            std::fs::metadata(&self.path).context(self.path.display())?.len(),
        ))
    }

    /// The events after `from`. A last line that is still being written is left for the next call.
    ///
    /// # Errors
    /// The log cannot be read or a line is no JSON.
    pub fn since(&self, from: Position) -> Result<Vec<Event>> {
        let mut file = File::open(&self.path).context(self.path.display())?;
        file.seek(SeekFrom::Start(from.0))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| Ok(Event(serde_json::from_str(line)?)))
            .collect()
    }
}

impl Event {
    fn at(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// get, list, watch, create, update, patch, delete.
    #[must_use]
    pub fn verb(&self) -> &str {
        self.at("/verb")
    }

    /// The user's name.
    #[must_use]
    pub fn user(&self) -> &str {
        self.at("/user/username")
    }

    /// The resource, `pods`.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.at("/objectRef/resource")
    }

    /// The subresource, `scale`.
    #[must_use]
    pub fn subresource(&self) -> &str {
        self.at("/objectRef/subresource")
    }

    /// The API group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.at("/objectRef/apiGroup")
    }

    /// The path and query as sent.
    #[must_use]
    pub fn uri(&self) -> &str {
        self.at("/requestURI")
    }

    /// The answer's HTTP status.
    #[must_use]
    pub fn status(&self) -> u64 {
        self.0
            .pointer("/responseStatus/code")
            .and_then(Value::as_u64)
            .unwrap_or_default()
    }

    /// Whether this changed, or tried to change, the replicas of something.
    #[must_use]
    pub fn writes_scale(&self) -> bool {
        self.subresource() == "scale" && matches!(self.verb(), "create" | "update" | "patch" | "delete")
    }

    /// `ResponseStarted` (a watch was opened), `ResponseComplete` (it ended, or any other request was answered).
    #[must_use]
    pub fn stage(&self) -> &str {
        self.at("/stage")
    }

    /// The namespace of the object that was asked for.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.at("/objectRef/namespace")
    }

    /// The pod whose token was shown, for tokens that are bound to one.
    #[must_use]
    pub fn pod(&self) -> &str {
        self.at("/user/extra/authentication.kubernetes.io~1pod-name/0")
    }

    /// One line for a message.
    #[must_use]
    pub fn line(&self) -> String {
        let time = self.at("/requestReceivedTimestamp");
        format!(
            "{time} {} {} {} -> {}",
            self.user(),
            self.verb(),
            self.uri(),
            self.status()
        )
    }

    /// The whole event.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }
}
