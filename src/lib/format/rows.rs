//! The rows of a table as they are asked for: tab-separated or as JSON Lines, with or without the descriptions of records.
//!
//! Tools write tab-separated rows; here they become objects, one a line, with the names of the columns as keys:
//!
//! - `NA` is null, numbers are numbers with the same digits, and columns of text are strings whatever they hold;
//! - `e0`, `e1` … are one list, `vector`;
//! - `p_CLASS` … are one object, `probabilities`.
//!
//! `docs/json.schema.json` describes the objects of each tool.

use std::io::Write;

use super::table::MISSING;

/// Columns of text, whose values are never numbers.
const TEXT: [&str; 14] = [
    "id",
    "sequence",
    "structure",
    "label",
    "state",
    "strand",
    "mirna",
    "target",
    "seed_type",
    "homolog",
    "nucleotide",
    "description",
    "alignment",
    "best_mirna",
];

/// How the rows of a table are written.
#[derive(Clone, Debug)]
pub struct Rows {
    columns: Vec<String>,
    is_json: bool,
    has_description: bool,
}

impl Rows {
    /// Rows with the columns of `header` (a header row without its line end), as JSON Lines or tab-separated; with a last
    /// column `description` or without.
    pub fn new(header: &str, is_json: bool, has_description: bool) -> Self {
        Self { columns: header.trim_end().split('\t').map(str::to_owned).collect(), is_json, has_description }
    }

    /// The header row with its line end; nothing for JSON Lines.
    pub fn header(&self) -> String {
        match (self.is_json, self.has_description) {
            (true, _) => String::new(),
            (false, true) => format!("{}\tdescription\n", self.columns.join("\t")),
            (false, false) => format!("{}\n", self.columns.join("\t")),
        }
    }

    /// Rows of one record, tab-separated as tools write them, in the form that is asked for.
    pub fn of_record(&self, rows: Vec<u8>, description: &str) -> Vec<u8> {
        if !self.is_json && !self.has_description {
            return rows;
        }
        let description = as_cell(description);
        let mut written = Vec::with_capacity(rows.len() * 2);
        for row in rows.split(|&byte| byte == b'\n').filter(|row| !row.is_empty()) {
            if self.is_json {
                self.write_object(row, &description, &mut written);
            } else {
                written.extend_from_slice(row);
                written.push(b'\t');
                written.extend_from_slice(description.as_bytes());
            }
            written.push(b'\n');
        }
        written
    }

    fn write_object(&self, row: &[u8], description: &str, out: &mut Vec<u8>) {
        let row = String::from_utf8_lossy(row);
        let cells: Vec<&str> = row.split('\t').collect();
        out.push(b'{');
        let mut at = 0;
        while at < self.columns.len().min(cells.len()) {
            let name = self.columns[at].as_str();
            // A run of columns that belong together is one value.
            let together = |is_one: fn(&str) -> bool| self.columns[at..].iter().take_while(|name| is_one(name)).count();
            let (vector, classes) = (together(is_of_vector), together(is_of_class));
            if at > 0 {
                out.push(b',');
            }
            if vector > 0 {
                out.extend_from_slice(b"\"vector\":[");
                self.write_values(at..at + vector, &cells, out, |_, _| {});
                out.push(b']');
            } else if classes > 0 {
                out.extend_from_slice(b"\"probabilities\":{");
                self.write_values(at..at + classes, &cells, out, |name, out| write_key(&name["p_".len()..], out));
                out.push(b'}');
            } else {
                write_key(name, out);
                write_value(name, cells[at], out);
            }
            at += vector.max(classes).max(1);
        }
        if self.has_description {
            out.push(b',');
            write_key("description", out);
            write_string(description, out);
        }
        out.push(b'}');
    }

