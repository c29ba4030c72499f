//! Published language models: what their own code computes for small random weights in the published layouts, and what ours
//! does, through the library and through the tools. Within 1e-4 of every number, as `testdata/golden-encoders/*/manifest.json` say.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::Var;
use rnaret::model::encoder::transformer::{
    Activation, GuessConfig, NormPlace, PositionKind, Residual, Subwords, SubwordsConfig,
};
use rnaret::model::heads::fold::FoldHead;
use rnaret::model::weights::{self, ImportOptions, Storage};
use rnaret::model::{
    Encode, Encoder, EncoderConfig, HeadConfig, Input, ModelConfig, Parameters, TransformerConfig, Weights, initialise,
};
use rnaret::sequence::Unit;
use rnaret::structure::is_canonical;
use rnaret::thermodynamics::Conditions;
use serde_json::Value;

const TOLERANCE: f32 = 1e-4;

/// A model as it was published: its weights, where the outputs for them are, and what they are called.
struct Published {
    weights: &'static str,
    /// The number of heads, where the file does not tell it.
    heads: Option<usize>,
    /// The folder of the outputs.
    outputs: &'static str,
    /// The features of every token.
    features: &'static str,
}

const fn folder(name: &'static str) -> Published {
    Published { weights: name, heads: None, outputs: name, features: "last_hidden_state" }
}

const MODELS: &[Published] = &[
    Published { weights: "rinalmo/lm.pt", heads: Some(4), outputs: "rinalmo", features: "representation" },
    folder("rinalmo/multimolecule"),
    Published { weights: "rna-fm/RNA-FM_pretrained.pth", heads: None, outputs: "rna-fm", features: "representation" },
    folder("rna-fm/multimolecule"),
    Published {
        weights: "mrna-fm/mRNA-FM_pretrained.pth",
        heads: None,
        outputs: "mrna-fm",
        features: "representation",
    },
    folder("mrna-fm/multimolecule"),
    folder("splicebert"),
    folder("utrbert"),
    folder("rnabert"),
    folder("rnaernie"),
    folder("utrlm"),
    folder("ernierna"),
];

fn golden() -> PathBuf {
    // Another folder of the same layout can be checked: the complete set is larger than what is shipped.
    std::env::var_os("RNARET_GOLDEN_ENCODERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden-encoders"), PathBuf::from)
}

/// One array of an `.npz`, as numbers; `None` where the file or the array is not there.
fn array(file: &str, name: &str) -> Option<Vec<f32>> {
    let mut archive = zip::ZipArchive::new(File::open(golden().join(file)).ok()?).unwrap();
    let array = npyz::NpyFile::new(archive.by_name(&format!("{name}.npy")).ok()?).unwrap();
    let (shape, order) = (array.shape().to_vec(), array.order());
    let numbers: Vec<f32> = match array.dtype().descr().as_str() {
        "'<f4'" => array.into_vec::<f32>().unwrap(),
        "'<i4'" => array.into_vec::<i32>().unwrap().into_iter().map(|x| x as f32).collect(),
        other => panic!("{file} {name}: type {other}"),
    };
    Some(match (order, shape.as_slice()) {
        // Stored column by column.
        (npyz::Order::Fortran, &[rows, columns]) => {
            let (rows, columns) = (rows as usize, columns as usize);
            (0..rows * columns).map(|place| numbers[place % columns * rows + place / columns]).collect()
        }
        (npyz::Order::Fortran, shape) if shape.len() > 1 => panic!("{file} {name}: {shape:?} column by column"),
        _ => numbers,
    })
}

#[track_caller]
fn close(ours: &[f32], reference: &[f32], what: &str) {
    assert_eq!(ours.len(), reference.len(), "{what}");
    let worst = ours.iter().zip(reference).fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(ours.iter().all(|x| x.is_finite()) && worst <= TOLERANCE, "{what}: differs by {worst}");
}

/// Letters as the tools hand them on.
fn normalised(sequence: &str) -> Vec<u8> {
    sequence.to_ascii_uppercase().replace('T', "U").into_bytes()
}

/// Sequences of a set, with the files of their outputs.
fn cases(outputs: &str) -> Vec<(Vec<u8>, String)> {
    let name = golden().join(outputs.split('/').next().unwrap()).join("manifest.json");
    let manifest: Value = serde_json::from_reader(File::open(name).unwrap()).unwrap();
    let case = |case: &Value| {
        let file = format!("{outputs}/{}", case["file"].as_str().unwrap());
        (normalised(case["seq"].as_str().unwrap()), file)
    };
    manifest["cases"].as_array().unwrap().iter().map(case).filter(|(_, file)| golden().join(file).exists()).collect()
}

fn read(model: &Published) -> Weights {
    weights::read_with(&golden().join(model.weights), ImportOptions { heads: model.heads })
        .unwrap_or_else(|error| panic!("{}: {error}", model.weights))
}

fn encoder(weights: &Weights) -> Encoder {
    Encoder::new(&weights.config, &weights.parameters).unwrap().for_inference().unwrap()
}

