//! `/v1/mining`: templates for miners outside of the node, and the blocks that they found.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
};
use chain::{
    Block, BlockHash, BlockId, ChainSpec, CheckedBlock, Target, U256, params::GOSSIP_BYTES_MAX,
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    task::spawn_blocking,
    time::{sleep, timeout},
};
use utoipa::{IntoParams, ToSchema};

use super::{address, body::read_up_to, events::Stopped, query};
use crate::{
    ApiState, View,
    error::{Fields, Problem, Refused},
    limits::{HEAD_CHANGE_TIME_OUT, TEMPLATE_WAIT_SECS_MAX},
    view::hex,
};

/// What a miner wants of a template.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Who is paid.
    #[param(
        pattern = "^0x[0-9a-fA-F]{40}$",
        example = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    )]
    beneficiary: String,
    /// Text that the block carries, up to 32 bytes.
    tag: Option<String>,
    /// A head: the answer waits for another one.
    #[param(pattern = "^(0x)?[0-9a-fA-F]{64}$")]
    after: Option<String>,
    /// How long it waits at most, in seconds.
    #[param(maximum = 25)]
    wait_secs: Option<u64>,
}

/// A block to find a proof of work for.
#[derive(Debug, Serialize, ToSchema)]
pub struct TemplateJson {
    height: u64,
    /// The head that it stands on.
    parent: String,
    bits: String,
    /// What the hash must not exceed, in 64 hex digits.
    target: String,
    /// Hashes expected, in decimal.
    hashes: String,
    transactions: usize,
    /// The block as the network sends it, in hex; nonce, extra nonce and the version's rolling bits
    /// are the miner's to set, and the commitment with them.
    block: String,
}

/// What became of a submitted block.
#[derive(Debug, Serialize, ToSchema)]
pub struct TakenJson {
    height: u64,
    hash: String,
    /// Whether it became the head. Where not, it was late, or another one wins.
    is_head: bool,
}

/// A template on the newest head; with `after`, once that is another one.
#[utoipa::path(
    get, path = "/v1/mining/template", operation_id = "mining_template", tag = "mining",
    params(Wanted),
    responses(
        (status = 200, description = "A block to work on", body = TemplateJson),
        Refused,
    )
)]
pub async fn template(
    State(state): State<ApiState>,
    Extension(Stopped(stopped)): Extension<Stopped>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<TemplateJson>, Problem> {
    let wanted = query(wanted)?;
    let beneficiary = address::parse(&wanted.beneficiary)?;
    let tag = tag(wanted.tag.as_deref().unwrap_or_default())?;
    if let Some(after) = &wanted.after {
        let parsed = after.parse();
        let after = parsed.map_err(|error| Problem::bad_request("bad_hash", format!("{error}")))?;
        another_head(&state, after, wait(wanted.wait_secs)?, stopped).await;
    }
    let place = place(&state)?;
    let build = Arc::clone(&state.desk.build);
    let built = spawn_blocking(move || {
        let block = build(beneficiary, tag);
        drop(place);
        block
    });
    let block = built.await.map_err(|_| busy("the template was cut off"))?;
    let block = block.map_err(|error| busy(&error))?;
    Ok(Json(TemplateJson::new(&block)))
}

/// Takes a block as the network sends it, in bytes.
#[utoipa::path(
    post, path = "/v1/mining/blocks", operation_id = "mining_submit", tag = "mining",
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The block as the network sends it"),
    responses(
        (status = 200, description = "Taken", body = TakenJson),
        (status = 408, description = "The body did not arrive in time", body = Fields, content_type = "application/problem+json"),
        (status = 409, description = "The block is known", body = Fields, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Fields, content_type = "application/problem+json"),
        (status = 422, description = "The block is not valid", body = Fields, content_type = "application/problem+json"),
        Refused,
    )
)]
pub async fn submit(
    State(state): State<ApiState>,
    request: Request,
) -> Result<Json<TakenJson>, Problem> {
    let place = place(&state)?;
    let bytes = read_up_to(request, GOSSIP_BYTES_MAX).await?;
    let view = state.view();
    let checked = spawn_blocking(move || {
        let block = check(&bytes, &view.spec)?;
        match view.reader.header(&block.id().hash)? {
            None => Ok(block),
            Some(_) => Err(known(block.id())),
        }
    })
    .await;
    let block = checked.map_err(|_| busy("the check was cut off"))??;
    let id = block.id();
    let sent = state.desk.blocks.try_send(block);
    sent.map_err(|_| busy("too many blocks are waiting"))?;
    let is_head = becomes_head(state.views.clone(), id).await?;
    drop(place);
    let counter = if is_head {
        &state.desk.accepted
    } else {
        &state.desk.stale
    };
    counter.inc();
    Ok(Json(TakenJson {
        height: id.height,
        hash: id.hash.to_string(),
        is_head,
    }))
}

