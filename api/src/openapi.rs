//! The routes with their description: one call adds a route and what the document says of it.
//!
//! Nothing is served that is not described here, but for the answers to wrong paths and methods.
//! Called by `server`; `docs/openapi.json` is the document of this version.

use utoipa::openapi::{
    InfoBuilder, OpenApi, OpenApiBuilder, SecurityRequirement, Tag,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    ApiState,
    rest::{
        accounts, blocks, desk, dev, docs, events, faucet, fees, forest, history, mining, network,
        operations, peers, pool, search, status, supply, transactions,
    },
};

const DESCRIPTION: &str = "Amounts are decimal strings in wei, hashes and bytes 0x-hex. Every answer \
    that can change names the head it was read at. Lists have pages: `next_cursor` of one is the \
    `cursor` of the next. Errors are RFC 9457 problems with a stable `code`.";

/// Every route but the faucet, which dev networks alone have.
pub fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(OpenApi::default())
        .routes(routes!(status::status))
        .routes(routes!(network::network))
        .routes(routes!(supply::supply))
        .routes(routes!(search::search))
        .routes(routes!(peers::list))
        .routes(routes!(events::stream))
        .routes(routes!(blocks::list))
        .routes(routes!(blocks::one))
        .routes(routes!(blocks::header))
        .routes(routes!(blocks::standing))
        .routes(routes!(blocks::transactions))
        .routes(routes!(forest::tips))
        .routes(routes!(forest::blocks))
        .routes(routes!(transactions::submit))
        .routes(routes!(transactions::one))
        .routes(routes!(transactions::standing))
        .routes(routes!(pool::summary))
        .routes(routes!(pool::list))
        .routes(routes!(fees::estimates))
        .routes(routes!(accounts::several))
        .routes(routes!(accounts::top))
        .routes(routes!(accounts::one))
        .routes(routes!(history::list))
        .routes(routes!(desk::template))
        .routes(routes!(desk::submit))
        .routes(routes!(mining::call))
        .routes(routes!(dev::partition))
        .routes(routes!(dev::delay))
        .routes(routes!(dev::mine))
        .routes(routes!(dev::reorg))
        .routes(routes!(operations::healthy))
        .routes(routes!(operations::ready))
        .routes(routes!(operations::metrics))
        .routes(routes!(docs::document))
        .routes(routes!(docs::page))
        .routes(routes!(docs::script))
        .routes(routes!(docs::style))
}

/// The faucet.
pub fn faucet() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(OpenApi::default()).routes(routes!(faucet::pay))
}

/// What `/v1/openapi.json` says, the same on all networks.
pub fn document() -> OpenApi {
    let described = routes().merge(faucet()).into_openapi();
    let info = InfoBuilder::new()
        .title("Lignum")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .build();
    let operator = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The text of operator.token in the data directory"))
        .build();
    let tags = [
        "node",
        "blocks",
        "transactions",
        "accounts",
        "pool",
        "mining",
        "dev",
    ];
    let mut components = described.components.unwrap_or_default();
    components.add_security_scheme("operator", SecurityScheme::Http(operator));
    OpenApiBuilder::new()
        .info(info)
        .paths(described.paths)
        .components(Some(components))
        .tags(Some(tags.map(Tag::new)))
        .security(None::<[SecurityRequirement; 0]>)
        .build()
}
