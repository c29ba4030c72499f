//! Coding sequences of transcripts: `cargo run --release --example coding`.

use rnaret::{CodingModel, Record};

fn main() -> rnaret::Result<()> {
    let model = CodingModel::built_in()?;
    let letters = format!("{}AUG{}UAA{}", "CCUAG".repeat(20), "GCUGAAGACCUG".repeat(20), "UUAAC".repeat(20));
    for found in model.predict(&[Record::new("transcript", letters)?], &Default::default())? {
        println!("coding potential {:?}", found.potential);
        for frame in &found.coding_sequences {
            println!("coding sequence {}-{} (0-based, half-open)", frame.start, frame.end);
        }
    }
    Ok(())
}