fn unit(weights: &Weights) -> Unit {
    let EncoderConfig::Transformer(config) = &weights.config.encoder else { panic!("no Transformer") };
    config.vocabulary.unit
}

/// Rows of nucleotides out of rows of tokens with one at either end: each token's, or of the k-mers that cover a nucleotide the
/// mean, or of its codon.
fn of_nucleotides(rows: &[f32], width: usize, length: usize, unit: Unit) -> Vec<f32> {
    let row = |token: usize| &rows[(token + 1) * width..(token + 2) * width];
    let words = rows.len() / width - 2;
    let of = |nucleotide: usize| match unit {
        Unit::Letter => row(nucleotide).to_vec(),
        Unit::Codon => row(nucleotide / 3).to_vec(),
        Unit::Kmer(k) => {
            let covering: Vec<usize> = (0..words).filter(|word| (*word..word + k).contains(&nucleotide)).collect();
            let mean = |column: usize| covering.iter().map(|&word| row(word)[column]).sum::<f32>();
            (0..width).map(|column| mean(column) / covering.len() as f32).collect()
        }
    };
    (0..length).flat_map(of).collect()
}

fn features(encoder: &Encoder, input: Input) -> Vec<f32> {
    encoder.features(&[input]).unwrap().rows().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn features_and_logits_are_those_of_the_published_code() {
    for model in MODELS {
        let weights = read(model);
        let (encoder, unit) = (encoder(&weights), unit(&weights));
        let mut checked = 0;
        for (letters, file) in cases(model.outputs) {
            let features = encoder.features(&[Input::Letters(&letters)]).unwrap();
            let ours: Vec<f32> = features.rows().flatten_all().unwrap().to_vec1().unwrap();
            let reference = array(&file, model.features).unwrap();
            let width = encoder.width();
            close(&ours, &of_nucleotides(&reference, width, letters.len(), unit), &format!("{} {file}", model.weights));
            let summary: Vec<f32> = features.summaries().unwrap().flatten_all().unwrap().to_vec1().unwrap();
            close(&summary, &reference[..width], &format!("{} {file}, the first token", model.weights));
            if unit == Unit::Letter {
                let rows: Vec<u32> = (0..letters.len() as u32).collect();
                let logits: Vec<f32> =
                    encoder.logits(&features, &rows).unwrap().flatten_all().unwrap().to_vec1().unwrap();
                let reference = array(&file, "logits").unwrap();
                let words = weights.config.encoder.vocabulary_size();
                close(&logits, &reference[words..reference.len() - words], &format!("{} {file} logits", model.weights));
            }
            // The differentiable way gives the same.
            let trained = Encoder::new(&weights.config, &weights.parameters).unwrap();
            let rows = trained.forward(&[Input::Letters(&letters)], None).unwrap();
            close(&rows.rows().flatten_all().unwrap().to_vec1::<f32>().unwrap(), &ours, &file);
            checked += 1;
        }
        assert!(checked >= 3, "{}: {checked} sequences", model.weights);
    }
}

/// Masked tokens, and tokens of sequences that the published code padded: alone and in one batch.
#[test]
fn masked_and_padded_batches_are_those_of_the_published_code() {
    let mut checked = 0;
    for model in MODELS {
        let weights = read(model);
        if unit(&weights) != Unit::Letter {
            continue;
        }
        let encoder = encoder(&weights);
        let width = encoder.width();
        for name in ["seq2_masked", "batch_padded"] {
            let file = format!("{}/{name}.npz", model.outputs);
            let (Some(tokens), Some(reference)) = (array(&file, "tokens"), array(&file, model.features)) else {
                continue;
            };
            // Three sequences, of which the last is the longest.
            let longest = if name == "batch_padded" { tokens.len() / 3 } else { tokens.len() };
            let end = tokens[tokens.len() - 1];
            let rows: Vec<(usize, Vec<u32>)> = tokens
                .chunks(longest)
                .enumerate()
                .map(|(row, tokens)| {
                    let last = tokens.iter().rposition(|token| *token == end).unwrap();
                    (row * longest + 1, tokens[1..last].iter().map(|token| *token as u32).collect())
                })
                .collect();
            let inputs: Vec<Input> = rows.iter().map(|(_, tokens)| Input::Tokens(tokens)).collect();
            let together = encoder.features(&inputs).unwrap();
            for (index, (first, tokens)) in rows.iter().enumerate() {
                let ours: Vec<f32> = together.of(index).unwrap().flatten_all().unwrap().to_vec1().unwrap();
                let reference = &reference[first * width..(first + tokens.len()) * width];
                close(&ours, reference, &format!("{} {file} {index}", model.weights));
                assert_eq!(ours, features(&encoder, Input::Tokens(tokens)), "alone and in a batch: {file}");
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "{checked}");
}

/// A sequence gives the same bits whatever it is batched with and however many threads there are; long ones go in blocks.
#[test]
fn features_do_not_depend_on_batch_or_threads() {
    for model in [&MODELS[0], &MODELS[10], &MODELS[11]] {
        let encoder = encoder(&read(model));
        let letters = |length: usize| -> Vec<u8> {
            let mut state = length as u64 + 7;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                b"ACGU"[(state >> 62) as usize]
            };
            (0..length).map(|_| next()).collect()
        };
        let sequences: Vec<Vec<u8>> = [1, 90, 700, 191, 30, 5, 2500].map(letters).to_vec();
        let inputs: Vec<Input> = sequences.iter().map(|letters| Input::Letters(letters)).collect();
        let by = |threads: usize, inputs: &[Input]| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| encoder.features(inputs).unwrap())
        };
        let together = by(2, &inputs);
        for (index, input) in inputs.iter().enumerate() {
            let alone: Vec<f32> = by(1, &[*input]).rows().flatten_all().unwrap().to_vec1().unwrap();
            let among: Vec<f32> = together.of(index).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            assert!(alone == among, "{}: {} nt", model.weights, sequences[index].len());
        }
        // Blocks and the whole give the same up to rounding.
        let whole = encoder.forward(&[inputs[2]], None).unwrap();
        let whole: Vec<f32> = whole.rows().flatten_all().unwrap().to_vec1().unwrap();
        close(&whole, &features(&encoder, inputs[2]), model.weights);
    }
}

