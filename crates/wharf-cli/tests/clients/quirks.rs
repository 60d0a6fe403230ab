//! What some clients cannot do with any server.

/// Client, beginning of the scenario's name, reason: a row that is known to fail.
const ROWS: &[(&str, &str, &str)] = &[
    ("basic-ftp", "a file called caf\\xe9", "basic-ftp has only names in UTF-8"),
    ("curl", "there and back, active, TLS", "curl 7.88 does not begin TLS on connections it accepts"),
    ("rclone", "a file called caf\\xe9", "rclone has only names in UTF-8"),
];

/// Client and a name that it garbles in a listing: left out of the trees that it mirrors.
const NAMES: &[(&str, &[u8])] = &[("rclone", b"caf\xe9"), ("wget", b" lead")];

/// Why this client is expected to fail in this scenario, if it is.
pub(crate) fn find(client: &str, scenario: &str) -> Option<String> {
    let row = ROWS.iter().find(|(name, start, _)| *name == client && scenario.starts_with(start));
    row.map(|(_, _, reason)| (*reason).to_owned())
}

/// Whether this client can read the name in a listing.
pub(crate) fn can_mirror(client: &str, name: &[u8]) -> bool {
    !NAMES.contains(&(client, name))
}
