//! Bidirectional retention: exact, in linear time, with constant memory per token.
//!
//! Row n of a sequence of L tokens, for one head (RNAret, Methods, "retention"):
//!
//! ```text
//! a_nm = (q_n . k_m) gamma^|n-m| / sqrt(Z_n),   Z_n = sum_m gamma^|n-m|
//! o_n  = sum_m a_nm v_m / max(1, |sum_m a_nm|)
//! ```
//!
//! The published code forms the L x L matrix. [`kernel`] does not: see there. [`operation`] is the differentiable
//! operation on packed batches, [`scores`] the paper's retention scores.

pub mod kernel;
pub mod operation;
pub mod scores;