/// What is missing, left over or of another shape is named as the file names it.
#[test]
fn tensors_that_do_not_fit_are_named() {
    let name = |weights: Weights| {
        let folder = tempfile::tempdir().unwrap();
        for file in ["config.json", "vocab.txt", "tokenizer_config.json"] {
            std::fs::copy(golden().join("rinalmo/multimolecule").join(file), folder.path().join(file)).unwrap();
        }
        let views: Vec<(String, candle_core::Tensor)> = weights.parameters.into_iter().collect();
        candle_core::safetensors::save(&views.into_iter().collect(), folder.path().join("model.safetensors")).unwrap();
        weights::read(folder.path()).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let file = golden().join("rinalmo/multimolecule/model.safetensors");
    let tensors = || -> Parameters {
        candle_core::safetensors::load(&file, &candle_core::Device::Cpu).unwrap().into_iter().collect()
    };
    let weights = |change: &dyn Fn(&mut Parameters)| {
        let mut parameters = tensors();
        change(&mut parameters);
        Weights { parameters, ..read(&MODELS[1]) }
    };
    let layer = "model.encoder.layer.1.output.dense.weight";
    let missing = name(weights(&|tensors| drop(tensors.remove(layer))));
    assert!(missing.contains(layer) && missing.contains("missing"), "{missing}");
    let misshapen = name(weights(&|tensors| {
        let turned = tensors[layer].t().unwrap().contiguous().unwrap();
        tensors.insert(layer.into(), turned);
    }));
    assert!(misshapen.contains(layer) && misshapen.contains("shape"), "{misshapen}");
    let extra = name(weights(&|tensors| {
        let more = tensors[layer].clone();
        tensors.insert("model.encoder.layer.9.extra.weight".into(), more);
    }));
    assert!(extra.contains("model.encoder.layer.9.extra.weight"), "{extra}");
    // 20 heads, of which this small model has 4.
    let heads = weights::read(&golden().join(MODELS[0].weights)).unwrap_err().to_string();
    assert!(heads.contains("--heads"), "{heads}");
}

/// Runs a tool and gives what it wrote to standard error.
#[track_caller]
fn run(tool: &str, arguments: &[&str], status: i32) -> String {
    let path = Path::new(env!("CARGO_BIN_EXE_rnaret-embed")).with_file_name(tool);
    let output = Command::new(path).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{tool} {arguments:?}: {errors}");
    errors
}

/// Imported, and embedded from a FASTA file: exactly a row for each nucleotide.
#[test]
fn the_tools_give_what_the_published_code_gives() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for model in MODELS {
        let (input, imported, out) = (path("input.fa"), path("model.safetensors"), path("rows.safetensors"));
        let manifest = golden().join(model.outputs.split('/').next().unwrap()).join("manifest.json");
        let manifest: Value = serde_json::from_reader(File::open(manifest).unwrap()).unwrap();
        let text: String = manifest["cases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|case| format!(">{}\n{}\n", case["file"].as_str().unwrap(), case["seq"].as_str().unwrap()))
            .collect();
        std::fs::write(&input, text).unwrap();
        let published = golden().join(model.weights);
        let published = published.to_str().unwrap();
        let heads = model.heads.map(|heads| heads.to_string());
        let mut arguments = vec!["import", published, "-q", "-o", &imported];
        if let Some(heads) = &heads {
            arguments.extend(["--heads", heads]);
        }
        run("rnaret-train", &arguments, 0);
        let weights = weights::read(Path::new(&imported)).unwrap();
        assert_eq!(weights.config, read(model).config);
        assert_eq!(weights::write(&weights, Storage::F32).unwrap(), std::fs::read(&imported).unwrap());
        let mut models = vec![imported.as_str()];
        if model.heads.is_none() {
            models.push(published);
        }
        for given in models {
            run(
                "rnaret-embed",
                &["--model", given, "--pool", "none", "--format", "safetensors", "-q", "-o", &out, &input],
                0,
            );
            let rows = candle_core::safetensors::load(&out, &candle_core::Device::Cpu).unwrap();
            for (letters, file) in cases(model.outputs) {
                let rows = &rows[Path::new(&file).file_name().unwrap().to_str().unwrap()];
                assert_eq!(rows.dims(), [letters.len(), weights.config.encoder.width()]);
                let reference = array(&file, model.features).unwrap();
                let reference =
                    of_nucleotides(&reference, weights.config.encoder.width(), letters.len(), unit(&weights));
                close(&rows.flatten_all().unwrap().to_vec1::<f32>().unwrap(), &reference, &format!("{given} {file}"));
            }
        }
    }
}

/// A record that a model cannot read is named, or set aside.
#[test]
fn records_that_a_model_cannot_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input.fa");
    std::fs::write(&input, format!(">short\nACGU\n>long\n{}\n>last\nGGCC\n", "ACGU".repeat(60))).unwrap();
    let (input, model) = (input.to_str().unwrap(), golden().join("splicebert"));
    let arguments = ["--model", model.to_str().unwrap(), "-q", input];
    let errors = run("rnaret-embed", &arguments, 1);
    assert!(errors.contains("record long") && errors.contains("178"), "{errors}");
    run("rnaret-embed", &[&arguments[..], &["--on-error", "skip"]].concat(), 0);
    let model = golden().join("mrna-fm/multimolecule");
    let errors = run("rnaret-embed", &["--model", model.to_str().unwrap(), "-q", input], 1);
    assert!(errors.contains("record short") && errors.contains("codons"), "{errors}");
}

