//! Which value of the command line or the environment is not UTF-8. The parser says that there is one, and no more.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::variables::variable_of;

/// Names the flag or variable. The value itself may be a password, and is never shown.
pub(crate) fn problem(table: &clap::Command, arguments: &[OsString], is_variable: bool) -> String {
    let place = if is_variable { variable(table) } else { flag(table, arguments) };
    match place {
        Some(place) => format!("{place}: the value is not UTF-8"),
        None => "a word is not UTF-8; wharf --help says what goes where".to_owned(),
    }
}

fn variable(table: &clap::Command) -> Option<String> {
    let is_wrong = |name: &String| std::env::var_os(name).is_some_and(|value| value.to_str().is_none());
    table.get_arguments().filter(|flag| !is_path(flag)).filter_map(variable_of).find(is_wrong)
}

fn flag(table: &clap::Command, arguments: &[OsString]) -> Option<String> {
    let flags =
        || table.get_arguments().chain(table.get_subcommands().flat_map(clap::Command::get_arguments));
    // Of short flags in one word, the first that takes a value takes the rest.
    let short = |c: char| flags().find(|one| one.get_short() == Some(c) && one.get_action().takes_values());
    let known = |spelling: &str| match spelling.strip_prefix("--") {
        Some(long) => flags().find(|flag| flag.get_long() == Some(long)),
        None => spelling.strip_prefix('-')?.chars().find_map(short),
    };
    let pairs = arguments.iter().zip(arguments.iter().skip(1));
    let wrong = pairs.filter(|(_, argument)| argument.to_str().is_none());
    let flags =
        wrong.filter_map(|(before, argument)| known(&start_of(argument)).or_else(|| known(before.to_str()?)));
    flags.filter(|flag| !is_path(flag)).find_map(|flag| Some(format!("--{}", flag.get_long()?)))
}

/// What stands before the value in an argument such as `--flag=value` or `-fvalue`.
fn start_of(argument: &OsStr) -> String {
    let text = argument.to_string_lossy();
    text.split(['=', char::REPLACEMENT_CHARACTER]).next().unwrap_or_default().to_owned()
}

fn is_path(flag: &clap::Arg) -> bool {
    flag.get_value_parser().type_id() == TypeId::of::<PathBuf>()
}