/// Waits for a head other than `after`, but no longer than `wait` or the server.
async fn another_head(
    state: &ApiState,
    after: BlockHash,
    wait: Duration,
    mut stopped: watch::Receiver<()>,
) {
    let mut views = state.views.clone();
    tokio::select! {
        _ = views.wait_for(|view| view.head.hash != after) => {}
        () = sleep(wait) => {}
        _ = stopped.changed() => {}
    }
}

/// Whether a block becomes the head, for as long as that may take. Not every head has a view: once
/// they are beyond it, the best chain tells.
async fn becomes_head(mut views: watch::Receiver<Arc<View>>, id: BlockId) -> Result<bool, Problem> {
    let settled = async {
        let settled = views.wait_for(|view| view.head == id || view.head.height > id.height);
        settled.await.map(|view| Arc::clone(&view))
    };
    let Ok(Ok(view)) = timeout(HEAD_CHANGE_TIME_OUT, settled).await else {
        return Ok(false);
    };
    Ok(view.reader.canonical(id.height)? == Some(id.hash))
}

/// One of the places at the desk.
fn place(state: &ApiState) -> Result<OwnedSemaphorePermit, Problem> {
    let place = Arc::clone(&state.desk.places).try_acquire_owned();
    place.map_err(|_| busy("too many miners are asking"))
}

fn known(id: BlockId) -> Problem {
    let detail = format!("block {} is known already", id.hash);
    Problem::new(StatusCode::CONFLICT, "known_block", detail)
}

fn busy(detail: &str) -> Problem {
    let detail = format!("{detail}; try again");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
}

/// The stateless checks that all blocks pass, proof of work first.
fn check(bytes: &[u8], spec: &ChainSpec) -> Result<CheckedBlock, Problem> {
    let bad = |error: &dyn std::fmt::Display| {
        let detail = format!("{error}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_block", detail)
    };
    let block = Block::decode(bytes).map_err(|error| bad(&error))?;
    CheckedBlock::check(block, spec).map_err(|error| bad(&error))
}

fn tag(text: &str) -> Result<[u8; 32], Problem> {
    let mut tag = [0; 32];
    let room = tag.get_mut(..text.len()).ok_or_else(|| {
        let detail = format!("a tag has at most 32 bytes, got {}", text.len());
        Problem::bad_request("bad_tag", detail)
    })?;
    room.copy_from_slice(text.as_bytes());
    Ok(tag)
}

fn wait(secs: Option<u64>) -> Result<Duration, Problem> {
    let secs = secs.unwrap_or(TEMPLATE_WAIT_SECS_MAX);
    if secs <= TEMPLATE_WAIT_SECS_MAX {
        return Ok(Duration::from_secs(secs));
    }
    let detail = format!("wait_secs is {secs}, wanted 0 to {TEMPLATE_WAIT_SECS_MAX}");
    Err(Problem::bad_request("bad_wait", detail))
}

