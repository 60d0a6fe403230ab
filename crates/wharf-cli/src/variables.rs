//! The environment: which flags a variable gave, and which variables nobody knows.

use clap::parser::ValueSource;

use crate::config::nearest;

/// How the names of all our variables begin.
const PREFIX: &str = "WHARF_";

/// What the environment has for us.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    /// The flags that a variable stands for, each as it is written, with its variable.
    found: Vec<([Option<String>; 2], String)>,
    /// A line for each variable that somebody may have misspelt.
    notes: Vec<String>,
}

impl Variables {
    /// What the environment gave these matches of the `table`.
    pub(crate) fn found(table: &clap::Command, matches: &clap::ArgMatches) -> Self {
        let given = table.get_arguments().filter(|flag| {
            let id = flag.get_id().as_str();
            matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::EnvVariable)
        });
        let found = given.filter_map(|flag| {
            let short = flag.get_short().map(|short| format!("-{short}"));
            let long = flag.get_long().map(|long| format!("--{long}"));
            Some(([short, long], variable_of(flag)?))
        });
        Self { found: found.collect(), notes: notes(table) }
    }

    /// A line for each variable that somebody may have misspelt.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The flag as its user gave it: by itself, or by a variable.
    pub(crate) fn spell<'a>(&'a self, flag: &'a str) -> &'a str {
        let given =
            self.found.iter().find(|(spellings, _)| spellings.iter().flatten().any(|one| one == flag));
        given.map_or(flag, |(_, variable)| variable)
    }
}

/// What is to be said of variables that begin as ours do and stand for no flag, in their order.
fn notes(table: &clap::Command) -> Vec<String> {
    let known: Vec<String> = table.get_arguments().filter_map(variable_of).collect();
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let strangers = variables.filter(|(name, value)| {
        name.starts_with(PREFIX) && !known.contains(name) && !is_service_link(name, &value.to_string_lossy())
    });
    let mut names: Vec<String> = strangers.map(|(name, _)| name).collect();
    names.sort_unstable();
    let note = |name: &String| {
        // All begin alike, which would make all of them near.
        let ends = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
        let hint = match nearest(name.trim_start_matches(PREFIX), ends) {
            Some(meant) => format!("did you mean {PREFIX}{meant}?"),
            None => "wharf --help lists them".to_owned(),
        };
        format!("unknown variable {name}; {hint}")
    };
    names.iter().map(note).collect()
}

/// Whether Kubernetes set it: there is a service whose name is or begins with `wharf`.
fn is_service_link(name: &str, value: &str) -> bool {
    let of_ours = ["WHARF_SERVICE_", "WHARF_PORT_"].iter().any(|start| name.starts_with(start));
    let of_others =
        ["_SERVICE_HOST", "_SERVICE_PORT", "_TCP_", "_UDP_"].iter().any(|part| name.contains(part));
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    of_ours || of_others || is_url
}

/// The variable of a flag.
pub(crate) fn variable_of(flag: &clap::Arg) -> Option<String> {
    flag.get_env().map(|variable| variable.to_string_lossy().into_owned())
}
