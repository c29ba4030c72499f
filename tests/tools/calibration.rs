//! `rnaret-train calibrate`: what it learns beside the network makes the coding sequence whole, and travels with the weights.

use crate::common::{Run, TOOLS};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Write;
use std::fs;
use std::path::Path;

fn tool(name: &str) -> Run {
    Run::bare(TOOLS.iter().find(|tool| tool.name == name).unwrap()).args(["-q"])
}

/// mRNAs of a few codons again and again between random letters, and as many random sequences, of two species.
fn transcripts() -> String {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut letters =
        |length: usize| -> String { (0..length).map(|_| char::from(b"ACGU"[random.random_range(0..4)])).collect() };
    let mut rows = String::from("id\tlabel\tspecies\tcds_start0\tcds_end\tseq\n");
    for i in 0..160 {
        let species = ["cat", "dog"][i % 2];
        // A stop in every frame before the start, so that no reading frame could have begun before the transcript.
        let (before, after) = (letters(47) + "UAACUAACUAACC", letters(60));
        if i % 4 < 2 {
            let codons = "GCUGAAGGCAAGCUG".repeat(24);
            let end = 60 + 3 + codons.len() + 3;
            let _ = writeln!(rows, "m{i}\tmRNA\t{species}\t60\t{end}\t{before}AUG{codons}UAA{after}");
        } else {
            let middle = letters(366);
            let _ = writeln!(rows, "l{i}\tlncRNA\t{species}\t-1\t-1\t{before}{middle}{after}");
        }
    }
    rows
}

fn figures(arguments: &[&str], data: &Path) -> String {
    let held_out = ["--task", "coding", "--held-out", "--validation-fraction", "0.25", "--baseline"];
    let table = tool("rnaret-train").args(["evaluate"]).args(held_out).args(arguments.iter().copied()).arg(data).ok();
    String::from_utf8(table).unwrap()
}

fn figure(table: &str, name: &str) -> f64 {
    let row =
        table.lines().find(|row| row.split('\t').next() == Some(name)).unwrap_or_else(|| panic!("{name}: {table}"));
    row.split('\t').nth(1).unwrap().parse().unwrap()
}

#[test]
fn calibration_is_fitted_stored_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let data = place("data.tsv");
    fs::write(&data, transcripts()).unwrap();
    let sizes =
        ["-k", "3", "--layers", "1", "--embed-dim", "16", "--value-dim", "16", "--ffn-dim", "16", "--heads", "2"];
    let head = ["--head", "frames", "--head-blocks", "1", "--head-width", "8", "--batch-records", "8"];
    let how = ["--steps", "12", "--record-weight", "1", "--decoys", "0.2", "--gaps", "0.01", "--balance", "true"];
    let run = place("run");
    let training = tool("rnaret-train").args(["coding", &data, "--run", &run, "--validation-fraction", "0.5"]);
    training.args(sizes).args(head).args(how).args(["--learning-rate", "3e-3", "--fragments", "0.5"]).ok();
    let network = format!("{run}/model.safetensors");
    let calibrated = place("calibrated.safetensors");
    let fit = ["calibrate", &data, "--model", &network, "--validation-fraction", "0.5", "--half", "-o", &calibrated];
    tool("rnaret-train").args(fit).ok();

    let table = figures(&["--model", &calibrated], Path::new(&data));
    assert!(figure(&table, "accuracy") > 0.9, "{table}");
    assert!(figure(&table, "exact_cds") > 0.9, "{table}");
    assert!(figure(&table, "base_f1") > 0.9, "{table}");
    assert!(figure(&table, "exact_cds_3_prime_cut") > 0.7, "{table}");
    assert!(figure(&table, "exact_cds_5_prime_cut") > 0.5, "{table}");
    // Each species has its rows, the rules beside them.
    assert!(table.contains("\naccuracy:cat\t") && table.contains("\naccuracy:dog\t"), "{table}");
    assert!(table.starts_with("figure\tmodel\tlongest_orf\tkmer_regression\n"), "{table}");

    // The same fit gives the same bytes, and a fine-tuned network is without it.
    let again = place("again.safetensors");
    tool("rnaret-train").args(fit[..fit.len() - 1].iter().copied()).arg(&again).args(["-t", "2"]).ok();
    assert!(fs::read(&again).unwrap() == fs::read(&calibrated).unwrap());
    let copy = place("copy.safetensors");
    tool("rnaret-train").args(["import", "--half", &calibrated, "-o", &copy]).ok();
    assert_eq!(figures(&["--model", &copy], Path::new(&data)), table);

    // The mean of two models of one shape; a model and itself are that model.
    let mean = place("mean.safetensors");
    tool("rnaret-train").args(["import", &network, "--mean-with", &network, "-o", &mean]).ok();
    let accuracy = |model: &str| figure(&figures(&["--model", model], Path::new(&data)), "auc");
    assert_eq!(accuracy(&mean), accuracy(&network));
    let other = "testdata/golden/k1_coding.pth";
    tool("rnaret-train").args(["import", &network, "--mean-with", other, "-o", &mean]).fails(1, &["same shape"]);
    tool("rnaret-train")
        .args(["calibrate", &data, "--model", "testdata/golden/k1_fold.pth", "-o", &mean])
        .fails(1, &["fold model", "coding"]);
}
