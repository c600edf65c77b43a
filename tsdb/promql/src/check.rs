//! Whether a tree makes sense: types, numbers of arguments, operators and operands that fit.

mod signature;

pub use signature::{Signature, is_supported, signature, signatures};
