//! Where a devnet and its nodes are on the disk, and which of them run.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{endpoints::Endpoints, token};
use crate::failure::{Exit, Failure};

/// Characters of a devnet's name.
const NAME_CHARS_MAX: usize = 32;

/// A node that runs, or did when it wrote its endpoints.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its number in the devnet, from 1; 0 for a node on its own.
    pub number: u32,
    /// Its data directory.
    pub directory: PathBuf,
    /// Where it listens.
    pub endpoints: Endpoints,
}

impl Member {
    /// The node of a data directory; `None` if none runs there.
    pub fn read(number: u32, directory: PathBuf) -> Option<Self> {
        let endpoints = Endpoints::read(&directory)?;
        Some(Self {
            number,
            directory,
            endpoints,
        })
    }

    /// What shows that we may give it orders.
    pub fn token(&self) -> Result<String, Failure> {
        token::read(&self.directory).map_err(|error| {
            let place = self.directory.display();
            let what = "start the node again, or name its data directory with --datadir";
            Failure::new(
                Exit::Other,
                format!("cannot read operator.token in {place}: {error}; {what}"),
            )
        })
    }
}

/// The directory's name of a devnet.
pub fn directory_name(name: Option<&str>) -> Result<String, Failure> {
    let Some(name) = name else {
        return Ok("devnet".to_owned());
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_plain) {
        let wanted = format!("1 to {NAME_CHARS_MAX} letters, digits, - or _");
        return Err(Failure::new(
            Exit::Usage,
            format!("--name: wanted {wanted}, got {name:?}"),
        ));
    }
    Ok(format!("devnet-{name}"))
}

/// The directory of node `number`.
pub fn node_directory(devnet: &Path, number: u32) -> PathBuf {
    devnet.join(format!("node-{number}"))
}

/// Directories of nodes, in the order of their numbers.
pub fn node_directories(devnet: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(devnet)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_string_lossy();
        let number = number.strip_prefix("node-").map(str::parse::<u32>);
        if let Some(Ok(number)) = number
            && entry.file_type()?.is_dir()
        {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// The file in which a node's next run is recorded: none is overwritten.
pub fn new_recording(directory: &Path) -> PathBuf {
    let path = |number: u32| directory.join(format!("run-{number}.record"));
    let mut paths = (1..u32::MAX).map(path);
    let free = paths.find(|path| !path.exists());
    free.unwrap_or_else(|| path(u32::MAX))
}

/// The nodes of a devnet that run.
pub fn members(devnet: &Path) -> Result<Vec<Member>, Failure> {
    let directories = node_directories(devnet).unwrap_or_default();
    let members: Vec<_> = directories
        .into_iter()
        .filter_map(|(number, directory)| Member::read(number, directory))
        .collect();
    if members.is_empty() {
        return Err(Failure::new(
            Exit::Unreachable,
            format!(
                "no devnet runs in {}: start one with `lignum devnet`, or say which with --name or \
                 --datadir",
                devnet.display()
            ),
        ));
    }
    Ok(members)
}

/// Forgets where nodes of an earlier run were that could not do it themselves.
pub fn forget_endpoints(devnet: &Path) -> io::Result<()> {
    for (_, directory) in node_directories(devnet)? {
        Endpoints::remove(&directory);
        token::remove(&directory);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        assert_eq!(directory_name(None).unwrap(), "devnet");
        assert_eq!(directory_name(Some("a-1_B")).unwrap(), "devnet-a-1_B");
        for name in ["", "a/b", "..", "a b", &"a".repeat(33)] {
            let error = directory_name(Some(name)).unwrap_err().to_string();
            assert!(error.contains("wanted 1 to 32 letters"), "{error}");
        }
    }

    #[test]
    fn nodes_come_in_the_order_of_their_numbers() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["node-10", "node-2", "node-x", "other"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        fs::write(directory.path().join("node-3"), "").unwrap();
        let found = node_directories(directory.path()).unwrap();
        let numbers: Vec<u32> = found.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [2, 10]);
        let error = members(directory.path()).unwrap_err().to_string();
        assert!(error.contains("no devnet runs in"), "{error}");
    }
}
