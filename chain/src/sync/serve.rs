//! What a peer's request is answered with, as a pure function of a store snapshot.

use crate::{
    block::{Block, Body},
    hash::BlockHash,
    header::Header,
    message::{Request, Response, Status},
    params::{BLOCKS_BYTES_MAX, HEADER_WIRE_BYTES, HEADERS_MAX},
    pool::PoolSnapshot,
    store::{Reader, StoreError},
    transaction::CheckedTransaction,
};

/// What a snapshot says to a peer's request; everything is bounded by `params`.
pub fn serve(
    request: &Request,
    status: &Status,
    pool: &PoolSnapshot,
    db: &dyn Reader,
) -> Result<Response, StoreError> {
    match request {
        Request::Status(_) => Ok(Response::Status(status.clone())),
        Request::Headers(locator) => serve_headers(locator, db).map(Response::Headers),
        Request::Blocks(hashes) => serve_blocks(hashes, db).map(Response::Blocks),
        Request::Transactions(hashes) => {
            let mut bytes = 0;
            let found = hashes.iter().filter_map(|hash| pool.get(hash));
            let fitting = found.map(CheckedTransaction::bytes).take_while(|found| {
                bytes += found.len();
                bytes <= BLOCKS_BYTES_MAX
            });
            Ok(Response::Transactions(
                fitting.map(<[u8]>::to_vec).collect(),
            ))
        }
        // The network layer knows where peers are, and answers before it comes to this.
        Request::Addresses => Ok(Response::Addresses(Vec::new())),
    }
}

/// Best-chain headers after the first hash of the locator that stands on the best chain.
fn serve_headers(locator: &[BlockHash], db: &dyn Reader) -> Result<Vec<Header>, StoreError> {
    let mut out = Vec::new();
    for hash in locator {
        let Some(header) = db.header(hash)? else {
            continue;
        };
        let height = header.extension.height;
        if db.canonical(height)? != Some(*hash) {
            continue;
        }
        let last = height.saturating_add(HEADERS_MAX as u64);
        for height in height.saturating_add(1)..=last {
            let Some(hash) = db.canonical(height)? else {
                break;
            };
            let Some(header) = db.header(&hash)? else {
                break;
            };
            out.push(Header::clone(&header));
        }
        break;
    }
    Ok(out)
}

fn serve_blocks(hashes: &[BlockHash], db: &dyn Reader) -> Result<Vec<Block>, StoreError> {
    let mut out = Vec::new();
    let mut bytes = 0;
    for hash in hashes {
        let (Some(header), Some(body)) = (db.header(hash)?, db.body(hash)?) else {
            continue;
        };
        bytes += HEADER_WIRE_BYTES + body.encoded_len();
        if bytes > BLOCKS_BYTES_MAX && !out.is_empty() {
            break;
        }
        out.push(Block {
            header: Header::clone(&header),
            body: Body::clone(&body),
        });
    }
    Ok(out)
}
