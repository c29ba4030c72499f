//! What every tool honours, checked on the real binaries, for every tool and format of the table in tests/common.

#[path = "../common/mod.rs"]
mod common;

mod calibration;
mod coding_sequences;
mod documents;
mod failures;
mod files;
mod formats;
mod input;
mod kmerize;
mod known_structures;
mod limits;
mod long_records;
mod mask;
mod not_finite;
mod output;
mod pictures;
mod records;
mod shards;
mod statistics;
mod streams;
mod structures;
mod table;
mod target_sites;
mod unknown_letters;
