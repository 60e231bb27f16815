//! Entity tags: what a client has already is not sent again.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

/// How long an answer may be used without asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Not at all: it may be kept, and asking again is cheap.
    UntilAsked,
    /// For ever: it is named by a hash and nothing in it changes.
    ForEver,
}

impl Lifetime {
    fn directive(self) -> &'static str {
        match self {
            Self::UntilAsked => "no-cache",
            // A year is the most that RFC 2616 let servers promise; `immutable` is RFC 8246's.
            Self::ForEver => "public, max-age=31536000, immutable",
        }
    }
}

/// The answer with its tag, or 304 without a body where the client has this very one (RFC 9110,
/// section 13.1.2).
pub fn cached(
    headers: &HeaderMap,
    tag: &str,
    lifetime: Lifetime,
    answer: impl IntoResponse,
) -> Response {
    // Weak: compressed or not, the answer is the same in other bytes.
    let tag = format!("W/\"{tag}\"");
    let is_known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|known| known.to_str().ok())
        .any(|known| names(known, &tag));
    let caching = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, lifetime.directive().to_owned()),
    ];
    if is_known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, answer).into_response()
}

/// Whether a list of tags has this one, by weak comparison.
fn names(list: &str, tag: &str) -> bool {
    let mut tags = list.split(',').map(str::trim);
    tags.any(|known| known == "*" || opaque(known) == opaque(tag))
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list_weak_or_strong() {
        for list in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(names(list, "W/\"a\""), "{list}");
        }
        for list in ["", "a", "\"b\"", "\"aa\"", "w/\"a\""] {
            assert!(!names(list, "W/\"a\""), "{list}");
        }
    }
}
