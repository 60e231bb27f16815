//! What a seed decides: the network, its weather, its people, and what goes wrong when.

use std::sync::OnceLock;

use chain::{ChainSpec, Target, U256, pool::PoolLimits};

use super::{
    host::{Crash, Host, Settings},
    hostile::{Hostile, Trick},
    model::Model,
    net::Link,
    rare::{Kind, past},
    rng::Rng,
    support::builder::{Wallet, regtest},
    tally::{Fault, Reached},
    users::User,
    world::{Event, Miner, World},
};

/// Seconds from genesis to the start: room for the times of a long chain of low work.
const AGE_SECS: u64 = 16_500;
/// Work of the genesis block; the first block after the gap has a quarter of it.
pub const GENESIS_WORK: u64 = 512;
/// Milliseconds of clock that a peer's blocks may be ahead of ours.
const FUTURE_MS: i64 = 100_000;

/// How often what goes wrong on links, in so many of a thousand messages.
#[derive(Clone, Copy)]
pub struct Weather {
    pub lost: u64,
    pub duplicated: u64,
    pub late: u64,
    pub streams_lost: u64,
    pub declined: u64,
}

/// What stays the same in a run.
#[derive(Clone)]
pub struct Plan {
    pub kind: Kind,
    /// Hashes in a thousand seconds that give a block of the first difficulty every ten seconds.
    pub hash_rate: u64,
    pub end_ms: u64,
    pub user_pause_ms: u64,
    pub act_pause_ms: u64,
    pub chaos_pause_ms: u64,
    /// A host that joins when the others have a chain, and asks for its work.
    pub late: Option<usize>,
    pub thief: Wallet,
    pub weather: Weather,
}

/// Keys are made once: that costs more than what they sign.
pub fn wallets() -> &'static [Wallet] {
    static WALLETS: OnceLock<Vec<Wallet>> = OnceLock::new();
    WALLETS.get_or_init(|| (0..6).map(Wallet::new).collect())
}

/// One spec for all seeds of a kind: easy proofs, small blocks, a future limit of 100 seconds.
pub fn spec(genesis_work: u64) -> ChainSpec {
    let mut spec = regtest(&wallets().iter().collect::<Vec<_>>());
    spec.spacing_secs = 10;
    spec.half_life_secs = 600;
    spec.genesis_bits = Target::new(U256::MAX / U256::from(genesis_work))
        .expect("not 0")
        .bits();
    spec.base.gas_limit = 126_000;
    spec
}

fn weather(rng: &mut Rng) -> Weather {
    Weather {
        lost: rng.below(401),
        duplicated: rng.below(200),
        late: rng.below(20),
        streams_lost: rng.below(60),
        declined: rng.below(20),
    }
}

fn latency_ms(rng: &mut Rng) -> (u64, u64) {
    if rng.chance(100) {
        (rng.range(300, 1_500), rng.range(500, 3_000))
    } else {
        (rng.range(5, 150), rng.range(10, 400))
    }
}

/// The world of a seed, about to start.
pub fn build(seed: u64) -> World {
    let kind = Kind::of(seed);
    let mut rng = Rng::new(seed);
    let model = kind.model();
    let now_ms = start_ms(&model);
    let honest = (2 + rng.below(11).min(rng.below(11))) as usize;
    let hostile = rng.range(1, (16 - honest as u64).min(1 + honest as u64 / 2)) as usize;
    let (honest, hostile) = kind.actors(honest, hostile);
    let minute = 60_000;
    let mut plan = Plan {
        kind,
        hash_rate: hash_rate(&model),
        end_ms: now_ms + rng.range(4 * minute, 8 * minute),
        user_pause_ms: rng.range(2_000, 12_000),
        act_pause_ms: rng.range(1_500, 6_000),
        chaos_pause_ms: rng.range(3_000, 12_000),
        late: (honest > 2 && rng.chance(400)).then_some(honest - 1),
        thief: wallets()[5].clone(),
        weather: weather(&mut rng),
    };
    kind.change(&mut plan, honest, now_ms);
    let mut world = World::new(seed, rng, model, plan, now_ms);
    world.add_hosts(honest);
    world.add_hostiles(hostile);
    world.add_links();
    world.add_people();
    world.prepare();
    world
}

