//! Structures of RNAs: `cargo run --release --example fold`.

use rnaret::format::dot_bracket::structure_line;
use rnaret::{FoldModel, Record};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = FoldModel::built_in()?;
    let record =
        Record::new("tRNA-Phe", "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA")?;
    for folded in model.predict(&[record], &Default::default())? {
        println!("{}", String::from_utf8(structure_line(&folded.structure.id, &folded.structure.partners)?)?);
    }
    Ok(())
}
