//! How each client is told what to do.

mod basic_ftp;
mod curl;
mod ftplib;
mod lftp;
mod ncftp;
mod rclone;
mod tnftp;
mod wget;

use crate::job::Tool;

/// Every client of the matrix.
pub(crate) const ALL: &[&dyn Tool] = &[
    &basic_ftp::BasicFtp,
    &curl::Curl,
    &ftplib::Ftplib,
    &lftp::Lftp,
    &ncftp::Ncftp,
    &rclone::Rclone,
    &tnftp::Tnftp,
    &wget::Wget,
];
