//! Routes as a table, so that what is served can be listed and held against its description.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};

/// A path with what answers there; `S` is the state that its handler takes.
pub struct Route<S> {
    /// The path; a name in braces stands for one part of any text.
    pub path: &'static str,
    /// The methods, as OpenAPI writes them.
    pub methods: &'static [&'static str],
    handlers: MethodRouter<S>,
}

impl<S: Clone + Send + Sync + 'static> Route<S> {
    /// Something to read: GET.
    pub fn read<H: Handler<T, S>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self {
            path,
            methods: &["get"],
            handlers: get(handler),
        }
    }

    /// A question, whose parameters may be too long for a URL: GET and POST.
    pub fn ask<H: Handler<T, S>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self {
            path,
            methods: &["get", "post"],
            handlers: get(handler.clone()).post(handler),
        }
    }

    /// Something to do: POST and PUT.
    pub fn act<H: Handler<T, S>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self {
            path,
            methods: &["post", "put"],
            handlers: post(handler.clone()).put(handler),
        }
    }

    /// A router of these routes.
    pub fn router(routes: Vec<Self>) -> Router<S> {
        let add = |router: Router<S>, route: Self| router.route(route.path, route.handlers);
        routes.into_iter().fold(Router::new(), add)
    }
}
