//! Users that come from elsewhere: here everybody on this machine who knows the word, each with an own directory.
//!
//! `cargo run --example authorizer`, then `curl ftp://ann:sugar@localhost:2121/`

use std::path::Path;

use wharf::auth::{AuthError, Authorizer, Login, User};
use wharf::{Letters, Secret, Server};

struct Neighbours {
    word: Secret,
}

impl Authorizer for Neighbours {
    async fn authenticate(&self, login: Login<'_>) -> Result<User, AuthError> {
        let sensible = login.user.chars().all(|c| c.is_ascii_alphanumeric()) && !login.user.is_empty();
        if !login.peer.ip().is_loopback() || !sensible || login.password != &self.word {
            return Err(AuthError::Refused);
        }
        let home = Path::new("homes").join(login.user);
        tokio::fs::create_dir_all(&home).await.map_err(|error| AuthError::Unavailable(error.into()))?;
        Ok(User::new(login.user, home).with_permissions(Letters::ALL))
    }
}

#[tokio::main]
async fn main() -> wharf::Result<()> {
    let neighbours = Neighbours { word: Secret::new("sugar") };
    Server::builder(neighbours).bind("127.0.0.1:2121").await?.serve().await
}
