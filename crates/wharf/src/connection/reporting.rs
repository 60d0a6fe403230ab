//! What callbacks and logs are told of a connection.

use std::sync::Arc;

use wharf_proto::{Direction, Escaped, Event, Reply};

use super::Connection;
use crate::events::{CommandRecord, Name, SessionInfo, Transfer};

/// Says that a limit has closed the session or its data connection (RFC 959 §4.2.1).
const CLOSING: u16 = 421;

impl Connection {
    pub(super) async fn report_connect(&mut self) {
        self.shared.log.connected(&self.info);
        self.shared.events.on_connect(&self.info).await;
    }

    pub(super) async fn report_disconnect(&mut self) {
        self.shared.log.disconnected(&self.info);
        self.shared.events.on_disconnect(&self.info).await;
    }

    /// Tells the log of a limit that was reached. Other replies are told with their command.
    pub(super) fn report_reply(&self, reply: &Reply) {
        if reply.code().number() == CLOSING {
            self.shared.log.closing(&self.info, reply);
        }
    }

    /// Tells callbacks and logs of what the session says has happened.
    pub(super) async fn report(&mut self, event: Event) {
        let Self { shared, info, .. } = self;
        match event {
            Event::LoggedIn => {
                shared.log.logged_in(info);
                shared.events.on_login(info).await;
            }
            Event::LoginFailed { user } => {
                let user = Escaped(&user).to_string();
                shared.log.login_failed(info, &user);
                shared.events.on_login_failed(info, &user).await;
            }
            Event::LoggedOut => {
                shared.log.logged_out(info);
                shared.events.on_logout(info).await;
                Arc::make_mut(&mut self.info).user = None;
                self.login = None;
            }
            Event::ClientNeverCame => {
                let passive = &shared.settings.passive;
                shared.log.client_never_came(info, self.advertised, !passive.ports.is_empty());
            }
            Event::ClientNamed(name) => {
                Arc::make_mut(info).client = Some(Name(&name).to_string().into());
            }
            Event::WrongProtocol(protocol) => shared.log.wrong_protocol(info, protocol),
            Event::Command { verb, path, reply, notable } => {
                let (code, text) = (reply.code(), reply.text().to_string().into());
                let record = CommandRecord { verb: verb.into(), path, code, text, notable };
                shared.log.command(info, &record);
                shared.events.on_command(info, &record).await;
            }
        }
    }

    /// Tells callbacks of a file that begins to be sent or received. Those who do not want to hear of it cost nothing:
    /// an empty future is boxed without a box.
    pub(super) async fn report_begun(&mut self) {
        let Some((info, file)) = self.transfer.as_ref().map(|running| running.told()) else { return };
        if file.direction != Direction::List {
            self.shared.events.on_transfer_begun(info, file).await;
        }
    }

    /// Tells them of a file that was sent or received, wholly or in part.
    pub(super) async fn report_transfer(&mut self, info: &SessionInfo, file: &Transfer) {
        use Direction::{List, Receive, Send};
        if file.direction == List {
            return;
        }
        self.shared.log.transfer(info, file);
        if let Some(xferlog) = &self.shared.xferlog {
            xferlog.record(info, file);
        }
        let events = &self.shared.events;
        match (file.direction, file.completed) {
            (Send, true) => events.on_file_sent(info, file).await,
            (Send, false) => events.on_incomplete_file_sent(info, file).await,
            (Receive, true) => events.on_file_received(info, file).await,
            (Receive, false) => events.on_incomplete_file_received(info, file).await,
            (List, _) => {}
        }
    }
}
