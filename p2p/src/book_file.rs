//! The book and the bans on disk: lines of text, read with suspicion and written whole.
//!
//! A first line with the version, then one line an entry. A file that cannot be read as such is
//! put aside, and a new one begun: addresses can be found again. It is written beside its place
//! and renamed, so that a crash leaves the old one or the new one. Called by the start and the
//! swarm's task.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

use libp2p::Multiaddr;

use crate::{
    bans::Ban,
    book::{Known, Source},
    limits::{BANS_MAX, BOOK_FILE_BYTES_MAX, BOOK_MAX},
};

/// The first line of a file in this format.
const VERSION: &str = "lignum peers 1";

/// What the file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Saved {
    pub entries: Vec<Known>,
    pub bans: Vec<Ban>,
}

/// Reads the file; nothing if there is none. A damaged one is renamed to `NAME.damaged` and gives
/// the text of a warning, as does one that cannot be read.
pub(crate) fn load(path: &Path) -> (Saved, Option<String>) {
    let place = path.display();
    let text = match read(path) {
        Ok(Some(text)) => text,
        Ok(None) => return (Saved::default(), None),
        Err(error) => {
            let warning = format!("cannot read the known peers in {place}: {error}");
            return (Saved::default(), Some(warning));
        }
    };
    match text.and_then(|text| parse(&text)) {
        Ok(saved) => (saved, None),
        Err(error) => {
            let aside = beside(path, "damaged");
            let warning = match fs::rename(path, &aside) {
                Ok(()) => format!(
                    "the known peers in {place} are damaged, {error}: begun anew, the old file is {}",
                    aside.display()
                ),
                Err(why) => format!("the known peers in {place} are damaged, {error}: {why}"),
            };
            (Saved::default(), Some(warning))
        }
    }
}