    /// The values of some columns with commas between, each after what `before` writes.
    fn write_values(
        &self,
        columns: std::ops::Range<usize>,
        cells: &[&str],
        out: &mut Vec<u8>,
        before: impl Fn(&str, &mut Vec<u8>),
    ) {
        let first = columns.start;
        for at in columns {
            if at > first {
                out.push(b',');
            }
            before(&self.columns[at], out);
            write_value(&self.columns[at], cells.get(at).copied().unwrap_or(MISSING), out);
        }
    }
}

/// A description in the first line of a record's text, after the id: dot-bracket, CT, BPSEQ.
pub fn in_first_line(mut text: Vec<u8>, description: &str) -> Vec<u8> {
    if description.is_empty() {
        return text;
    }
    let end = text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len());
    let words = format!(" {}", as_cell(description));
    text.splice(end..end, words.into_bytes());
    text
}

/// Text that fits into a cell and a line.
fn as_cell(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}

/// Whether a column is a number of a vector: `e0`, `e1` …
fn is_of_vector(name: &str) -> bool {
    name.strip_prefix('e').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a column is the probability of a class.
fn is_of_class(name: &str) -> bool {
    name.starts_with("p_")
}

fn write_key(name: &str, out: &mut Vec<u8>) {
    write_string(name, out);
    out.push(b':');
}

fn write_value(column: &str, cell: &str, out: &mut Vec<u8>) {
    let is_text = TEXT.contains(&column);
    // An id may be `NA`.
    if cell == MISSING && !matches!(column, "id" | "mirna" | "target") {
        out.extend_from_slice(b"null");
    } else if !is_text && is_json_number(cell) {
        out.extend_from_slice(cell.as_bytes());
    } else {
        write_string(cell, out);
    }
}

/// Whether a cell is a number by the grammar of JSON, so that its digits can stand as they are.
fn is_json_number(cell: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(cell).is_ok()
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    // Writing a string to memory does not fail.
    let _ = write!(out, "{}", serde_json::Value::from(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rows: &Rows, row: &str, description: &str) -> String {
        String::from_utf8(rows.of_record(row.as_bytes().to_vec(), description)).expect("text")
    }

    #[test]
    fn rows_become_objects() {
        let rows = Rows::new("id\tlength\tlabel\tp_a b\tp_\"c\"\tenergy", true, true);
        assert_eq!(rows.header(), "");
        assert_eq!(
            text(&rows, "12\t7\t1\t0.25\t1e-07\tNA\n", "x \"y\"\tz"),
            "{\"id\":\"12\",\"length\":7,\"label\":\"1\",\"probabilities\":{\"a b\":0.25,\"\\\"c\\\"\":1e-07},\"energy\":null,\
             \"description\":\"x \\\"y\\\" z\"}\n"
        );
        let vectors = Rows::new("id\tposition\tnucleotide\te0\te1", true, false);
        assert_eq!(
            text(&vectors, "NA\t1\tA\t-0.5\t2\nNA\t2\tC\t3\t4\n", ""),
            "{\"id\":\"NA\",\"position\":1,\"nucleotide\":\"A\",\"vector\":[-0.5,2]}\n\
             {\"id\":\"NA\",\"position\":2,\"nucleotide\":\"C\",\"vector\":[3,4]}\n"
        );
    }

    #[test]
    fn descriptions_are_a_last_column_or_stand_behind_the_id() {
        let rows = Rows::new("id\tlength", false, true);
        assert_eq!(rows.header(), "id\tlength\tdescription\n");
        assert_eq!(text(&rows, "a\t7\na\t8\n", "gene\tX"), "a\t7\tgene X\na\t8\tgene X\n");
        assert_eq!(text(&rows, "", "gene"), "");
        let plain = Rows::new("id\tlength", false, false);
        assert_eq!(text(&plain, "a\t7\n", "gene"), "a\t7\n");
        assert_eq!(in_first_line(b">a\nACGU\n....\n".to_vec(), "gene X"), b">a gene X\nACGU\n....\n");
        assert_eq!(in_first_line(b"4 a\n".to_vec(), ""), b"4 a\n");
    }
}
