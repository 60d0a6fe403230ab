//! A file system of one's own: the user's home without what begins with a dot.
//!
//! `cargo run --example filesystem`, then `curl ftp://user:12345@localhost:2121/`

use std::path::PathBuf;

use wharf::auth::VirtualUsers;
use wharf::fs::{
    Detail, Entries, FileSystem, FsErrorKind, FsResult, JailedFs, Metadata, Sink, Source, Timestamp,
    WriteMode,
};
use wharf::{Server, VPath};

struct NoDotFiles(JailedFs);

fn visible(path: &VPath) -> FsResult<&VPath> {
    let hidden = path.components().any(|name| name.starts_with(b"."));
    if hidden { Err(FsErrorKind::NotFound.into()) } else { Ok(path) }
}

// One that is not forwarded would do what the trait does by default, which is less than the files below can do.
#[deny(clippy::missing_trait_methods)]
impl FileSystem for NoDotFiles {
    fn start(&self) -> VPath {
        self.0.start()
    }

    fn local_path(&self, path: &VPath) -> Option<PathBuf> {
        self.0.local_path(path)
    }

    async fn metadata(&self, path: &VPath) -> FsResult<Metadata> {
        self.0.metadata(visible(path)?).await
    }

    async fn link_metadata(&self, path: &VPath) -> FsResult<Metadata> {
        self.0.link_metadata(visible(path)?).await
    }

    async fn enter(&self, path: &VPath) -> FsResult<()> {
        self.0.enter(visible(path)?).await
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

    async fn write_unique(&self, directory: &VPath, prefix: &[u8]) -> FsResult<(VPath, Sink)> {
        if prefix.starts_with(b".") {
            return Err(FsErrorKind::InvalidName.into());
        }
        self.0.write_unique(visible(directory)?, prefix).await
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

    async fn set_modified(&self, path: &VPath, time: Timestamp) -> FsResult<()> {
        self.0.set_modified(visible(path)?, time).await
    }

    async fn set_mode(&self, path: &VPath, mode: u32) -> FsResult<()> {
        self.0.set_mode(visible(path)?, mode).await
    }
}

#[tokio::main]
async fn main() -> wharf::Result<()> {
    let users = VirtualUsers::new().user("user", "12345", ".", "elradfmw")?;
    let server = Server::builder(users).filesystem(|user| Ok(NoDotFiles(JailedFs::open(user)?)));
    server.bind("127.0.0.1:2121").await?.serve().await
}
