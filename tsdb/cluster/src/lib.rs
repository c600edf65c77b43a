//! The Kubernetes side that rooms share: one trimmed watch per kind.
