//! How a verb fails: one sentence for the user and the exit code for programs.

use std::fmt;

use crate::store::directory::LockError;

/// Exit codes, stable for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Anything without a code of its own.
    Other = 1,
    /// The command line.
    Usage = 2,
    /// A configuration file or chain spec.
    Config = 3,
    /// Another process uses the data directory.
    DirectoryInUse = 4,
    /// Another process listens on the port.
    PortInUse = 5,
    /// The store cannot be read, or not be written to.
    Damaged = 6,
    /// The data directory belongs to another network.
    WrongNetwork = 7,
    /// No node answers.
    Unreachable = 9,
}

/// A verb's failure.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// A failure with one of our exit codes.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self::with_code(exit as u8, message)
    }

    /// A failure with a code that another crate chose.
    pub fn with_code(code: u8, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }

    /// The process's exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Other, error)
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let exit = match error {
            LockError::InUse(_) => Exit::DirectoryInUse,
            LockError::Io(..) => Exit::Config,
        };
        Self::new(exit, error)
    }
}