/// The pseudo-perplexity of a published language model.
#[test]
fn likelihoods_are_computed_by_published_models() {
    let model = golden().join("rinalmo/multimolecule");
    run("rnaret-embed", &["--likelihood", "--model", model.to_str().unwrap(), "-q", "testdata/rnas.fa.gz"], 0);
    let model = golden().join("utrbert");
    let errors = run("rnaret-embed", &["--likelihood", "--model", model.to_str().unwrap(), "testdata/rnas.fa.gz"], 1);
    assert!(errors.contains("single nucleotide"), "{errors}");
}

/// The structure heads: their weights, the number of heads of attention, the folder of the outputs, and what these are.
const STRUCTURES: &[(&str, Option<usize>, &str, &str)] = &[
    ("rinalmo/secondary_structure_ft.pt", Some(4), "rinalmo", "ss_logits"),
    ("rinalmo/multimolecule_ss", None, "rinalmo", "ss_logits"),
    ("rna-fm/RNA-FM-ResNet_PDB-All.pth", Some(4), "rna-fm", "ss_logits"),
    ("rna-fm/multimolecule_ss", None, "rna-fm/multimolecule_ss", "ss_logits"),
    // ERNIE-RNA's is not yet equal: after its 100 steps it is up to 0.007 away (docs/models.md), and is compared with nothing.
];

/// Imports weights and gives the file's name.
fn import(weights: &str, heads: Option<usize>, folder: &Path) -> String {
    let (published, imported) = (golden().join(weights), folder.join("model.safetensors"));
    let imported = imported.to_str().unwrap().to_owned();
    let heads = heads.map(|heads| heads.to_string());
    let mut arguments = vec!["import", published.to_str().unwrap(), "-q", "-o", &imported];
    if let Some(heads) = &heads {
        arguments.extend(["--heads", heads]);
    }
    run("rnaret-train", &arguments, 0);
    imported
}

