//! Files are told apart by their content and put together by record; nothing in a result can become a part of the page.

use std::io::Read;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use serde_json::Value;

use super::results::Kind;
use super::{Results, files, page};

/// A folder with these files.
fn folder(contents: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in contents {
        std::fs::write(folder.path().join(name), content).expect("a file");
    }
    folder
}

/// The block of data in an element of this id, as JSON values.
fn data(page: &str, id: &str) -> Vec<Value> {
    let start = page.split_once(&format!("id=\"{id}\" type=\"text/plain\">")).expect("the element").1;
    let text = start.split_once("</script>").expect("its end").0;
    let unpack = |line: &str| {
        let mut json = String::new();
        let bytes = STANDARD.decode(line).expect("base64");
        ZlibDecoder::new(bytes.as_slice()).read_to_string(&mut json).expect("compressed text");
        serde_json::from_str(&json).expect("JSON")
    };
    text.lines().map(unpack).collect()
}

fn column<'a>(overview: &'a Value, name: &str) -> &'a Value {
    let columns = overview["columns"].as_array().expect("columns");
    &columns.iter().find(|column| column["name"] == name).unwrap_or_else(|| panic!("no column {name}"))["values"]
}

const STRUCTURES: &str = "id\tlength\tsequence\tstructure\tpairs\tenergy\tensemble_energy\tmean_pair_probability\n\
                          a\t12\tGGGGAAAACCCC\t((((....))))\t4\t-5.40\t-5.60\t0.9\n\
                          <script>\t4\tACGU\t....\t0\t0.00\t0.00\tNA\n";

#[test]
fn what_belongs_to_a_record_comes_together() {
    let folder = folder(&[
        ("x.structures.tsv", STRUCTURES),
        ("x.pairs.tsv", "id\ti\tj\tprobability\na\t1\t12\t0.9\na\t2\t11\t0.001\n"),
        (
            "x.potential.tsv",
            "id\tlength\tcoding_potential\tlabel\tstate\tstrand\torf_start\torf_end\torf_length\torf_coverage\na\t12\t0.25\tlncRNA\tnone\t+\t0\t9\t9\t0.75\n<script>\t4\tNA\tNA\tnone\t+\tNA\tNA\tNA\tNA\n",
        ),
        ("x.cds.bed", "a\t0\t9\ta\t700\t+\n"),
        ("x.track.bedgraph", "a\t0\t6\t0.25\na\t6\t12\t0.75\n"),
        (
            "x.sites.tsv",
            "mirna\ttarget\tstart\tend\tseed_type\tprobability\nm1\ta\t0\t10\t8mer\t0.2\nm2\ta\t2\t12\t6mer\t0.8\nm3\ta\t2\t12\tnone\tNA\n",
        ),
        ("x.embeddings.tsv", "id\tlength\te0\te1\na\t12\t1\t0\n<script>\t4\t-1\t0.5\nb\t3\t0\t1\n"),
        (
            "rnaret.stats.tsv",
            "run\ttool\tversion\tcommand\trecords\trejected\tseconds\tdevice\tmodel\tmodel_sha256\tstatus\nx\trnaret-fold\t0.1.0\trnaret-fold x\t2\t1\t0.5\tcpu\tbuilt-in fold model\tabc\t0\n",
        ),
        ("versions.tsv", "process\ttool\tversion\n"),
        ("notes.txt", "nothing of ours\n"),
    ]);
    let results = Results::read(&[folder.path().to_owned()]).expect("results");
    let text = page(&results, "A <b> title").expect("a page");
    assert_eq!(text, page(&results, "A <b> title").expect("a page"));
    assert!(text.contains("<title>A &lt;b&gt; title</title>") && !text.contains("<b> title"));
    // The two blocks of data, and the scripts: the record of that name is in neither.
    assert_eq!(text.matches("<script").count(), 3);
    assert_eq!(text.matches("</script>").count(), 3);

    let overview = &data(&text, "overview-data")[0];
    assert_eq!(*column(overview, "id"), serde_json::json!(["a", "<script>", "b"]));
    assert_eq!(*column(overview, "pairs"), serde_json::json!([4, 0, null]));
    assert_eq!(*column(overview, "energy"), serde_json::json!([-5.4, 0.0, null]));
    assert_eq!(*column(overview, "coding"), serde_json::json!(["lncRNA", null, null]));
    assert_eq!(*column(overview, "sites"), serde_json::json!([3, null, null]));
    assert_eq!(*column(overview, "best miRNA"), serde_json::json!(["m2", null, null]));
    assert_eq!(overview["map"]["records"], serde_json::json!([0, 1, 2]));
    assert!(overview["warnings"][0].as_str().expect("a warning").contains("1 records were set aside"));
    assert_eq!(overview["work"][0]["card"].as_array().expect("a card").len(), 3);

    let details = &data(&text, "details-data")[0][0];
    assert_eq!(details["structure"], "((((....))))");
    assert_eq!(details["layout"].as_array().expect("steps").len(), 24);
    // What cannot be seen is left out.
    assert_eq!(details["pairs"], serde_json::json!([0, 11, 90]));
    assert_eq!(details["track"]["percent"], serde_json::json!([25, 25, 25, 25, 25, 25, 75, 75, 75, 75, 75, 75]));
    assert_eq!(details["regions"][0]["end"], 9);
    assert_eq!(details["sites"][2]["mirna"], "m3");
}

