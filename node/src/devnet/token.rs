//! The operator's token: made at each start, read by whoever may read the data directory.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use api::operator::Token;

use crate::random;

fn path(directory: &Path) -> PathBuf {
    directory.join("operator.token")
}

/// Makes a token and writes it for the directory's owner alone.
pub fn create(directory: &Path) -> io::Result<Token> {
    let token = Token::new(random::bytes()?);
    // An old file would keep its mode.
    remove(directory);
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path(directory))?;
    file.write_all(token.text().as_bytes())?;
    Ok(token)
}

/// Reads the token of a running node.
pub fn read(directory: &Path) -> io::Result<String> {
    Ok(fs::read_to_string(path(directory))?.trim().to_owned())
}

/// Removes it; it does not matter if there is none.
pub fn remove(directory: &Path) {
    let _ = fs::remove_file(path(directory));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Threat A4.
    #[test]
    fn a_token_is_new_at_each_start_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(path(directory.path()), "old").unwrap();
        let first = create(directory.path()).unwrap();
        let mode = fs::metadata(path(directory.path()))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(first.is(&read(directory.path()).unwrap()));
        assert_eq!(first.text().len(), 64);
        let second = create(directory.path()).unwrap();
        assert!(!second.is(first.text()));
        remove(directory.path());
        assert!(read(directory.path()).is_err());
    }
}
