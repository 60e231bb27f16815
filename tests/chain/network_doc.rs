//! docs/network.md says what the code does: its tables of limits and faults are held against it.

use chain::{Fault, params};

const TEXT: &str = include_str!("../../docs/network.md");

/// The cells of the table row whose first cell begins with `name` in code marks.
fn row(name: &str) -> Vec<String> {
    let start = format!("| `{name}`");
    let mut rows = TEXT.lines().filter(|line| line.starts_with(&start));
    let row = rows
        .next()
        .unwrap_or_else(|| panic!("docs/network.md has no row for {name}"));
    assert_eq!(rows.next(), None, "two rows for {name}");
    row.trim_matches('|')
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect()
}

fn number(cell: &str) -> u64 {
    cell.replace(',', "").parse().unwrap()
}

macro_rules! limits {
    ($($name:ident),* $(,)?) => {
        [$((stringify!($name), u64::try_from(params::$name).unwrap())),*]
    };
}

#[test]
fn limits_are_as_documented() {
    let limits = limits![
        PEERS_MAX,
        REQUEST_BYTES_MAX,
        RESPONSE_BYTES_MAX,
        GOSSIP_BYTES_MAX,
        LOCATOR_MAX,
        HEADERS_MAX,
        BLOCKS_MAX,
        BLOCKS_BYTES_MAX,
        TRANSACTIONS_MAX,
        PEER_ADDRESSES_MAX,
        PEER_ADDRESS_BYTES_MAX,
        REQUEST_BUDGET,
        REQUEST_BUDGET_SECS,
        SERVED_BYTES,
        SERVED_BURST_BYTES,
        REQUESTS_PER_PEER,
        DOWNLOAD_WINDOW,
        PATIENCE_MIN_MS,
        PATIENCE_MAX_MS,
        PRESYNC_INTERVAL,
        PRESYNC_HEADERS_MAX,
        UNSOLICITED_DEPTH,
        ORPHANS_PER_PEER,
        ORPHANS_MAX,
        ORPHAN_BYTES_MAX,
        ORPHAN_WORK_DIVISOR,
        EARLY_MAX,
        READY_BYTES_MAX,
        SIDE_BYTES_PER_PEER,
        SIDE_BYTES_MAX,
        UNANNOUNCED_MAX,
    ];
    for (name, value) in limits {
        assert_eq!(number(&row(name)[1]), value, "{name}");
    }
}

/// Every fault, so that a new one does not compile before it is here and in the table.
fn all_faults() -> Vec<Fault> {
    let next = |fault: Fault| match fault {
        Fault::InvalidWork => Some(Fault::Mismatch),
        Fault::Mismatch => Some(Fault::InvalidBlock),
        Fault::InvalidBlock => Some(Fault::InvalidTransaction),
        Fault::InvalidTransaction => Some(Fault::Malformed),
        Fault::Malformed => Some(Fault::WrongNetwork),
        Fault::WrongNetwork => Some(Fault::Unsolicited),
        Fault::Unsolicited => Some(Fault::Contradiction),
        Fault::Contradiction => Some(Fault::NoProgress),
        Fault::NoProgress => Some(Fault::Timeout),
        Fault::Timeout => Some(Fault::TooManyRequests),
        Fault::TooManyRequests => Some(Fault::Full),
        Fault::Full => None,
    };
    std::iter::successors(Some(Fault::InvalidWork), |fault| next(*fault)).collect()
}

/// Threat P7.
#[test]
fn faults_cost_what_is_documented() {
    for fault in all_faults() {
        let cells = row(&format!("{fault:?}"));
        assert_eq!(cells[0], format!("`{fault:?}`: {fault}"));
        assert_eq!(number(&cells[1]), u64::from(fault.points()), "{fault:?}");
    }
}
