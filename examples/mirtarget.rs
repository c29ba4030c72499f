//! Sites of miRNAs: `cargo run --release --example mirtarget`.

use rnaret::{MirtargetModel, Pair};

fn main() -> rnaret::Result<()> {
    let model = MirtargetModel::built_in()?;
    let mirna = b"UGAGGUAGUAGGUUGUAUAGUU";
    let site = b"GCAUUACAACAUUAGACUACCUCACAGGAAUACUAUACAACCUACUACCUC";
    for found in model.predict(&[Pair { mirna, site }], |_| "let-7a".into())? {
        println!("probability {:.4}, percentile {:?}", found.probability, found.percentile);
    }
    Ok(())
}
