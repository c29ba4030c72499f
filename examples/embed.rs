//! Vectors of RNAs: `cargo run --release --example embed`.

use rnaret::{Embedder, Pool, Record};

fn main() -> rnaret::Result<()> {
    let embedder = Embedder::built_in()?;
    let records = [Record::new("hairpin", "GGGGAAAACCCC")?, Record::new("linker", "AAAAAAAA")?];
    for (record, vector) in records.iter().zip(embedder.embed(&records, Pool::Mean)?) {
        println!("{}: {} numbers, the first is {:.4}", record.id, vector.len(), vector[0]);
    }
    Ok(())
}