/// A while after the last block that all know.
fn start_ms(model: &Model) -> u64 {
    let tip = &model.blocks[model.best];
    let pause = if model.best == Model::GENESIS {
        AGE_SECS
    } else {
        10
    };
    (u64::from(tip.time) + pause) * 1_000
}

/// The first block comes after a long pause, which divides its work by four, or in time.
fn hash_rate(model: &Model) -> u64 {
    let target = model.blocks[model.best].header.pow.bits.target();
    let work = u64::try_from(target.expect("decodes").work()).expect("easy");
    let first = if model.best == Model::GENESIS {
        work / 4
    } else {
        work
    };
    first * 100
}

impl World {
    fn add_hosts(&mut self, count: usize) {
        for at in 0..count {
            let pool = match self.rng.chance(500) {
                true => PoolLimits {
                    count: self.rng.range(4, 30) as usize,
                    bytes: 1 << 20,
                },
                false => PoolLimits::default(),
            };
            let settings = Settings {
                pool,
                min_chain_work: U256::ZERO,
                salt: self.rng.next() >> 1,
            };
            let mut host = Host::new(at, &self.model, settings);
            host.ahead_ms = self.rng.range(0, 20_000) as i64 - 10_000;
            if host.ahead_ms.unsigned_abs() > 1_000 {
                self.tally.fault(Fault::ClockSkew);
            }
            host.group_size = *self.rng.pick(&[1, 1, 1, 4, 16]);
            self.hosts.push(host);
            let start = match self.plan.late == Some(at) {
                true => (self.plan.end_ms - self.now_ms) * self.rng.range(5, 7) / 10,
                false => self.rng.below(3_000),
            };
            self.after(start, Event::Restart(at));
        }
    }

    fn add_hostiles(&mut self, count: usize) {
        for at in 0..count {
            let tricks = (0..self.rng.range(2, 6)).map(|_| *self.rng.pick(&Trick::ALL));
            let tricks = tricks.collect();
            self.hostiles.push(Hostile::new(tricks));
            let delay = self.rng.range(1_000, 20_000);
            self.after(delay, Event::Act(at));
        }
    }

    /// A random tree of the hosts, so that they are connected when healed, and more.
    fn add_links(&mut self) {
        let hosts = self.hosts.len();
        let mut pairs = Vec::new();
        for at in 1..hosts {
            pairs.push([self.rng.index(at), at]);
        }
        for _ in 0..self.rng.below(2 * hosts as u64) {
            let (a, b) = (self.rng.index(hosts), self.rng.index(hosts));
            if a != b && !pairs.contains(&[a.min(b), a.max(b)]) {
                pairs.push([a.min(b), a.max(b)]);
            }
        }
        for at in 0..self.hostiles.len() {
            for _ in 0..self.rng.range(1, 4) {
                let pair = [self.rng.index(hosts), hosts + at];
                if !pairs.contains(&pair) {
                    pairs.push(pair);
                }
            }
            let pair = self.plan.late.map(|late| [late, hosts + at]);
            pairs.extend(pair.filter(|pair| !pairs.contains(pair)));
        }
        for ends in pairs {
            let latency_ms = latency_ms(&mut self.rng);
            self.links.push(Link::new(ends, latency_ms));
        }
        self.after(0, Event::Maintain);
    }

    fn add_people(&mut self) {
        let hosts = self.hosts.len() as u64;
        let miners = self.rng.range(1, hosts.min(4));
        let factor = self.rng.range(1, 4);
        for at in 0..miners as usize {
            let host = self.rng.index(self.hosts.len());
            let millihashes = self.plan.hash_rate * factor / miners;
            self.miners.push(Miner {
                host,
                millihashes,
                turn: 0,
            });
            self.draw_block(at);
        }
        for at in 0..self.rng.range(2, 5) as usize {
            let home = self.rng.index(self.hosts.len());
            let wallet = wallets()[at].clone();
            self.users.push(User { wallet, home });
            self.after(2_000, Event::User(at));
        }
        self.after(5_000, Event::Chaos);
    }