impl TemplateJson {
    fn new(block: &Block) -> Self {
        let header = &block.header;
        let target = header.pow.bits.target();
        let number = target.map_or(U256::ZERO, |target| target.value());
        Self {
            height: header.extension.height,
            parent: header.pow.parent.to_string(),
            bits: header.pow.bits.to_string(),
            target: format!("0x{number:064x}"),
            hashes: target.map_or(U256::ZERO, Target::work).to_string(),
            transactions: block.body.0.len(),
            block: hex(&block.encode()),
        }
    }
}

#[cfg(test)]
mod tests {
    use chain::{
        Batch, Header, MemoryStore, Node, Store,
        header::{Extension, PowHeader},
    };
    use state::Evm;

    use super::*;
    use crate::network::SyncInfo;

    fn regtest() -> ChainSpec {
        let text = ChainSpec::builtin("regtest").unwrap();
        ChainSpec::parse(text).unwrap().spec
    }

    fn header(height: u64, tag: u8) -> Arc<Header> {
        let extension = Extension {
            height,
            extra_data: [tag; 32],
            ..Extension::default()
        };
        Arc::new(Header::sealed(PowHeader::default(), extension))
    }

    /// A view of a chain of such blocks above the genesis block.
    fn view(tags: &[u8]) -> Arc<View> {
        let spec = Arc::new(regtest());
        let (genesis, batch) = Node::genesis(&spec, &Evm::new());
        let mut store = MemoryStore::default();
        store.commit(&batch).unwrap();
        let node = Node::open(Arc::clone(&spec), Evm::new(), &store.snapshot().unwrap()).unwrap();
        let chain: Vec<_> = (1..)
            .zip(tags)
            .map(|(height, tag)| header(height, *tag))
            .collect();
        let batch = Batch {
            canonical: (1..)
                .zip(chain.iter().map(|header| Some(header.hash())))
                .collect(),
            headers: chain.clone(),
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
        let head_header = chain.last().cloned().unwrap_or(Arc::new(genesis.header));
        Arc::new(View {
            network: "regtest".into(),
            genesis: node.genesis_hash(),
            head: BlockId {
                height: head_header.extension.height,
                hash: head_header.hash(),
            },
            head_header,
            state: node.head_state().clone(),
            reader: Arc::new(store.snapshot().unwrap()),
            pool: node.pool(),
            peer_list: Arc::default(),
            branches: Arc::default(),
            sync: SyncInfo::default(),
            mining: false,
            version: "0.0.0",
            spec,
        })
    }

    /// Views are of the newest head, so that a block's own may never be seen.
    #[tokio::test]
    async fn a_block_with_a_child_already_was_the_head() {
        let (sender, views) = watch::channel(view(&[]));
        let id = BlockId {
            height: 1,
            hash: header(1, 1).hash(),
        };
        for (tags, is_head) in [(&[1][..], true), (&[1, 2], true), (&[3, 2], false)] {
            sender.send_replace(view(tags));
            let found = becomes_head(views.clone(), id).await;
            assert_eq!(found.ok(), Some(is_head), "{tags:?}");
        }
    }

    #[test]
    fn tags_and_waits_out_of_range_are_refused() {
        assert_eq!(tag("pool").unwrap()[..5], *b"pool\0");
        assert!(tag(&"x".repeat(32)).is_ok());
        assert!(tag(&"x".repeat(33)).is_err());
        assert_eq!(wait(Some(3)).unwrap(), Duration::from_secs(3));
        assert!(wait(Some(TEMPLATE_WAIT_SECS_MAX + 1)).is_err());
    }

    #[test]
    fn what_is_no_block_or_has_no_work_is_refused() {
        let text = ChainSpec::builtin("testnet").unwrap();
        let spec = ChainSpec::parse(text).unwrap().spec;
        assert!(check(&[1, 2, 3], &spec).is_err());
        let block = Block {
            header: chain::Header::default(),
            body: chain::block::Body(Vec::new()),
        };
        assert!(check(&block.encode(), &spec).is_err());
    }
}