#[test]
fn samples_are_told_by_names_and_ids_may_come_again_in_another() {
    let folder = folder(&[("x.structures.tsv", STRUCTURES), ("y.z.structures.tsv", STRUCTURES)]);
    let results = Results::read(&[folder.path().to_owned()]).expect("results");
    let overview = data(&page(&results, "t").expect("a page"), "overview-data").remove(0);
    assert_eq!(overview["samples"], serde_json::json!(["x", "y.z"]));
    assert_eq!(*column(&overview, "sample"), serde_json::json!(["x", "x", "y.z", "y.z"]));
}

#[test]
fn what_cannot_be_reported_is_an_error_that_says_so() {
    let twice = folder(&[("one.tsv", STRUCTURES), ("two.tsv", STRUCTURES)]);
    let error = Results::read(&[twice.path().to_owned()]).err().expect("an error").to_string();
    assert!(error.contains("two.tsv: record a: there is a record of this name already"), "{error}");

    let nothing = folder(&[("notes.txt", "hello\n")]);
    let error = Results::read(&[nothing.path().to_owned()]).err().expect("an error").to_string();
    assert!(error.contains("no results of the tools"), "{error}");
    let named: PathBuf = nothing.path().join("notes.txt");
    let error = Results::read(&[named]).err().expect("an error").to_string();
    assert!(error.contains("notes.txt: start of the file"), "{error}");

    let bad = folder(&[("structures.tsv", "id\tsequence\tstructure\na\tACGU\t((..\n")]);
    let error = Results::read(&[bad.path().to_owned()]).err().expect("an error").to_string();
    assert!(error.contains("line 2 (a)") && error.contains("never closed"), "{error}");
}

#[test]
fn kinds_are_told_by_the_first_lines() {
    let of = |text: &str| Kind::of(&text.lines().map(str::to_owned).collect::<Vec<_>>());
    for (text, kind) in [
        ("id\thomolog\tidentity\taligned\tcovered\tkept", Some(Kind::Homologs)),
        ("id\tlength\tpseudo_perplexity", Some(Kind::Likelihood)),
        ("id\tlabel\tp_mRNA\tp_tRNA", Some(Kind::Predictions)),
        ("id\tposition\tnucleotide\te0\te1", None),
        ("id\tlength\tpairs\tcoding_potential\tembedding_norm", None),
        (">a\nACGU\n....", Some(Kind::Structures)),
        (">a\nACGU\n(..) (-1.20)", Some(Kind::Structures)),
        (">a protein\nMKV\n>b", None),
        ("4 x\n1 A 0 2 0 1\n2 C 1 3 0 2", Some(Kind::Structures)),
        ("a\t0\t5\t0.5", Some(Kind::Track)),
        ("a\t0\t5\ta.cds1\t500\t+", Some(Kind::Regions)),
        ("process\ttool\tversion", None),
        ("", None),
    ] {
        assert_eq!(of(text), kind, "{text}");
    }
}

#[test]
fn folders_give_what_may_be_results() {
    let folder = folder(&[
        ("b.tsv.gz", ""),
        ("a.dbn", ""),
        (".a.tsv.x.tmp", ""),
        (".b.tsv", ""),
        ("report.html", ""),
        ("x.log", ""),
    ]);
    let found = files(&[folder.path().to_owned()]).expect("files");
    let names: Vec<_> = found.iter().map(|path| path.file_name().expect("a name").to_string_lossy()).collect();
    assert_eq!(names, ["a.dbn", "b.tsv.gz"]);
}
