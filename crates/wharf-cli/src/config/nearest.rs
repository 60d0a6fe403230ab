//! The nearest right word to a wrong one.

use std::fs;
use std::path::{Path, PathBuf};

/// How alike two words must be for one to be taken for the other, from 0 to 1.
const ALIKE: f64 = 0.8;

/// Which of `candidates` the reader most likely meant by `typed`.
pub(crate) fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .filter(|candidate| strsim::jaro_winkler(typed, candidate) >= ALIKE)
        .min_by_key(|candidate| strsim::damerau_levenshtein(typed, candidate))
}

/// The existing path that the reader most likely meant by `path`, one of whose components is not there.
pub(crate) fn nearest_path(path: &Path) -> Option<PathBuf> {
    let missing = path
        .ancestors()
        .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists())
        .last()?;
    let parent =
        missing.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
    let names: Vec<String> =
        fs::read_dir(parent).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let name = nearest(missing.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    let rest = path.strip_prefix(missing).ok()?;
    let meant = missing.with_file_name(name).join(rest);
    let meant: PathBuf = meant.components().collect();
    meant.exists().then_some(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let keys = ["idle_timeout", "data_timeout", "max_connections", "max_connections_per_ip"];
        for (typed, meant) in [
            ("idle_timeot", Some("idle_timeout")),
            ("max_cons", Some("max_connections")),
            ("data-timeout", Some("data_timeout")),
            ("frobnicate", None),
        ] {
            assert_eq!(nearest(typed, keys), meant, "{typed}");
        }
    }

    #[test]
    fn a_path_is_corrected_where_it_goes_wrong() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("public/music")).unwrap();
        assert_eq!(nearest_path(&dir.path().join("publik/music")), Some(dir.path().join("public/music")));
        assert_eq!(nearest_path(&dir.path().join("public/musik")), Some(dir.path().join("public/music")));
        assert_eq!(nearest_path(&dir.path().join("publik/other")), None);
        assert_eq!(nearest_path(&dir.path().join("zzz")), None);
    }
}