/// Sequences as FASTA, named after the files of their outputs.
fn fasta(cases: &[(Vec<u8>, String)], folder: &Path) -> String {
    let record = |(letters, file): &(Vec<u8>, String)| format!(">{file}\n{}\n", String::from_utf8_lossy(letters));
    let path = folder.join("input.fa");
    std::fs::write(&path, cases.iter().map(record).collect::<String>()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn structures_are_those_of_the_published_code() {
    let folder = tempfile::tempdir().unwrap();
    for &(published, heads, outputs, name) in STRUCTURES {
        let model = import(published, heads, folder.path());
        let weights = weights::read(Path::new(&model)).unwrap();
        let encoder = encoder(&weights);
        let head = FoldHead::new(&weights.config, &weights.parameters).unwrap();
        let inference = head.for_inference(None).unwrap();
        let cases: Vec<(Vec<u8>, String)> =
            cases(outputs).into_iter().filter(|(_, file)| array(file, name).is_some()).collect();
        assert!(cases.len() >= 3, "{published}");
        let probability = |logit: f32| 1.0 / (1.0 + f64::from(-logit).exp()) as f32;
        for (letters, file) in &cases {
            let (length, reference) = (letters.len(), array(file, name).unwrap());
            let features = encoder.features(&[Input::Letters(letters)]).unwrap();
            let features = inference.input(&features, 0).unwrap();
            let sequence: Vec<u8> =
                letters.iter().map(|letter| if b"ACGU".contains(letter) { *letter } else { b'N' }).collect();
            let facts = inference.facts(&sequence, Conditions::default()).unwrap();
            let of_pairs = |value: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
                (0..length).flat_map(|j| (0..j).map(move |i| (i, j))).map(|(i, j)| value(i, j)).collect()
            };
            let expected = of_pairs(&|i, j| reference[i * length + j]);
            let logits = inference.logits(&features, &sequence, &facts).unwrap();
            close(&of_pairs(&|i, j| logits.get(i, j)), &expected, &format!("{published} {file}"));
            // What training sees is the same.
            if let Some(found) = head.forward(&features, &sequence, &facts, 1.0).unwrap() {
                let trained: Vec<f32> = found.logits.to_vec1().unwrap();
                close(&trained, &of_pairs(&|i, j| logits.get(i, j)), &format!("{published} {file} training"));
            }
        }
        // Through the tool: the probabilities of the pairs that may form, and the structure.
        let (input, pairs) = (fasta(&cases, folder.path()), folder.path().join("pairs.tsv"));
        let structures = folder.path().join("structures.ct");
        let (pairs, structures) = (pairs.to_str().unwrap(), structures.to_str().unwrap());
        let options = ["--format", "ct", "--pairs", pairs, "--min-prob", "0", "-q", "-o", structures];
        run("rnaret-fold", &[&["--model", &model], &options[..], &[&input]].concat(), 0);
        let mut checked = 0;
        for line in std::fs::read_to_string(pairs).unwrap().lines().skip(1) {
            let cells: Vec<&str> = line.split('\t').collect();
            let (letters, _) = cases.iter().find(|(_, file)| file == cells[0]).unwrap();
            let place = |text: &str| text.parse::<usize>().unwrap() - 1;
            let value = array(cells[0], name).unwrap()[place(cells[1]) * letters.len() + place(cells[2])];
            close(&[cells[3].parse().unwrap()], &[probability(value)], line);
            checked += 1;
        }
        // Pairs that may form: canonical ones with three bases between them.
        let may_form: usize = cases
            .iter()
            .flat_map(|(letters, _)| (0..letters.len()).flat_map(move |j| (0..j).map(move |i| (letters, i, j))))
            .filter(|&(letters, i, j)| j - i > 3 && is_canonical(letters[i], letters[j]))
            .count();
        assert!(
            checked == may_form || name == "contact_map" && checked > 10,
            "{published}: {checked} of {may_form} pairs"
        );
        if published == "rinalmo/secondary_structure_ft.pt" {
            let text = std::fs::read_to_string(structures).unwrap();
            for (letters, file) in &cases {
                let expected: Vec<usize> = array(file, "ss_pairs").unwrap().iter().map(|x| *x as usize).collect();
                let mut partners = vec![0; letters.len()];
                for pair in expected.as_chunks::<2>().0 {
                    (partners[pair[0]], partners[pair[1]]) = (pair[1] + 1, pair[0] + 1);
                }
                let start = text.lines().position(|line| line.trim_end().ends_with(file.as_str())).unwrap();
                let ours: Vec<usize> = text
                    .lines()
                    .skip(start + 1)
                    .take(letters.len())
                    .map(|line| line.split_whitespace().nth(4).unwrap().parse().unwrap())
                    .collect();
                assert_eq!(ours, partners, "{file}");
            }
        }
    }
}

#[test]
fn classes_are_those_of_the_published_code() {
    let folder = tempfile::tempdir().unwrap();
    for (published, name) in [("splice_ft.pt", "splice_logit"), ("ncrna_class_ft.pt", "ncrna_logits")] {
        let model = import(&format!("rinalmo/{published}"), Some(4), folder.path());
        let (cases, out) = (cases("rinalmo"), folder.path().join("classes.tsv"));
        let input = fasta(&cases, folder.path());
        run("rnaret-predict", &["--model", &model, "-q", "-o", out.to_str().unwrap(), &input], 0);
        let text = std::fs::read_to_string(&out).unwrap();
        for ((_, file), line) in cases.iter().zip(text.lines().skip(1)) {
            let logits = array(file, name).unwrap();
            let logits = if logits.len() == 1 { vec![0.0, logits[0]] } else { logits };
            let total: f32 = logits.iter().map(|x| x.exp()).sum();
            let expected: Vec<f32> = logits.iter().map(|x| x.exp() / total).collect();
            let ours: Vec<f32> = line.split('\t').skip(2).map(|cell| cell.parse().unwrap()).collect();
            close(&ours, &expected, line);
        }
        assert_eq!(text.lines().count(), cases.len() + 1);
    }
    // The encoder of a model whose head is not computed.
    let model = import("rinalmo/mrl_ft.pt", Some(4), folder.path());
    let input = fasta(&cases("rinalmo"), folder.path());
    run("rnaret-embed", &["--model", &model, "-q", &input], 0);
}

/// ChaRNABERT's tokenization, of which there is a published implementation (charformer's).
#[test]
fn subwords_are_those_of_the_published_code() {
    let manifest: Value = serde_json::from_reader(File::open(golden().join("gbst/manifest.json")).unwrap()).unwrap();
    let mut checked = 0;
    for set in manifest["sets"].as_array().unwrap() {
        let file = golden().join("gbst").join(set["weights"].as_str().unwrap());
        let tensors = candle_core::safetensors::load(file, &candle_core::Device::Cpu).unwrap();
        let block = |block: &Value| (block[0].as_u64().unwrap() as usize, block[1].as_u64().unwrap() as usize);
        let config = SubwordsConfig {
            blocks: set["blocks"].as_array().unwrap().iter().map(block).collect(),
            consensus: set["consensus"].as_bool().unwrap(),
        };
        config.validate().unwrap();
        let names = [
            ("convolution.weight", "pos_conv.2.conv.weight"),
            ("convolution.bias", "pos_conv.2.conv.bias"),
            ("mix.weight", "pos_conv.2.proj_out.weight"),
            ("mix.bias", "pos_conv.2.proj_out.bias"),
            ("score.weight", "score_fn.0.weight"),
            ("score.bias", "score_fn.0.bias"),
        ];
        let parameters: Parameters = names
            .into_iter()
            .map(|(own, published)| {
                let tensor = tensors[published].clone();
                (own.to_owned(), if own == "mix.weight" { tensor.squeeze(2).unwrap() } else { tensor })
            })
            .collect();
        let width = set["dim"].as_u64().unwrap() as usize;
        let subwords = Subwords::build(&config, width, &rnaret::model::builder::read(&parameters)).unwrap();
        for case in set["cases"].as_array().unwrap() {
            let file = format!("gbst/{}", case["file"].as_str().unwrap());
            let ids: Vec<u32> = array(&file, "tokens").unwrap().into_iter().map(|id| id as u32).collect();
            let count = ids.len();
            let ids = candle_core::Tensor::from_vec(ids, count, &candle_core::Device::Cpu).unwrap();
            let x = tensors["token_emb.weight"].index_select(&ids, 0).unwrap();
            let ours = subwords.forward(&x, &[0, count]).unwrap();
            close(&ours.flatten_all().unwrap().to_vec1::<f32>().unwrap(), &array(&file, "output").unwrap(), &file);
            // Two in one batch.
            let both =
                subwords.forward(&candle_core::Tensor::cat(&[&x, &x], 0).unwrap(), &[0, count, 2 * count]).unwrap();
            let (both, ours) = (both.to_vec2::<f32>().unwrap(), ours.to_vec2::<f32>().unwrap());
            assert!(both[..count] == ours && both[count..] == ours, "{file}");
            checked += 1;
        }
    }
    assert!(checked >= 12);
}

/// Small Transformers of every kind.
fn shapes() -> Vec<(&'static str, TransformerConfig)> {
    let small = || TransformerConfig { ffn_width: 10, ..TransformerConfig::new(12, 2, 2) };
    vec![
        ("our own", small()),
        ("RiNALMo", TransformerConfig { residual: Residual::Normalised, ..small() }),
        (
            "BERT",
            TransformerConfig {
                norm: NormPlace::After,
                positions: PositionKind::Learned { count: 30 },
                activation: Activation::Relu,
                attention_bias: true,
                embedding_norm: true,
                final_norm: false,
                token_dropout: false,
                guess: GuessConfig { norm_epsilon: 1e-5, activation: Activation::Gelu, tied: true },
                ..small()
            },
        ),
        (
            "ERNIE-RNA",
            TransformerConfig {
                norm: NormPlace::After,
                positions: PositionKind::Sinusoidal { first: 2 },
                activation: Activation::Gelu,
                attention_bias: true,
                pair_bias: Some(0.8),
                ..small()
            },
        ),
        (
            "ChaRNABERT",
            TransformerConfig {
                query_key_norm: true,
                subwords: Some(SubwordsConfig { blocks: vec![(1, 0), (2, 1), (3, 0)], consensus: true }),
                ..small()
            },
        ),
    ]
}

/// Every weight has a gradient, and it is that of finite differences.
#[test]
fn every_weight_of_a_transformer_has_a_gradient() {
    for (kind, config) in shapes() {
        let config = ModelConfig::new(config, HeadConfig::LanguageModel);
        // Larger numbers than training starts with, so that attention has something to choose.
        let large = |(name, tensor): (String, candle_core::Tensor)| {
            let factor = match tensor.rank() {
                2 => 15.0,
                _ => 1.0,
            };
            // Positive where a gelu follows, so that nothing is cut off.
            match name.contains("pair_bias") && tensor.rank() == 2 {
                true => (name, (tensor.abs().unwrap() * 60.0).unwrap()),
                false => (name, (tensor * factor).unwrap()),
            }
        };
        let parameters: Parameters = initialise(&config, 7).unwrap().into_iter().map(large).collect();
        let inputs = [Input::Tokens(&[6, 7, 8, 9, 4, 9, 6, 8]), Input::Letters(b"UUGAC"), Input::Letters(b"G")];
        let logits = |parameters: &Parameters| {
            let encoder = Encoder::new(&config, parameters).unwrap();
            let features = encoder.forward(&inputs, None).unwrap();
            encoder.logits(&features, &(0..14).collect::<Vec<_>>()).unwrap()
        };
        let numbers = |tensor: &candle_core::Tensor| -> Vec<f64> {
            tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect()
        };
        let weight = |count: usize| (0..count).map(|index| (0.7 * index as f64).sin());
        let variables: std::collections::BTreeMap<String, Var> =
            parameters.iter().map(|(name, tensor)| (name.clone(), Var::from_tensor(tensor).unwrap())).collect();
        let tracked = variables.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        let found = logits(&tracked);
        let outer: Vec<f32> = weight(found.elem_count()).map(|x| x as f32).collect();
        let outer = candle_core::Tensor::from_vec(outer, found.shape(), &candle_core::Device::Cpu).unwrap();
        let gradients = (found * outer).unwrap().sum_all().unwrap().backward().unwrap();
        for (name, variable) in &variables {
            let direction = gradients.get(variable).unwrap_or_else(|| panic!("{kind}: {name} has no gradient"));
            let length = numbers(direction).iter().map(|g| g * g).sum::<f64>().sqrt();
            // A constant in all keys moves all scores of a query alike, and nothing else; so does one in all scores of blocks.
            let constants = ["attention.key.bias", "score.bias", "pair_bias.dense2.bias"];
            if constants.iter().any(|end| name.ends_with(end)) {
                continue;
            }
            assert!(length > 0.0, "{kind} {name}: the gradient is zero");
            let moved = |step: f64| {
                let mut parameters = parameters.clone();
                let shifted = (&parameters[name] + (direction * step).unwrap()).unwrap();
                parameters.insert(name.clone(), shifted);
                numbers(&logits(&parameters))
            };
            let size = numbers(variable).iter().fold(0f64, |largest, x| largest.max(x.abs())).clamp(0.1, 1.0);
            let off = |part: f64| {
                let step = part / length * size;
                let (up, down) = (moved(step), moved(-step));
                let differences = up.iter().zip(&down).map(|(up, down)| up - down);
                let slope = differences.zip(weight(up.len())).map(|(d, weight)| d * weight).sum::<f64>() / (2.0 * step);
                (slope / (length * length) - 1.0).abs()
            };
            // A long step bends, rounding spoils a short one.
            let off = [0.5, 0.2, 5e-2, 1e-2, 2e-3, 5e-4].map(off);
            assert!(off.iter().any(|off| *off <= 0.05), "{kind} {name}: slopes differ by {off:?}, length {length}");
        }
    }
}

/// A Transformer is trained from nothing, and a published one for a task of one's own with its encoder frozen.
#[test]
fn transformers_are_trained() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for encoder in ["transformer", "characters"] {
        let (run_folder, out) = (path(encoder), path("rows.tsv"));
        let sizes = ["--layers", "1", "--embed-dim", "16", "--heads", "2", "--encoder", encoder];
        let options =
            ["--steps", "3", "--validation-fraction", "0", "--micro-tokens", "600", "-q", "testdata/rnas.fa.gz"];
        let arguments = [&["pretrain", "--run", &run_folder][..], &sizes, &options].concat();
        run("rnaret-train", &arguments, 0);
        // The same command goes on from what is there: nothing is left to do.
        run("rnaret-train", &arguments, 0);
        let model = format!("{run_folder}/model.safetensors");
        run("rnaret-embed", &["--model", &model, "-q", "-o", &out, "testdata/rnas.fa.gz"], 0);
        assert_eq!(std::fs::read_to_string(&out).unwrap().lines().next().unwrap().split('\t').count(), 18);
        run("rnaret-embed", &["--model", &model, "--likelihood", "-q", "-o", &out, "testdata/rnas.fa.gz"], 0);
    }
    let data: String = (0..24)
        .map(|i| {
            format!("r{i}\t{}\t{}\n", ["GGGGCCCCGGCC", "AAUUAAUUAAUA"][i % 2].repeat(1 + i / 8), ["gc", "au"][i % 2])
        })
        .collect();
    std::fs::write(path("data.tsv"), format!("id\tseq\tlabel\n{data}")).unwrap();
    let (run_folder, model) = (path("classes"), golden().join("splicebert"));
    let options = ["--freeze", "true", "--epochs", "2", "--split-by", "record", "-q"];
    let arguments = ["classify", "--model", model.to_str().unwrap(), "--run", &run_folder];
    run("rnaret-train", &[&arguments[..], &options, &[&path("data.tsv")]].concat(), 0);
    let trained = weights::read(Path::new(&format!("{run_folder}/model.safetensors"))).unwrap();
    let before = weights::read(&model).unwrap();
    let mut compared = 0;
    for (name, tensor) in trained.parameters.iter().filter(|(name, _)| name.starts_with("encoder.")) {
        let numbers = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(numbers(tensor), numbers(&before.parameters[name]), "{name}");
        compared += 1;
    }
    assert!(compared > 40, "{compared}");
    let model = format!("{run_folder}/model.safetensors");
    run("rnaret-predict", &["--model", &model, "-q", "-o", &path("classes.tsv"), "testdata/rnas.fa.gz"], 1);
    // Cut into what that model has positions for.
    std::fs::write(path("short.fa"), ">a\nGGGGCCCCGGCCGGGG\n").unwrap();
    run("rnaret-predict", &["--model", &model, "-q", "-o", &path("classes.tsv"), &path("short.fa")], 0);
}

