//! Wallet tests.
