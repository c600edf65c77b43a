//! Errors as the API answers them.

use std::fmt;

/// Why a request was not answered with what it asked for. The HPA shows the message, and nothing else, in its
/// condition, so the message says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Decides the status code.
    pub kind: Kind,
    /// For people.
    pub message: String,
    /// What the error is about, for `details`; absent where nothing can be named.
    pub about: Option<About>,
}

/// The object of an error (`details` of a Status).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// Name of the object.
    pub name: String,
    /// API group.
    pub group: String,
    /// Kind or resource.
    pub kind: String,
}

/// The reasons of `metav1.Status` that are answered here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 400.
    BadRequest,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 406.
    NotAcceptable,
    /// 429, with Retry-After.
    TooManyRequests,
    /// 500.
    InternalError,
    /// 503.
    ServiceUnavailable,
    /// 504.
    Timeout,
}

impl Kind {
    /// The HTTP status code.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::TooManyRequests => 429,
            Self::InternalError => 500,
            Self::ServiceUnavailable => 503,
            Self::Timeout => 504,
        }
    }
}

/// The `reason` of a Status.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl ApiError {
    /// With a message.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            about: None,
        }
    }

    /// Names the object.
    #[must_use]
    pub fn about(mut self, about: About) -> Self {
        self.about = Some(about);
        self
    }
}

macro_rules! shorthands {
    ($($name:ident $kind:ident $doc:literal)*) => {
        impl ApiError {
            $(#[doc = $doc]
            #[must_use]
            pub fn $name(message: impl Into<String>) -> Self {
                Self::new(Kind::$kind, message)
            })*
        }
    };
}

shorthands! {
    bad_request BadRequest "400."
    not_found NotFound "404."
    internal InternalError "500."
    unavailable ServiceUnavailable "503."
}