/// Attention of every layer and head, and its mean over the heads of the last layer through the tool.
#[test]
fn attention_is_that_of_the_published_code() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("attention.tsv");
    let mut checked = 0;
    for model in MODELS {
        let weights = read(model);
        if unit(&weights) != Unit::Letter {
            continue;
        }
        let Encoder::Transformer(encoder) = encoder(&weights) else { panic!("no Transformer") };
        let (heads, layers) = (encoder.config().heads, encoder.config().layers);
        for (letters, file) in cases(model.outputs) {
            let (length, tokens) = (letters.len(), letters.len() + 2);
            let Some(reference) = array(&file, "attention").filter(|x| x.len() == layers * heads * tokens * tokens)
            else {
                continue;
            };
            let of = |layer: usize, head: usize, n: usize| {
                let start = ((layer * heads + head) * tokens + n + 1) * tokens + 1;
                &reference[start..start + length]
            };
            let maps = encoder.attention_maps(&encoder.token_ids(&letters).unwrap(), 0).unwrap();
            assert_eq!(maps.len(), layers);
            for (layer, map) in maps.iter().enumerate() {
                for (head, n) in (0..heads).flat_map(|head| (0..length).map(move |n| (head, n))) {
                    close(&map.of_head(head, n), of(layer, head, n), &format!("{file} layer {layer} head {head}"));
                }
            }
            if model.heads.is_none() {
                let input = fasta(&[(letters.clone(), "r".into())], folder.path());
                let published = golden().join(model.weights);
                let arguments = ["--model", published.to_str().unwrap(), "--attention", "map", "-q"];
                run("rnaret-embed", &[&arguments[..], &["-o", out.to_str().unwrap(), &input]].concat(), 0);
                let text = std::fs::read_to_string(&out).unwrap();
                let ours: Vec<f32> =
                    text.lines().skip(1).map(|line| line.rsplit('\t').next().unwrap().parse().unwrap()).collect();
                let mean =
                    |n: usize, m: usize| (0..heads).map(|head| of(layers - 1, head, n)[m]).sum::<f32>() / heads as f32;
                let expected: Vec<f32> =
                    (0..length).flat_map(|n| (0..length).map(move |m| (n, m))).map(|(n, m)| mean(n, m)).collect();
                close(&ours, &expected, &file);
            }
            checked += 1;
        }
    }
    assert!(checked >= 6, "{checked}");
    let errors = run("rnaret-embed", &["--attention", "map", "testdata/rnas.fa.gz"], 1);
    assert!(errors.contains("--retention"), "{errors}");
}

