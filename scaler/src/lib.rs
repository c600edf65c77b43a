//! KEDA external scaler.