    /// Something goes wrong, and the next thing is drawn.
    pub fn chaos(&mut self) {
        let pause = self.rng.exponential(self.plan.chaos_pause_ms).max(100);
        self.after(pause, Event::Chaos);
        let host = self.rng.index(self.hosts.len());
        match self.rng.below(16) {
            0 => self.part(),
            1 | 2 => self.reset_link(),
            3..=6 => self.plan_crash(host),
            7 => self.jump_clock(host),
            8 | 9 => self.sleep(host),
            10 | 11 => self.change_hash_rate(),
            12 => self.weather = weather(&mut self.rng),
            13 => {
                let link = self.rng.index(self.links.len());
                self.links[link].latency_ms = latency_ms(&mut self.rng);
            }
            14 => self.hosts[host].group_size = *self.rng.pick(&[1, 1, 4, 16]),
            _ => self.move_user(),
        }
    }

    fn part(&mut self) {
        if self.partition != 0 {
            return;
        }
        self.partition = self.rng.next();
        self.tally.fault(Fault::Partition);
        let length = self.rng.range(10_000, 90_000);
        self.after(length, Event::Heal);
        for link in 0..self.links.len() {
            if self.is_cut(link) {
                for end in 0..2 {
                    let life = self.life(self.links[link].ends[end]);
                    let epoch = self.links[link].epoch;
                    let noticed = self.rng.range(5_000, 15_000);
                    self.after(
                        noticed,
                        Event::Gone {
                            link,
                            end,
                            epoch,
                            life,
                        },
                    );
                }
            }
        }
    }

    fn reset_link(&mut self) {
        let link = self.rng.index(self.links.len());
        let end = self.rng.index(2);
        if self.links[link].connected[end] {
            self.tally.fault(Fault::LinkReset);
            self.close(link, end);
        }
    }

    fn plan_crash(&mut self, at: usize) {
        let (after, more) = (self.rng.below(60), self.rng.range(2, 5) as usize);
        let cut = *self.rng.pick(&[0, 1, 1, more]);
        let host = &mut self.hosts[at];
        if host.is_up() {
            let steps = host.steps + after;
            host.crash = Some(Crash { steps, cut });
        }
    }

    /// Within the future limit or beyond it, ahead or behind.
    fn jump_clock(&mut self, at: usize) {
        let within = self.rng.chance(600);
        let most = if within { FUTURE_MS / 2 } else { 5 * FUTURE_MS };
        self.hosts[at].ahead_ms = self.rng.range(0, 2 * most as u64) as i64 - most;
        self.tally.fault(Fault::ClockJump);
    }

    fn sleep(&mut self, at: usize) {
        let length = *self.rng.pick(&[1_500, 4_000, 10_000, 40_000]);
        self.hosts[at].asleep_until_ms = self.now_ms + length;
        self.tally.fault(Fault::Sleep);
    }

    /// A hundred times the hash rate for a moment, or none for a while.
    fn change_hash_rate(&mut self) {
        let miner = self.rng.index(self.miners.len());
        let usual = self.miners[miner].millihashes;
        if usual == 0 || usual > 8 * self.plan.hash_rate {
            return;
        }
        let (rate, length) = match self.rng.below(4) {
            0 => (usual * 100, self.rng.range(500, 2_500)),
            1 => (usual * 10, self.rng.range(3_000, 10_000)),
            _ => (0, self.rng.range(10_000, 60_000)),
        };
        self.tally.fault(match rate {
            0 => Fault::MinerStopped,
            _ => Fault::HashRate,
        });
        self.set_hash_rate(miner, rate);
        let millihashes = usual;
        self.after(length, Event::HashRate { miner, millihashes });
    }

    fn move_user(&mut self) {
        let user = self.rng.index(self.users.len());
        self.users[user].home = self.rng.index(self.hosts.len());
    }

    /// A host that joins late asks for the work that the network had a while ago.
    pub fn set_minimum(&mut self, at: usize) {
        if self.plan.late == Some(at) && self.hosts[at].life == 0 {
            let best = self.model.chain_work(self.model.best);
            self.hosts[at].settings.min_chain_work = match self.plan.kind {
                Kind::Long => past().chain_work(),
                _ => best / U256::from(4) * U256::from(3),
            };
            if self.plan.kind == Kind::Long {
                self.begin_eclipse(at);
            }
            self.tally.reach(Reached::Joined);
        }
    }
}
