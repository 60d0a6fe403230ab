//! The object-safe twin of [`Authorizer`], boxed once by the builder.

use super::{AuthError, Authorizer, Login, User};
use crate::BoxFuture;

/// [`Authorizer`] as the server keeps it.
pub(crate) trait DynAuthorizer: Send + Sync {
    /// See [`Authorizer::authenticate`].
    fn authenticate<'a>(&'a self, login: Login<'a>) -> BoxFuture<'a, Result<User, AuthError>>;
}

impl<A: Authorizer> DynAuthorizer for A {
    fn authenticate<'a>(&'a self, login: Login<'a>) -> BoxFuture<'a, Result<User, AuthError>> {
        Box::pin(Authorizer::authenticate(self, login))
    }
}
