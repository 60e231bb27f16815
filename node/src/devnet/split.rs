//! A devnet split into groups that refuse each other, kept in its directory while it lasts.
//!
//! The verb writes it and tells every node; the supervisor tells a node again that comes back, so
//! that a restart does not heal the network.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{client, place::Member};
use crate::{
    failure::{Exit, Failure},
    store::directory::write_whole,
};

/// Time for a node to take the order.
const TELL_TIME_OUT: Duration = Duration::from_secs(5);

/// Who is in which group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    groups: Vec<Vec<Node>>,
}

/// A node by its number and its peer id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Node {
    number: u32,
    id: String,
}

/// Sizes of groups, as in `2/2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes(Vec<usize>);

impl std::str::FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Result<Vec<usize>, _> = text.split('/').map(str::parse).collect();
        match sizes {
            Ok(sizes) if sizes.len() > 1 && !sizes.contains(&0) => Ok(Self(sizes)),
            _ => Err(format!(
                "wanted the sizes of two groups or more, such as 2/2 or 1/1/2, got {text:?}"
            )),
        }
    }
}

fn path(devnet: &Path) -> PathBuf {
    devnet.join("split.json")
}

impl Split {
    /// The nodes in their order, group by group.
    ///
    /// # Errors
    /// If the sizes are not those of all nodes together.
    pub fn new(sizes: &Sizes, members: &[Member]) -> Result<Self, Failure> {
        let (sum, count) = (
            sizes.0.iter().copied().fold(0, usize::saturating_add),
            members.len(),
        );
        if sum != count {
            let running = if count == 1 {
                "1 node is running".to_owned()
            } else {
                format!("{count} nodes are running")
            };
            return Err(Failure::new(
                Exit::Usage,
                format!("the groups have {sum} nodes together, but {running}: name all of them"),
            ));
        }
        let mut rest = members;
        let mut groups = Vec::new();
        for size in &sizes.0 {
            let (group, others) = rest.split_at(*size);
            groups.push(group.iter().map(Node::new).collect::<Result<_, _>>()?);
            rest = others;
        }
        Ok(Self { groups })
    }

    /// The split that a devnet has; `None` if it is whole.
    pub fn read(devnet: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(path(devnet)).ok()?).ok()
    }

    /// Keeps it, for the supervisor.
    pub fn write(&self, devnet: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        write_whole(&path(devnet), text.as_bytes())
    }

    /// Forgets it; it does not matter if there is none.
    pub fn remove(devnet: &Path) {
        let _ = fs::remove_file(path(devnet));
    }

    /// The numbers of the nodes, group by group.
    pub fn groups(&self) -> Vec<Vec<u32>> {
        let numbers = |group: &Vec<Node>| group.iter().map(|node| node.number).collect();
        self.groups.iter().map(numbers).collect()
    }

    /// Peer ids that a node is to refuse: those of the other groups.
    pub fn refused_by(&self, number: u32) -> Vec<String> {
        let has = |group: &&Vec<Node>| group.iter().any(|node| node.number == number);
        let others = self.groups.iter().filter(|group| !has(group));
        others.flatten().map(|node| node.id.clone()).collect()
    }

    /// Tells a node whom to refuse: nobody, where the devnet is whole.
    pub fn tell(&self, member: &Member) -> Result<(), Failure> {
        let blocked = self.refused_by(member.number);
        let (url, token) = (&member.endpoints.http, member.token()?);
        let body = json!({ "blocked": blocked });
        client::post(url, "/v1/dev/partition", &token, &body, TELL_TIME_OUT)?;
        Ok(())
    }
}

/// Numbers of nodes in their order, runs of three and more as `1-3`.
pub fn list(numbers: &[u32]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let texts = runs.flat_map(|run| match run {
        [first, _, .., last] => vec![format!("{first}-{last}")],
        short => short.iter().map(u32::to_string).collect(),
    });
    texts.collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Split {
    /// `nodes 1 2 | nodes 3 4`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, group) in self.groups().iter().enumerate() {
            f.write_str(if index > 0 { " | " } else { "" })?;
            f.write_str(if group.len() == 1 { "node" } else { "nodes" })?;
            write!(f, " {}", list(group))?;
        }
        Ok(())
    }
}

impl Node {
    fn new(member: &Member) -> Result<Self, Failure> {
        let number = member.number;
        let missing = || {
            Failure::new(
                Exit::Other,
                format!("node {number} has no peer id in its endpoints.json: start it again"),
            )
        };
        let id = member.endpoints.peer_id().ok_or_else(missing)?.to_owned();
        Ok(Self { number, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devnet::endpoints::Endpoints;

    fn members(count: u32) -> Vec<Member> {
        let member = |number| Member {
            number,
            directory: PathBuf::new(),
            endpoints: Endpoints {
                http: String::new(),
                p2p: vec![format!("/ip4/127.0.0.1/tcp/1/p2p/id{number}")],
                stratum: None,
                pid: 0,
            },
        };
        (1..=count).map(member).collect()
    }

    fn split(sizes: &str, count: u32) -> Result<Split, Failure> {
        Split::new(&sizes.parse().unwrap(), &members(count))
    }

    #[test]
    fn nodes_of_a_group_refuse_all_others() {
        let split = split("1/1/2", 4).unwrap();
        assert_eq!(split.groups(), [vec![1], vec![2], vec![3, 4]]);
        assert_eq!(split.to_string(), "node 1 | node 2 | nodes 3 4");
        assert_eq!(split.refused_by(1), ["id2", "id3", "id4"]);
        assert_eq!(split.refused_by(4), ["id1", "id2"]);
        assert_eq!(Split::default().refused_by(4), Vec::<String>::new());
    }

    #[test]
    fn long_runs_of_numbers_are_short() {
        assert_eq!(list(&[1, 2]), "1 2");
        assert_eq!(list(&[1, 2, 3, 5, 7, 8]), "1-3 5 7 8");
        let split = split("4/28/32", 64).unwrap();
        assert_eq!(split.to_string(), "nodes 1-4 | nodes 5-32 | nodes 33-64");
    }

    #[test]
    fn sizes_must_be_those_of_all_nodes() {
        let error = split("2/3", 4).unwrap_err().to_string();
        assert!(
            error.contains("5 nodes together, but 4 nodes are running"),
            "{error}"
        );
        let most = format!("{0}/{0}", usize::MAX);
        assert!(split(&most, 1).is_err());
        for sizes in ["", "4", "2/0", "2/-2", "2,2", "a/b", "2/2/"] {
            assert!(sizes.parse::<Sizes>().is_err(), "{sizes}");
        }
    }

    #[test]
    fn a_split_is_kept_until_it_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Split::read(directory.path()), None);
        let split = split("2/2", 4).unwrap();
        split.write(directory.path()).unwrap();
        assert_eq!(Split::read(directory.path()), Some(split));
        Split::remove(directory.path());
        assert_eq!(Split::read(directory.path()), None);
    }
}
