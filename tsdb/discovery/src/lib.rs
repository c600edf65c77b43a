//! Configuration to target groups.
