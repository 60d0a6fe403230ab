//! A file system of one's own: the user's home without what begins with a dot.
//!
//! `cargo run --example filesystem`, then `curl ftp://user:12345@localhost:2121/`

use wharf::auth::VirtualUsers;
use wharf::fs::{
    Detail, Entries, FileSystem, FsErrorKind, FsResult, JailedFs, Metadata, Sink, Source, WriteMode,
};
use wharf::{Server, VPath};

struct NoDotFiles(JailedFs);

fn visible(path: &VPath) -> FsResult<&VPath> {
    let hidden = path.components().any(|name| name.starts_with(b"."));
    if hidden { Err(FsErrorKind::NotFound.into()) } else { Ok(path) }
}

impl FileSystem for NoDotFiles {
    async fn metadata(&self, path: &VPath) -> FsResult<Metadata> {
        self.0.metadata(visible(path)?).await
    }

    async fn list(&self, path: &VPath, detail: Detail) -> FsResult<Entries> {
        Ok(self.0.list(visible(path)?, detail).await?.filter(|entry| !entry.name.starts_with(b".")))
    }

    async fn read(&self, path: &VPath, from: u64) -> FsResult<Source> {
        self.0.read(visible(path)?, from).await
    }

    async fn write(&self, path: &VPath, mode: WriteMode) -> FsResult<Sink> {
        self.0.write(visible(path)?, mode).await
    }

    async fn create_dir(&self, path: &VPath) -> FsResult<()> {
        self.0.create_dir(visible(path)?).await
    }

    async fn remove_dir(&self, path: &VPath) -> FsResult<()> {
        self.0.remove_dir(visible(path)?).await
    }

    async fn remove_file(&self, path: &VPath) -> FsResult<()> {
        self.0.remove_file(visible(path)?).await
    }

    async fn rename(&self, from: &VPath, to: &VPath) -> FsResult<()> {
        self.0.rename(visible(from)?, visible(to)?).await
    }
}

#[tokio::main]
async fn main() -> wharf::Result<()> {
    let users = VirtualUsers::new().user("user", "12345", ".", "elradfmw")?;
    let server = Server::builder(users).filesystem(|user| Ok(NoDotFiles(JailedFs::open(user)?)));
    server.bind("127.0.0.1:2121").await?.serve().await
}
