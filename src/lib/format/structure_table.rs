//! Structures from a table: the columns `id` (or `name`), `sequence` (or `seq`) and `structure` (or `dotbracket`,
//! `dot_bracket`, `dbn`), in any order, among any others; `family` (or `class`) where there is one.

use std::io::Read;

use super::{dot_bracket::parse_structure_line, lines::fallback_id, named_columns::Table};
use crate::structure::Structure;
use crate::{Result, sequence::normalise};

/// The names of columns that hold structures.
const STRUCTURE: [&str; 4] = ["structure", "dotbracket", "dot_bracket", "dbn"];

/// Whether a column of this name holds structures in dot-bracket.
pub(super) fn is_structure_column(name: &str) -> bool {
    STRUCTURE.contains(&name.trim().trim_matches('"').to_ascii_lowercase().as_str())
}

/// Reads structures and their families (empty where there is no such column) one by one. A table without ids names its
/// records after the file.
pub struct Reader<R> {
    /// `None` where the input is empty.
    table: Option<Table<R>>,
    file: String,
    id: Option<usize>,
    sequence: usize,
    structure: usize,
    family: Option<usize>,
    records: usize,
    finished: bool,
}

impl<R: Read> Reader<R> {
    /// A reader of `input`, which errors call `file`; reads the header row.
    ///
    /// # Errors
    /// Where the input cannot be read or a column is missing.
    pub fn new(input: R, file: impl Into<String>) -> Result<Self> {
        let file = file.into();
        let table = Table::open(input, &file)?;
        let mut reader =
            Self { table: None, file, id: None, sequence: 0, structure: 0, family: None, records: 0, finished: false };
        if let Some(table) = table {
            reader.sequence = table.column(&["sequence", "seq"])?;
            reader.structure = table.column(&STRUCTURE)?;
            reader.id = table.optional(&["id", "name"]);
            reader.family = table.optional(&["family", "class"]);
            reader.table = Some(table);
        }
        Ok(reader)
    }

    fn read(&mut self) -> Result<Option<(Structure, String)>> {
        let Some(table) = &mut self.table else { return Ok(None) };
        if !table.advance()? {
            return Ok(None);
        }
        self.records += 1;
        let parsed = (|| {
            let row = table.fields()?;
            let id = self.id.and_then(|id| row[id].split_ascii_whitespace().next()).map(str::to_owned);
            let id = id.unwrap_or_else(|| fallback_id(&self.file, self.records));
            let sequence = normalise(row[self.sequence].trim_ascii().as_bytes())
                .map_err(|bad| format!("sequence: position {}: {bad}", bad.position))?;
            let structure = row[self.structure].trim_ascii().as_bytes();
            if sequence.is_empty() || sequence.len() != structure.len() {
                let (bases, characters) = (sequence.len(), structure.len());
                return Err(format!("the structure has {characters} characters and the sequence {bases} bases"));
            }
            let partners = parse_structure_line(structure)
                .map_err(|(position, message)| format!("structure: position {}: {message}", position + 1))?;
            let family = self.family.map_or("", |family| &row[family]).to_owned();
            Ok((Structure { id, sequence, partners }, family))
        })();
        parsed.map(Some).map_err(|message: String| table.error(message))
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<(Structure, String)>;

    /// The next record; nothing after an error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let record = self.read().transpose();
        self.finished = !matches!(record, Some(Ok(_)));
        record
    }
}