/// Writes a text in place of the file's.
pub(crate) fn store(path: &Path, text: &str) -> io::Result<()> {
    let beside = beside(path, "new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// The file's text.
pub(crate) fn text(entries: &[Known], bans: &[Ban]) -> String {
    let mut text = format!("{VERSION}\n");
    for entry in entries {
        let source = match entry.source {
            Source::Own => "own".to_string(),
            Source::Group(group) => group.to_string(),
        };
        let tried = if entry.tried { "tried" } else { "new" };
        text.push_str(&format!(
            "peer {} {} {source} {tried} {} {} {}\n",
            entry.id, entry.address, entry.success, entry.attempt, entry.failures
        ));
    }
    for ban in bans {
        let ip = ban.ip.map_or("-".to_string(), |ip| ip.to_string());
        text.push_str(&format!(
            "ban {} {ip} {} {}\n",
            ban.id, ban.until, ban.times
        ));
    }
    text
}

/// The text of the file if it is one and of a reasonable length; no file is no error.
fn read(path: &Path) -> io::Result<Option<Result<String, String>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    // One byte more than wanted tells a longer file without reading it.
    file.take(BOOK_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|got| got > BOOK_FILE_BYTES_MAX) {
        return Ok(Some(Err(format!(
            "longer than {BOOK_FILE_BYTES_MAX} bytes"
        ))));
    }
    Ok(Some(
        String::from_utf8(bytes).map_err(|error| error.to_string()),
    ))
}

fn parse(text: &str) -> Result<Saved, String> {
    let mut lines = text.lines();
    let version = lines.next().unwrap_or_default();
    if version != VERSION {
        let got: String = version.chars().take(40).collect();
        return Err(format!(
            "wanted the line {VERSION:?} at its top, got {got:?}"
        ));
    }
    if !text.ends_with('\n') {
        return Err("its last line is cut short".to_string());
    }
    let mut saved = Saved::default();
    for (index, line) in lines.enumerate() {
        parse_line(line, &mut saved).ok_or_else(|| format!("line {} is unreadable", index + 2))?;
    }
    let (entries, bans) = (saved.entries.len(), saved.bans.len());
    if entries > BOOK_MAX || bans > BANS_MAX {
        return Err(format!(
            "wanted at most {BOOK_MAX} peers and {BANS_MAX} bans, got {entries} and {bans}"
        ));
    }
    Ok(saved)
}

fn parse_line(line: &str, saved: &mut Saved) -> Option<()> {
    let fields: Vec<&str> = line.split(' ').collect();
    match fields.as_slice() {
        [
            "peer",
            id,
            address,
            source,
            tried,
            success,
            attempt,
            failures,
        ] => {
            saved.entries.push(Known {
                id: field(id)?,
                address: field::<Multiaddr>(address)?,
                source: match *source {
                    "own" => Source::Own,
                    group => Source::Group(field(group)?),
                },
                tried: match *tried {
                    "tried" => true,
                    "new" => false,
                    _ => return None,
                },
                success: field(success)?,
                attempt: field(attempt)?,
                failures: field(failures)?,
            });
        }
        ["ban", id, ip, until, times] => saved.bans.push(Ban {
            id: field(id)?,
            ip: match *ip {
                "-" => None,
                ip => Some(field(ip)?),
            },
            until: field(until)?,
            times: field(times)?,
        }),
        _ => return None,
    }
    Some(())
}

fn field<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".");
    name.push(extension);
    name.into()
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;
    use crate::reach::Group;

    fn saved() -> Saved {
        let known = |address: &str, source, tried| Known {
            address: address.parse().unwrap(),
            id: PeerId::random(),
            source,
            tried,
            success: 1_700_000_000,
            attempt: 1_700_000_001,
            failures: 3,
        };
        let ban = |ip: Option<&str>| Ban {
            id: PeerId::random(),
            ip: ip.map(|ip| ip.parse().unwrap()),
            until: 1_700_000_600,
            times: 2,
        };
        Saved {
            entries: vec![
                known("/ip4/9.1.1.1/tcp/7", Source::Own, true),
                known(
                    "/ip6/2001:db8::1/udp/7/quic-v1",
                    Source::Group(Group::V4([8, 8])),
                    false,
                ),
                known(
                    "/dns/a.example/tcp/7",
                    Source::Group(Group::V6([0x20, 1, 0xd, 0xb8])),
                    true,
                ),
            ],
            bans: vec![ban(None), ban(Some("2001:db8::2"))],
        }
    }

    fn written(saved: &Saved) -> String {
        text(&saved.entries, &saved.bans)
    }

    /// What loading these bytes gives, and whether they were put aside.
    fn loaded(bytes: &[u8]) -> (Saved, Option<String>, bool) {
        let directory = std::env::temp_dir().join(format!("lignum-{}", PeerId::random()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("peers");
        fs::write(&path, bytes).unwrap();
        let (saved, warning) = load(&path);
        let aside = fs::read(directory.join("peers.damaged"));
        let is_aside = aside.is_ok_and(|aside| aside == bytes) && !path.exists();
        fs::remove_dir_all(&directory).unwrap();
        (saved, warning, is_aside)
    }

    #[test]
    fn what_is_written_comes_back() {
        let saved = saved();
        assert_eq!(parse(&written(&saved)), Ok(saved));
        let empty = Saved::default();
        assert_eq!(parse(&written(&empty)), Ok(empty));
    }

    #[test]
    fn the_largest_book_fits_its_file() {
        let one = saved();
        let entries = one.entries.iter().cycle().take(BOOK_MAX).cloned().collect();
        let bans = one.bans.iter().cycle().take(BANS_MAX).copied().collect();
        let text = written(&Saved { entries, bans });
        // The longest address has twice the length of these.
        assert!(u64::try_from(text.len() * 2).unwrap() < BOOK_FILE_BYTES_MAX);
        assert!(parse(&text).is_ok());
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let directory = std::env::temp_dir().join(format!("lignum-{}", PeerId::random()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("peers");
        assert_eq!(load(&path), (Saved::default(), None), "none is no fault");
        let saved = saved();
        for text in [written(&Saved::default()), written(&saved)] {
            store(&path, &text).unwrap();
        }
        assert_eq!(load(&path), (saved, None));
        let names = fs::read_dir(&directory).unwrap().count();
        assert_eq!(names, 1, "nothing is left beside it");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_damaged_file_is_put_aside() {
        let whole = written(&saved());
        let mut cases = vec![
            Vec::new(),
            b"lignum peers 2\n".to_vec(),
            vec![0xff; 100],
            vec![b'x'; usize::try_from(BOOK_FILE_BYTES_MAX + 1).unwrap()],
            format!("{VERSION}\npeer\n").into_bytes(),
            format!("{whole}\n").into_bytes(),
            whole.replace("tried", "tired").into_bytes(),
            whole.replace(" own ", " 8.8.8 ").into_bytes(),
        ];
        let line = whole.lines().nth(1).unwrap();
        let many = format!("{VERSION}\n{}", format!("{line}\n").repeat(BOOK_MAX + 1));
        cases.push(many.into_bytes());
        // Cut anywhere, it is whole lines or damaged.
        cases.extend((1..60).map(|n| whole.as_bytes()[..whole.len() - n].to_vec()));
        for case in cases {
            let shown = String::from_utf8_lossy(&case[..case.len().min(80)]).into_owned();
            let is_whole = case.ends_with(b"\n") && whole.as_bytes().starts_with(&case);
            let (saved, warning, is_aside) = loaded(&case);
            if is_whole && case.len() > VERSION.len() {
                assert_eq!((warning, is_aside), (None, false), "{shown}");
            } else {
                assert_eq!(saved, Saved::default(), "{shown}");
                assert!(is_aside && warning.unwrap().contains("damaged"), "{shown}");
            }
        }
    }
}
