//! Which kernels this machine can run, and which of them is the fastest.

use std::{
    error::Error,
    fmt,
    hint::black_box,
    sync::OnceLock,
    time::{Duration, Instant},
};

use chain::{PowHeader, Target, U256};

use super::{Kernel, Work, portable};

/// The names of all kernels there are, whether or not this machine can run them.
pub const NAMES: [&str; 5] = ["avx512", "sha-ni", "avx2", "sha2", "portable"];

/// How long all kernels together are measured before the first search.
const MEASUREMENT: Duration = Duration::from_millis(50);

/// One of a kernel's turns.
const TURN: Duration = Duration::from_micros(500);

/// Nonces tried at a time while a kernel is measured.
const BURST: u32 = 64;

/// The kernels that this machine can run; the portable one is the last.
pub fn all() -> Vec<Kernel> {
    #[cfg(target_arch = "x86_64")]
    let special = [
        super::avx512::kernel(),
        super::sha_ni::kernel(),
        super::avx2::kernel(),
    ];
    #[cfg(target_arch = "aarch64")]
    let special = [super::sha2_arm::kernel()];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let special = [None];
    let special = special.into_iter().flatten();
    special.chain([portable::KERNEL]).collect()
}

/// The fastest kernel for this machine, of those that agree with the specification, as measured at
/// the first call, which takes 50 ms.
pub fn best() -> Kernel {
    static BEST: OnceLock<Kernel> = OnceLock::new();
    *BEST.get_or_init(|| {
        let mut kernels = all();
        kernels.retain(Kernel::agrees);
        let fastest = kernels
            .iter()
            .max_by_key(|kernel| best_rate(kernel, kernels.len()));
        fastest.copied().unwrap_or(portable::KERNEL)
    })
}

/// The rate in the best of the short turns that this kernel's share of the measurement has: other
/// programs interrupt some of them and not all.
fn best_rate(kernel: &Kernel, kernels: usize) -> u64 {
    let share = MEASUREMENT.as_micros() / kernels.max(1) as u128;
    let turns = share / TURN.as_micros();
    let rates = (0..turns.max(1)).map(|_| rate(*kernel, kernel.versions, TURN));
    rates.max().unwrap_or(0)
}

/// The kernel of this name.
pub fn named(name: &str) -> Result<Kernel, UnknownKernel> {
    let kernel = all().into_iter().find(|kernel| kernel.name == name);
    kernel.ok_or_else(|| UnknownKernel(name.to_owned()))
}

/// No such kernel, or none for this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKernel(pub String);

impl Error for UnknownKernel {}

impl fmt::Display for UnknownKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here: Vec<&str> = all().iter().map(|kernel| kernel.name).collect();
        let here = here.join(", ");
        let wanted = &self.0;
        if NAMES.contains(&wanted.as_str()) {
            return write!(
                f,
                "this machine cannot run the kernel {wanted}, only {here}"
            );
        }
        write!(
            f,
            "there is no kernel {wanted:?}; this machine can run {here}"
        )
    }
}

/// Hashes per second of one thread with this kernel on this number of versions, measured for about
/// `duration`.
pub fn rate(kernel: Kernel, versions: u32, duration: Duration) -> u64 {
    let impossible = Target::new(U256::from(1)).expect("one is not zero");
    let work = Work::new(&PowHeader::default(), versions, impossible);
    let start = Instant::now();
    let mut nonce = 0_u32;
    let mut hashes = 0_u64;
    loop {
        let range = nonce..=nonce.saturating_add(BURST - 1);
        black_box((kernel.search)(black_box(&work), range));
        nonce = nonce.wrapping_add(BURST);
        hashes += u64::from(BURST * versions);
        let elapsed = start.elapsed();
        if elapsed >= duration {
            let rate = u128::from(hashes) * 1_000_000_000 / elapsed.as_nanos().max(1);
            return u64::try_from(rate).unwrap_or(u64::MAX);
        }
    }
}
