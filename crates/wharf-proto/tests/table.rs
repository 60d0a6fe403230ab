//! What holds for every row of the command table.

#![allow(clippy::unwrap_used)] // what fails here fails the test

mod support;

use std::collections::BTreeSet;

use support::Stage;
use support::settings::Settings;
use wharf_proto::{Argument, CommandTable, Letters, Permissions, Row, Session, Verb};

/// What FEAT announces that no command stands for.
const FEATURES_OF_NO_COMMAND: [&str; 2] = ["TVFS", "UTF8"];

fn rows() -> Vec<Row> {
    CommandTable::standard().with_tls().rows().cloned().collect()
}

/// An argument that the command would take.
fn argument(row: &Row) -> &'static str {
    match (row.verb, row.argument) {
        (_, Argument::None) => "",
        (Verb::Site, _) => " help",
        (Verb::Mfmt, _) => " 20200101000000 a",
        (Verb::SiteChmod, _) => " 644 a",
        (Verb::Port, _) => " 127,0,0,1,200,13",
        (Verb::Eprt, _) => " |1|127.0.0.1|5000|",
        (Verb::Type, _) => " I",
        (Verb::Rest, _) => " 5",
        (Verb::Epsv, _) => " 1",
        _ => " a",
    }
}

/// What a session says to one line.
fn answer(settings: &Settings, line: &str) -> String {
    let mut stage = Stage::new(settings);
    if settings.logged_in {
        stage.act("<", "TYPE I").unwrap();
    }
    stage.take_outputs();
    stage.act("<", line).unwrap();
    stage.take_outputs()
}

fn with_letters(letters: &str) -> Settings {
    let mut settings = Settings::for_all_commands();
    settings.permit(Permissions::new(letters.parse().unwrap()));
    settings
}

#[test]
fn without_its_right_a_command_asks_for_nothing() {
    for row in rows() {
        let Some(letter) = row.letter else { continue };
        let others = Letters::ALL.to_string().replace(letter.as_char(), "");
        let line = format!("{}{}", row.name, argument(&row));
        assert_eq!(answer(&with_letters(&others), &line), "> 550 Not enough privileges.\n", "{line}");
        let answer = answer(&with_letters(&letter.as_char().to_string()), &line);
        let carried_out = answer.starts_with("? ") || answer.starts_with("> 503 ");
        assert!(carried_out, "{line} with its right alone: {answer}");
    }
}

#[test]
fn a_directory_without_the_right_is_as_closed_as_a_home_without_it() {
    for row in rows().into_iter().filter(|row| row.verb != Verb::Cdup) {
        let Some(letter) = row.letter else { continue };
        let mut settings = with_letters(&Letters::ALL.to_string());
        let others = Letters::ALL.to_string().replace(letter.as_char(), "");
        settings.set(&format!("override /a {others} recursive")).unwrap();
        let argument = if row.argument == Argument::None {
            String::new()
        } else {
            argument(&row).replace(" a", " /a/b")
        };
        let line = format!("{}{argument}", row.name);
        assert_eq!(answer(&settings, &line), "> 550 Not enough privileges.\n", "{line}");
    }
}

#[test]
fn arguments_come_before_the_login_and_the_login_before_everything_else() {
    let mut settings = Settings::for_all_commands();
    settings.set("guest").unwrap();
    for row in rows() {
        let name = &row.name;
        match row.argument {
            Argument::Required => {
                let expected = "> 501 Syntax error: command needs an argument.\n";
                assert_eq!(answer(&settings, name), expected, "{name}");
                assert_eq!(answer(&settings, &format!("{name} ")), expected, "{name}");
            }
            Argument::None => {
                let expected = "> 501 Syntax error: command does not accept arguments.\n";
                assert_eq!(answer(&settings, &format!("{name} x")), expected, "{name}");
            }
            Argument::Optional => {}
        }
        for argument in [argument(&row), " \x01 nonsense"] {
            let forbidden = row.argument == Argument::None && !argument.is_empty();
            let given = argument.strip_prefix(' ').map(str::as_bytes);
            if !forbidden {
                let line = format!("{name}{argument}");
                let refused = answer(&settings, &line) == "> 530 Log in with USER and PASS first.\n";
                assert_eq!(refused, row.needs_login(given), "{line}");
            }
        }
    }
}

#[test]
fn every_line_of_feat_stands_for_a_row() {
    let said = answer(&Settings::for_all_commands(), "FEAT");
    let lines = said.lines().filter_map(|line| line.strip_prefix(">  "));
    let announced: BTreeSet<&str> =
        lines.map(|line| if line.starts_with("MLST ") { "MLST" } else { line }).collect();
    let rows = rows();
    let of_rows = rows.iter().flat_map(|row| row.features).copied();
    assert_eq!(announced, of_rows.chain(FEATURES_OF_NO_COMMAND).collect());
    for name in rows.iter().flat_map(|row| row.features) {
        let verb = name.split(' ').next().unwrap();
        assert!(rows.iter().any(|row| row.name == verb && row.verb != Verb::Unimplemented), "{name}");
    }
}

#[test]
fn help_lists_and_explains_what_is_implemented() {
    let settings = Settings::for_all_commands();
    let names = |command: &str| -> BTreeSet<String> {
        let said = answer(&settings, command);
        said.lines()
            .filter_map(|line| line.strip_prefix(">  "))
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect()
    };
    let (listed, listed_for_site) = (names("HELP"), names("SITE HELP"));
    for row in rows() {
        let name = &*row.name;
        let implemented = row.verb != Verb::Unimplemented;
        match name.strip_prefix("SITE ") {
            Some(word) => assert!(listed_for_site.contains(word), "{name}"),
            None => assert_eq!(listed.contains(name), implemented, "{name}"),
        }
        let expected =
            if implemented { format!("> 214 Syntax: {name}") } else { "> 501 Unrecognized".to_owned() };
        let short = name.strip_prefix("SITE ").unwrap_or(name);
        // SITE HELP knows its own commands by their last word, and those first.
        let site = if name == "HELP" { None } else { Some(format!("SITE HELP {short}")) };
        for line in [Some(format!("HELP {name}")), site].into_iter().flatten() {
            let said = answer(&settings, &line.to_lowercase());
            assert!(said.starts_with(&expected), "{line}: {said}");
        }
    }
}

#[test]
fn what_is_known_is_never_called_unknown() {
    let settings = Settings::for_all_commands();
    for row in rows() {
        let line = format!("{}{}", row.name.to_lowercase(), argument(&row));
        let said = answer(&settings, &line);
        assert!(!said.is_empty() && !said.starts_with("> 500"), "{line}: {said}");
        assert_eq!(
            said == "> 502 Command not implemented.\n",
            row.verb == Verb::Unimplemented,
            "{line}: {said}"
        );
    }
}

#[test]
fn an_idle_session_is_small() {
    let size = size_of::<Session>();
    println!("a session takes {size} bytes");
    assert!(size <= 640, "{size} bytes");
}