/// What a language model knows without training: figures come out, chosen by some records and measured on others.
#[test]
fn language_models_are_evaluated_without_training() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let model = golden().join("rinalmo/multimolecule");
    let model = model.to_str().unwrap();
    let out = path("figures.tsv");
    let arguments = ["evaluate", "--zero-shot", "--task", "structure", "--model", model, "-q", "-o", &out];
    let record = |i: usize| format!(">r{i}\nGGGGAAACC{}CC\n((((...)){}))\n", "A".repeat(i), ".".repeat(i));
    std::fs::write(path("structures.dbn"), (0..16).map(record).collect::<String>()).unwrap();
    let data = ["--validation-fraction", "0.5", &path("structures.dbn")];
    run("rnaret-train", &[&arguments[..], &data].concat(), 0);
    let text = std::fs::read_to_string(&out).unwrap();
    assert!(text.contains("\nf1\t") && text.contains("\nlayer\t"), "{text}");
    let rows: String = (0..12)
        .map(|i| format!("r{i}\t{}\t{}\n", ["GGGGCCCC", "AUAUAUAA"][i % 2].repeat(2 + i), ["a", "b"][i % 2]))
        .collect();
    std::fs::write(path("families.tsv"), format!("id\tseq\tfamily\n{rows}")).unwrap();
    let arguments = ["evaluate", "--zero-shot", "--task", "families", "--model", model, "-q", "-o", &out];
    run("rnaret-train", &[&arguments[..], &[&path("families.tsv")]].concat(), 0);
    let text = std::fs::read_to_string(&out).unwrap();
    assert!(text.contains("pairs\t30") && text.contains("overlap\t"), "{text}");
}
