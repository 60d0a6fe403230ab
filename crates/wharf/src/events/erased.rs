//! The object-safe twin of [`EventHandler`], boxed once by the builder.

use super::{CommandRecord, EventHandler, RunningTransfer, SessionInfo, Transfer};
use crate::BoxFuture;

/// Declares [`DynEventHandler`] and implements it: each callback, with what it is told beside the session.
macro_rules! twin {
    ($($callback:ident($($told:ident: $kind:ty)?);)*) => {
        /// [`EventHandler`] as the server keeps it.
        pub(crate) trait DynEventHandler: Send + Sync {
            $(fn $callback<'a>(&'a self, session: &'a SessionInfo $(, $told: &'a $kind)?) -> BoxFuture<'a, ()>;)*
        }

        impl<H: EventHandler> DynEventHandler for H {
            $(fn $callback<'a>(&'a self, session: &'a SessionInfo $(, $told: &'a $kind)?) -> BoxFuture<'a, ()> {
                Box::pin(EventHandler::$callback(self, session $(, $told)?))
            })*
        }
    };
}

twin! {
    on_connect();
    on_disconnect();
    on_login();
    on_login_failed(user: str);
    on_logout();
    on_command(command: CommandRecord);
    on_transfer_begun(file: RunningTransfer);
    on_file_sent(file: Transfer);
    on_file_received(file: Transfer);
    on_incomplete_file_sent(file: Transfer);
    on_incomplete_file_received(file: Transfer);
}
