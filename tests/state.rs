//! The state tree and execution, seen from outside: vectors and laws.
