//! Which network: a built-in name or a chain spec file, read and checked.

use std::{
    fs::File,
    io::Read,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chain::{Bits, ChainSpec, Target, U256, params::SPEC_BYTES_MAX};

use crate::failure::{Exit, Failure};

/// A chain spec with its text, which is pinned in the data directory.
#[derive(Clone)]
pub struct Network {
    /// Its name: that of a built-in network, or the file's.
    pub name: String,
    /// The JSON text.
    pub text: String,
    /// The checked spec.
    pub spec: ChainSpec,
    /// What was ignored in the text.
    pub warnings: Vec<String>,
}

/// How a new devnet's first difficulty is found.
#[derive(Clone, Copy, Debug)]
pub struct DevnetMiners {
    /// Nodes that will mine.
    pub nodes: u32,
    /// What each of them mines with.
    pub each: miner::Config,
}

impl Network {
    /// Reads `name_or_path`: `testnet`, `regtest`, `devnet` (made now) or a file.
    pub fn open(name_or_path: &str, miners: DevnetMiners) -> Result<Self, Failure> {
        match name_or_path {
            "devnet" => Self::new_devnet(miners),
            name if ChainSpec::builtin(name).is_some() => {
                Self::parse(name, ChainSpec::builtin(name).unwrap_or_default())
            }
            path => Self::read(Path::new(path)),
        }
    }

    /// The name of the network that [`Network::open`] would give: the file's without its ending.
    pub fn name_of(name_or_path: &str) -> String {
        let is_known = name_or_path == "devnet" || ChainSpec::builtin(name_or_path).is_some();
        if is_known {
            name_or_path.to_owned()
        } else {
            stem(Path::new(name_or_path))
        }
    }

    /// Reads a chain spec file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| {
            let known = "testnet, regtest, devnet or a chain spec file";
            Failure::new(
                Exit::Config,
                format!("network {}: {error}; give {known}", path.display()),
            )
        })?;
        let mut text = String::new();
        // One byte more than allowed tells a file that is too long from one that just fits.
        let limit = u64::try_from(SPEC_BYTES_MAX)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        file.take(limit)
            .read_to_string(&mut text)
            .map_err(|error| {
                Failure::new(
                    Exit::Config,
                    format!("cannot read {}: {error}", path.display()),
                )
            })?;
        Self::parse(&stem(path), &text)
            .map_err(|failure| Failure::new(Exit::Config, format!("{}: {failure}", path.display())))
    }

    /// Checks a chain spec's text.
    pub fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        let parsed = ChainSpec::parse(text).map_err(|error| Failure::new(Exit::Config, error))?;
        Ok(Self {
            name: name.to_owned(),
            text: text.to_owned(),
            spec: parsed.spec,
            warnings: parsed.warnings,
        })
    }

    /// A devnet made now: half the difficulty that gives its spacing to all its nodes together,
    /// so that the first blocks come soon.
    fn new_devnet(miners: DevnetMiners) -> Result<Self, Failure> {
        let miner =
            miner::Miner::new(miners.each).map_err(|error| Failure::new(Exit::Usage, error))?;
        let rate = miner.measure(Duration::from_millis(200));
        let template = Self::parse("devnet", ChainSpec::builtin("devnet").unwrap_or_default())?;
        let spacing = u64::from(template.spec.spacing_secs);
        let hashes = u128::from(rate) * u128::from(miners.nodes) * u128::from(spacing) / 2;
        let bits = bits_of_work(&template.spec, hashes);
        Self::parse("devnet", &ChainSpec::devnet(unix_secs(), bits))
    }
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.unwrap_or("custom").to_owned()
}

/// The compact target for which `hashes` are expected, within the spec's limit.
fn bits_of_work(spec: &ChainSpec, hashes: u128) -> Bits {
    let target = U256::MAX / U256::from(hashes.max(1));
    let bits = Target::new(target).map_or(spec.pow_limit_bits, Target::bits);
    let within = bits
        .target()
        .is_some_and(|target| target <= spec.pow_limit());
    if within { bits } else { spec.pow_limit_bits }
}

/// The wall clock, Unix seconds; the last second of 2106 if it lies beyond.
fn unix_secs() -> u32 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
