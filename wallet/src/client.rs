//! The blocking HTTP client of a node's REST API.
//!
//! Plain HTTP, no proxy, no redirects: the node is one's own, on this machine or a near one. What
//! it answers is limited in time and size and read strictly. Called by the verbs.

use std::{io, time::Duration};

use alloy_primitives::{Address, hex};
use chain::TxHash;
use serde::de::DeserializeOwned;
use ureq::{Agent, Body, http::Response};

use crate::answers::{
    Account, Fees, History, Problem, Status, Submitted, Transaction, TransactionDetails, printable,
};

/// Seconds until an unanswered request is given up.
pub const TIMEOUT_SECS: u64 = 10;
/// Bytes of the longest answer that is read.
pub const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How a node names what has left its pool.
const DEPARTED: &str = "transaction_departed";

/// A node, as seen from outside.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    url: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not one of a node.
    #[error("{url:?} is not a node's URL: {reason}; write it like http://127.0.0.1:8545")]
    Url {
        /// What was written.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nobody listens there.
    #[error(
        "node {url} is not reachable: start one with `lignum devnet` or name it with --node ({reason})"
    )]
    Unreachable {
        /// The node.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// Somebody listens, but does not answer.
    #[error(
        "node {url} did not answer within {TIMEOUT_SECS} s: is it busy, or is it another program?"
    )]
    TimedOut {
        /// The node.
        url: String,
    },
    /// The answer is longer than any that the API gives.
    #[error(
        "node {url} answered with more than {ANSWER_BYTES_MAX} bytes, which no Lignum node does"
    )]
    TooLarge {
        /// The node.
        url: String,
    },
    /// The answer is not one of the API's.
    #[error("node {url} gave an answer that cannot be read, is it a Lignum node? ({reason})")]
    Malformed {
        /// The node.
        url: String,
        /// What cannot be read.
        reason: String,
    },
    /// The node says no.
    #[error("{0}")]
    Problem(Problem),
}

/// That something is not there is an answer too.
fn found<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(thing) => Ok(Some(thing)),
        Err(ClientError::Problem(problem)) if problem.status == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// A text as part of a query (RFC 3986).
fn escape(text: &str) -> String {
    let keep = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes()
        .map(|byte| match keep(&byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

impl Client {
    /// A client of the node at this URL; nothing is sent yet.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        let refuse = |reason| ClientError::Url {
            url: printable(url),
            reason,
        };
        let given = url.trim().trim_end_matches('/');
        let host = match given.split_once("://") {
            Some(("http", host)) => host,
            Some(("https", _)) => return Err(refuse("only http is spoken, not https")),
            Some(_) => return Err(refuse("it does not begin with http://")),
            None => given,
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(refuse("it names no host"));
        }
        if host.contains(['/', '?', '#', '@']) {
            return Err(refuse("only a host and a port belong into it"));
        }
        let agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(TIMEOUT_SECS)))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            // A connection kept from before a restart of the node would only fail.
            .max_idle_connections(0)
            .build();
        Ok(Self {
            agent: agent.into(),
            url: format!("http://{host}"),
        })
    }

    /// The node's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The network, its head and its fees.
    pub fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status")
    }

    /// An account, confirmed and pending.
    pub fn account(&self, address: Address) -> Result<Account, ClientError> {
        let account: Account = self.get(&format!("/v1/accounts/{address}"))?;
        if account.address != address {
            return Err(self.malformed(format!("asked for {address}, got {}", account.address)));
        }
        Ok(account)
    }

    /// Hands a signed transaction to the node's pool.
    pub fn submit(&self, raw: &[u8]) -> Result<Submitted, ClientError> {
        let body = serde_json::json!({ "raw": hex::encode_prefixed(raw) }).to_string();
        let request = self
            .agent
            .post(format!("{}/v1/transactions", self.url))
            .header("content-type", "application/json");
        self.read(request.send(body))
    }

    /// A transaction, wherever it is; `None` if the node does not know it.
    pub fn transaction(&self, hash: TxHash) -> Result<Option<Transaction>, ClientError> {
        found(self.get(&format!("/v1/transactions/{hash}")))
    }

    /// Why a transaction has left the node's pool; `None` if it has not, or the node cannot tell.
    pub fn departure(&self, hash: TxHash) -> Result<Option<String>, ClientError> {
        let answer: Result<Transaction, _> = self.get(&format!("/v1/transactions/{hash}"));
        match answer {
            Err(ClientError::Problem(problem)) if problem.code == DEPARTED => {
                Ok(Some(problem.detail))
            }
            answer => found(answer).map(|_| None),
        }
    }

    /// What a transaction says; `None` if the node does not know it.
    pub fn transaction_details(
        &self,
        hash: TxHash,
    ) -> Result<Option<TransactionDetails>, ClientError> {
        found(self.get(&format!("/v1/transactions/{hash}")))
    }

    /// What to pay; `None` if the node does not estimate it.
    pub fn fees(&self) -> Result<Option<Fees>, ClientError> {
        found(self.get("/v1/fees"))
    }

    /// A page of an account's transactions; `None` if the node does not keep them.
    pub fn history(
        &self,
        address: Address,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Option<History>, ClientError> {
        let path = format!("/v1/accounts/{address}/transactions?limit={limit}");
        found(match cursor {
            Some(cursor) => self.get(&format!("{path}&cursor={}", escape(cursor))),
            None => self.get(&path),
        })
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.read(self.agent.get(format!("{}{path}", self.url)).call())
    }

    /// Reads an answer: the thing asked for, or a problem.
    fn read<T: DeserializeOwned>(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<T, ClientError> {
        let mut answer = answer.map_err(|error| self.explain(&error))?;
        let status = answer.status();
        let body = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec()
            .map_err(|error| self.explain(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|error| self.malformed(printable(&error.to_string())));
        }
        match serde_json::from_slice::<Problem>(&body) {
            // The status line is what the code acts on, whatever the body repeats.
            Ok(problem) => Err(ClientError::Problem(Problem {
                status: status.as_u16(),
                ..problem
            })),
            Err(_) => Err(self.malformed(format!("status {status} without a problem's detail"))),
        }
    }

    fn malformed(&self, reason: String) -> ClientError {
        ClientError::Malformed {
            url: self.url.clone(),
            reason,
        }
    }

    fn explain(&self, error: &ureq::Error) -> ClientError {
        let url = self.url.clone();
        let reason = printable(&error.to_string());
        match error {
            ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed => ClientError::Unreachable { url, reason },
            ureq::Error::Timeout(_) => ClientError::TimedOut { url },
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                ClientError::TimedOut { url }
            }
            ureq::Error::Io(_) => ClientError::Unreachable { url, reason },
            ureq::Error::BodyExceedsLimit(_) => ClientError::TooLarge { url },
            _ => ClientError::Malformed { url, reason },
        }
    }
}
