//! Embeddings out: TSV, JSON Lines, NumPy, safetensors or Parquet; one vector per record, or one per base.
//!
//! All numbers are 32-bit floats (TSV: 6 significant digits). d is the dimension, L a record's length, N the number of
//! records.
//!
//! | format | pooled: one vector per record | per base: L x d per record |
//! | --- | --- | --- |
//! | tsv | header `id length e0 .. e{d-1}`, a row per record | header `id position nucleotide e0 .. e{d-1}`, a row per base, positions from 1 |
//! | npy | one little-endian `<f4` array (N, d) | one array (L, d) per record, one after another: call `numpy.load` on the open file once per record; a single record is an ordinary .npy |
//! | safetensors | tensor `embeddings` (N, d); the file's metadata holds `ids` and `lengths`, each a JSON list | a tensor (L, d) per record under its id |
//! | parquet | columns `id` (string), `length` (int64), `e0` .. (float) | columns `id`, `position` (int64, from 1), `nucleotide` (string), `e0` .. |
//!
//! NumPy arrays hold no ids: they go, with the lengths, to a table of their own (`id length`, a row per record in the
//! arrays' order), which the tools write to `<output>.ids.tsv` beside a named output.
//!
//! Memory does not grow with the number of records, but for the ids where a header needs them (safetensors). Formats
//! whose header comes before the data and says how much there is (pooled NumPy, safetensors) wait in an unnamed
//! temporary file. Parquet goes out in row groups of at most 16 MiB of numbers, compressed with zstd.
//!
//! Only TSV and per-base NumPy can be cut into shards that are put together with `cat`: [`EmbeddingFormat::concatenates`].

use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, Write},
    path::{Path, PathBuf},
};

use rustc_hash::FxHashSet;

use super::number;
#[cfg(feature = "parquet")]
use super::parquet_embedding::ParquetWriter;
use super::rows::Rows;

/// The containers of embeddings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum EmbeddingFormat {
    /// Tab-separated text
    #[default]
    Tsv,
    /// NumPy arrays
    Npy,
    /// safetensors
    Safetensors,
    /// Apache Parquet
    #[cfg(feature = "parquet")]
    Parquet,
    /// JSON Lines: the rows of tsv as objects, with the numbers as a list
    #[cfg_attr(feature = "cli", value(alias = "jsonl"))]
    Json,
}

/// What the vectors belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddingShape {
    /// One vector per record.
    Pooled,
    /// One vector per base.
    PerBase,
}

impl EmbeddingFormat {
    /// Whether outputs put one after another (the header row in the first alone) are the output of all their records.
    pub fn concatenates(self, shape: EmbeddingShape) -> bool {
        match self {
            Self::Tsv | Self::Json => true,
            Self::Npy => shape == EmbeddingShape::PerBase,
            Self::Safetensors => false,
            #[cfg(feature = "parquet")]
            Self::Parquet => false,
        }
    }

    /// Whether the container has no place for ids, so that they go to a table of their own.
    pub fn needs_id_table(self) -> bool {
        self == Self::Npy
    }
}

/// How embeddings are to be written.
#[derive(Clone, Debug)]
pub struct EmbeddingOptions {
    /// The container.
    pub format: EmbeddingFormat,
    /// What the vectors belong to.
    pub shape: EmbeddingShape,
    /// Numbers per vector.
    pub dimension: usize,
    /// Whether TSV begins with its header row: not in the later shards of a run.
    pub header: bool,
    /// Whether TSV and JSON hold the descriptions of records.
    pub keep_description: bool,
    /// Where data that has to wait is kept: the output's folder, or the system's temporary folder (TMPDIR) where the
    /// output has none.
    pub temporary_folder: Option<PathBuf>,
}

/// One record's embedding.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a> {
    /// The record's id, without description.
    pub id: &'a str,
    /// The rest of its header.
    pub description: &'a str,
    /// Its L bases: upper-case RNA letters.
    pub sequence: &'a [u8],
    /// Pooled: d numbers. Per base: L x d, base after base.
    pub values: &'a [f32],
}

/// Writes embeddings one record after another: see the module's description.
pub struct EmbeddingWriter<W: Write + Send> {
    shape: EmbeddingShape,
    dimension: usize,
    container: Container<W>,
    ids: Option<W>,
}

enum Container<W: Write + Send> {
    Table {
        output: W,
        rows: Rows,
    },
    NpyPooled {
        output: W,
        spool: Spool,
        records: usize,
    },
    NpyPerBase {
        output: W,
    },
    Safetensors {
        output: W,
        spool: Spool,
        header: SafetensorsHeader,
    },
    #[cfg(feature = "parquet")]
    Parquet(Box<ParquetWriter<W>>),
}

impl<W: Write + Send> EmbeddingWriter<W> {
    /// A writer to `output`, which should be buffered. `ids` takes the table of ids of formats that have no place for
    /// them ([`EmbeddingFormat::needs_id_table`]); it is not used by others.
    ///
    /// # Errors
    /// Where the output or a temporary file cannot be written.
    pub fn new(mut output: W, options: &EmbeddingOptions, ids: Option<W>) -> io::Result<Self> {
        let EmbeddingOptions { format, shape, dimension, header, .. } = *options;
        let spool = || Spool::new(options.temporary_folder.as_deref());
        let container = match (format, shape) {
            (EmbeddingFormat::Tsv | EmbeddingFormat::Json, _) => {
                let is_json = format == EmbeddingFormat::Json;
                let rows = Rows::new(&columns(shape, dimension), is_json, options.keep_description);
                if header {
                    output.write_all(rows.header().as_bytes())?;
                }
                Container::Table { output, rows }
            }
            (EmbeddingFormat::Npy, EmbeddingShape::Pooled) => {
                Container::NpyPooled { output, spool: spool()?, records: 0 }
            }
            (EmbeddingFormat::Npy, EmbeddingShape::PerBase) => Container::NpyPerBase { output },
            (EmbeddingFormat::Safetensors, _) => {
                Container::Safetensors { output, spool: spool()?, header: SafetensorsHeader::new(shape) }
            }
            #[cfg(feature = "parquet")]
            (EmbeddingFormat::Parquet, _) => {
                Container::Parquet(Box::new(ParquetWriter::new(output, shape, dimension)?))
            }
        };
        let mut ids = ids.filter(|_| format.needs_id_table());
        if let Some(ids) = ids.as_mut().filter(|_| header) {
            ids.write_all(b"id\tlength\n")?;
        }
        Ok(Self { shape, dimension, container, ids })
    }

    /// Writes one record.
    ///
    /// # Errors
    /// Those of the output; [`io::ErrorKind::InvalidInput`] where the container keys its content by id and the id was
    /// there before or is reserved, and where the values are not as many as the shape asks for.
    pub fn write(&mut self, record: Embedding<'_>) -> io::Result<()> {
        let rows = match self.shape {
            EmbeddingShape::Pooled => 1,
            EmbeddingShape::PerBase => record.sequence.len(),
        };
        if record.values.len() != rows * self.dimension {
            let (id, values, dimension) = (record.id, record.values.len(), self.dimension);
            return Err(invalid(format!("record {id}: {values} values for {rows} vectors of {dimension}")));
        }
        match &mut self.container {
            Container::Table { output, rows } => write_rows(output, rows, self.shape, self.dimension, &record)?,
            Container::NpyPooled { spool, records, .. } => {
                spool.write(record.values)?;
                *records += 1;
            }
            Container::NpyPerBase { output } => {
                output.write_all(&npy_header(rows, self.dimension))?;
                write_numbers(output, record.values)?;
            }
            Container::Safetensors { spool, header, .. } => {
                header.add(&record, self.dimension)?;
                spool.write(record.values)?;
            }
            #[cfg(feature = "parquet")]
            Container::Parquet(writer) => writer.write(&record)?,
        }
        match &mut self.ids {
            Some(ids) => writeln!(ids, "{}\t{}", record.id, record.sequence.len()),
            None => Ok(()),
        }
    }

    /// Writes what is still to be written and gives the output and the table of ids back, flushed. An output that was never finished is not
    /// a whole file.
    ///
    /// # Errors
    /// Those of the output and of the temporary file.
    pub fn finish(mut self) -> io::Result<(W, Option<W>)> {
        let mut output = match self.container {
            Container::Table { output, .. } | Container::NpyPerBase { output } => output,
            Container::NpyPooled { mut output, spool, records } => {
                output.write_all(&npy_header(records, self.dimension))?;
                spool.copy_to(&mut output)?;
                output
            }
            Container::Safetensors { mut output, spool, header } => {
                header.finish(&mut output, self.dimension)?;
                spool.copy_to(&mut output)?;
                output
            }
            #[cfg(feature = "parquet")]
            Container::Parquet(writer) => writer.finish()?,
        };
        if let Some(ids) = &mut self.ids {
            ids.flush()?;
        }
        output.flush()?;
        Ok((output, self.ids))
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// Writes numbers as little-endian bytes.
fn write_numbers(output: &mut impl Write, values: &[f32]) -> io::Result<()> {
    if cfg!(target_endian = "little") {
        return output.write_all(bytemuck::cast_slice(values));
    }
    values.iter().try_for_each(|value| output.write_all(&value.to_le_bytes()))
}

/// Numbers that wait for their header in a file without a name: the system removes it, whatever becomes of us.
struct Spool(BufWriter<File>);

impl Spool {
    fn new(folder: Option<&Path>) -> io::Result<Self> {
        let folder = folder.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let file = tempfile::tempfile_in(&folder).map_err(|source| {
            io::Error::new(source.kind(), format!("temporary file in {}: {source}", folder.display()))
        })?;
        Ok(Self(BufWriter::with_capacity(1 << 18, file)))
    }

    fn write(&mut self, values: &[f32]) -> io::Result<()> {
        write_numbers(&mut self.0, values)
    }

    fn copy_to(self, output: &mut impl Write) -> io::Result<()> {
        let mut file = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        let mut buffer = vec![0_u8; 1 << 18];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                bytes => output.write_all(&buffer[..bytes])?,
            }
        }
    }
}

/// The names of the columns of a table, with tabs between.
fn columns(shape: EmbeddingShape, dimension: usize) -> String {
    let mut header = match shape {
        EmbeddingShape::Pooled => "id\tlength".to_owned(),
        EmbeddingShape::PerBase => "id\tposition\tnucleotide".to_owned(),
    };
    for number in 0..dimension {
        header.push_str(&format!("\te{number}"));
    }
    header
}

fn write_rows(
    output: &mut impl Write,
    rows: &Rows,
    shape: EmbeddingShape,
    dimension: usize,
    record: &Embedding<'_>,
) -> io::Result<()> {
    let mut write_row = |start: std::fmt::Arguments<'_>, values: &[f32]| {
        let mut row = Vec::with_capacity(64 + 10 * values.len());
        row.write_fmt(start)?;
        for &value in values {
            row.push(b'\t');
            number::append(&mut row, value);
        }
        row.push(b'\n');
        output.write_all(&rows.of_record(row, record.description))
    };
    match shape {
        EmbeddingShape::Pooled => write_row(format_args!("{}\t{}", record.id, record.sequence.len()), record.values),
        EmbeddingShape::PerBase => {
            for (index, &base) in record.sequence.iter().enumerate() {
                let values = &record.values[index * dimension..(index + 1) * dimension];
                write_row(format_args!("{}\t{}\t{}", record.id, index + 1, char::from(base)), values)?;
            }
            Ok(())
        }
    }
}

/// The header of a .npy file, version 1.0, for a C-ordered `<f4` array of two axes; a multiple of 64 bytes, as NumPy
/// makes it.
fn npy_header(rows: usize, columns: usize) -> Vec<u8> {
    let mut header = b"\x93NUMPY\x01\x00\x00\x00".to_vec();
    let description = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    header.extend_from_slice(description.as_bytes());
    let padded = (header.len() + 1).next_multiple_of(64);
    header.resize(padded - 1, b' ');
    header.push(b'\n');
    // Two numbers of at most 20 digits leave the description far under the limit of 65,535 bytes.
    let description_length = ((padded - 10) as u16).to_le_bytes();
    header[8..10].copy_from_slice(&description_length);
    header
}

/// What a safetensors file says before its numbers.
enum SafetensorsHeader {
    /// The ids and lengths of all records, as the JSON lists that go into the metadata.
    Pooled { ids: String, lengths: String, records: usize },
    /// The tensors' entries (JSON), where the next one's data begin, and the names so far.
    PerBase { entries: String, offset: usize, names: FxHashSet<Box<str>> },
}

/// The longest header that readers of safetensors accept, in bytes.
const SAFETENSORS_HEADER_LIMIT: usize = 100_000_000;

impl SafetensorsHeader {
    fn new(shape: EmbeddingShape) -> Self {
        match shape {
            EmbeddingShape::Pooled => Self::Pooled { ids: String::new(), lengths: String::new(), records: 0 },
            EmbeddingShape::PerBase => Self::PerBase { entries: String::new(), offset: 0, names: FxHashSet::default() },
        }
    }

    fn add(&mut self, record: &Embedding<'_>, dimension: usize) -> io::Result<()> {
        let size = match self {
            Self::Pooled { ids, lengths, records } => {
                let separator = if *records == 0 { "" } else { "," };
                ids.push_str(separator);
                ids.push_str(&json(record.id));
                lengths.push_str(&format!("{separator}{}", record.sequence.len()));
                *records += 1;
                ids.len() + lengths.len()
            }
            Self::PerBase { entries, offset, names } => {
                let id = record.id;
                if id == "__metadata__" {
                    return Err(invalid(format!("record {id}: safetensors keeps this name for itself; rename it")));
                }
                if !names.insert(id.into()) {
                    return Err(invalid(format!("record {id}: the id is there twice, and tensors are named by ids")));
                }
                let separator = if entries.is_empty() { "" } else { "," };
                let length = record.sequence.len();
                let end = *offset + length * dimension * size_of::<f32>();
                let name = json(id);
                entries.push_str(&format!(
                    "{separator}{name}:{{\"dtype\":\"F32\",\"shape\":[{length},{dimension}],\"data_offsets\":[{offset},{end}]}}"
                ));
                *offset = end;
                entries.len()
            }
        };
        // Already here, so that a run which cannot end well ends early.
        check_safetensors_header(size)
    }

    fn finish(self, output: &mut impl Write, dimension: usize) -> io::Result<()> {
        let mut header = match self {
            Self::Pooled { ids, lengths, records } => {
                let end = records * dimension * size_of::<f32>();
                let (ids, lengths) = (json(&format!("[{ids}]")), json(&format!("[{lengths}]")));
                format!(
                    "{{\"__metadata__\":{{\"ids\":{ids},\"lengths\":{lengths}}},\
                     \"embeddings\":{{\"dtype\":\"F32\",\"shape\":[{records},{dimension}],\"data_offsets\":[0,{end}]}}}}"
                )
            }
            Self::PerBase { entries, .. } => format!("{{{entries}}}"),
        };
        // Blanks up to a multiple of 8, so that the numbers are aligned.
        header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
        check_safetensors_header(header.len())?;
        output.write_all(&(header.len() as u64).to_le_bytes())?;
        output.write_all(header.as_bytes())
    }
}

fn check_safetensors_header(bytes: usize) -> io::Result<()> {
    if bytes > SAFETENSORS_HEADER_LIMIT {
        let message = "too many records for safetensors, whose header may have 100 MB: write Parquet or NumPy";
        return Err(invalid(message.to_owned()));
    }
    Ok(())
}

/// A text as a JSON string.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use npyz::NpyFile;
    use parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::Field,
    };
    use safetensors::SafeTensors;

    use super::super::parquet_embedding::ROW_GROUP_NUMBERS;
    use super::*;

    const DIMENSION: usize = 3;

    /// Records (id, sequence, L x d numbers); ids that JSON has to escape.
    fn records() -> Vec<(String, Vec<u8>, Vec<f32>)> {
        [("a", "ACGUN"), ("b\"\\|é", "G"), ("c/1.2", "GGCC")]
            .iter()
            .enumerate()
            .map(|(number, (id, sequence))| {
                let values = (0..sequence.len() * DIMENSION).map(|place| (number * 100 + place) as f32 / 7.0);
                (id.to_string(), sequence.as_bytes().to_vec(), values.collect())
            })
            .collect()
    }

    /// The values of a record in a shape; pooled is the first row here.
    fn of_shape(shape: EmbeddingShape, values: &[f32]) -> &[f32] {
        match shape {
            EmbeddingShape::Pooled => &values[..DIMENSION],
            EmbeddingShape::PerBase => values,
        }
    }

    fn options(format: EmbeddingFormat, shape: EmbeddingShape) -> EmbeddingOptions {
        EmbeddingOptions {
            format,
            shape,
            dimension: DIMENSION,
            header: true,
            keep_description: false,
            temporary_folder: None,
        }
    }

    fn write(options: &EmbeddingOptions, records: &[(String, Vec<u8>, Vec<f32>)]) -> io::Result<Vec<u8>> {
        let mut writer = EmbeddingWriter::new(Vec::new(), options, None)?;
        for (id, sequence, values) in records {
            writer.write(Embedding { id, description: "", sequence, values: of_shape(options.shape, values) })?;
        }
        Ok(writer.finish()?.0)
    }

    #[test]
    fn tsv_has_a_row_per_record_or_base() {
        let records = records();
        let pooled = write(&options(EmbeddingFormat::Tsv, EmbeddingShape::Pooled), &records[..2]).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&pooled),
            "id\tlength\te0\te1\te2\na\t5\t0\t0.142857\t0.285714\nb\"\\|é\t1\t14.2857\t14.4286\t14.5714\n"
        );
        let per_base = write(&options(EmbeddingFormat::Tsv, EmbeddingShape::PerBase), &records).unwrap();
        let per_base = String::from_utf8(per_base).unwrap();
        let rows: Vec<&str> = per_base.lines().collect();
        assert_eq!(rows.len(), 1 + 5 + 1 + 4);
        assert_eq!(rows[0], "id\tposition\tnucleotide\te0\te1\te2");
        assert_eq!(rows[5], "a\t5\tN\t1.71429\t1.85714\t2");
        assert_eq!(rows[7], "c/1.2\t1\tG\t28.5714\t28.7143\t28.8571");
    }

    #[test]
    fn shards_of_formats_that_concatenate_are_the_whole() {
        let records = records();
        for format in [EmbeddingFormat::Tsv, EmbeddingFormat::Npy] {
            for shape in [EmbeddingShape::Pooled, EmbeddingShape::PerBase] {
                let first = options(format, shape);
                let second = EmbeddingOptions { header: false, ..first.clone() };
                let mut shards = write(&first, &records[..1]).unwrap();
                shards.extend(write(&second, &records[1..]).unwrap());
                assert_eq!(shards == write(&first, &records).unwrap(), format.concatenates(shape));
            }
        }
    }

    #[test]
    fn npy_pooled_is_one_array() {
        let records = records();
        let bytes = write(&options(EmbeddingFormat::Npy, EmbeddingShape::Pooled), &records).unwrap();
        let array = NpyFile::new(bytes.as_slice()).unwrap();
        assert_eq!(array.shape(), [3, DIMENSION as u64]);
        let expected: Vec<f32> = records.iter().flat_map(|(_, _, values)| values[..DIMENSION].to_vec()).collect();
        assert_eq!(array.into_vec::<f32>().unwrap(), expected);

        let none = write(&options(EmbeddingFormat::Npy, EmbeddingShape::Pooled), &[]).unwrap();
        assert_eq!(NpyFile::new(none.as_slice()).unwrap().shape(), [0, DIMENSION as u64]);
    }

    #[test]
    fn npy_per_base_is_an_array_per_record() {
        let records = records();
        let bytes = write(&options(EmbeddingFormat::Npy, EmbeddingShape::PerBase), &records).unwrap();
        let mut rest = bytes.as_slice();
        for (_, sequence, values) in &records {
            // The header says how long it is, a multiple of 64 bytes with what stands before.
            assert_eq!((usize::from(rest[8]) + 256 * usize::from(rest[9]) + 10) % 64, 0);
            let array = NpyFile::new(&mut rest).unwrap();
            assert_eq!(array.shape(), [sequence.len() as u64, DIMENSION as u64]);
            assert_eq!(&array.into_vec::<f32>().unwrap(), values);
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn npy_ids_go_to_a_table_of_their_own() {
        for (format, table) in
            [(EmbeddingFormat::Npy, "id\tlength\na\t5\nb\"\\|é\t1\nc/1.2\t4\n"), (EmbeddingFormat::Tsv, "")]
        {
            let options = options(format, EmbeddingShape::Pooled);
            let mut writer = EmbeddingWriter::new(Vec::new(), &options, Some(Vec::new())).unwrap();
            for (id, sequence, values) in &records() {
                writer.write(Embedding { id, description: "", sequence, values: &values[..DIMENSION] }).unwrap();
            }
            let (_, ids) = writer.finish().unwrap();
            assert_eq!(String::from_utf8_lossy(&ids.unwrap_or_default()), table);
        }
    }

    fn f32s(bytes: &[u8]) -> Vec<f32> {
        bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
    }

    #[test]
    fn safetensors_pooled_is_one_tensor_with_ids() {
        let records = records();
        let bytes = write(&options(EmbeddingFormat::Safetensors, EmbeddingShape::Pooled), &records).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(tensors.names(), ["embeddings"]);
        let tensor = tensors.tensor("embeddings").unwrap();
        assert_eq!(tensor.shape(), [3, DIMENSION]);
        let expected: Vec<f32> = records.iter().flat_map(|(_, _, values)| values[..DIMENSION].to_vec()).collect();
        assert_eq!(f32s(tensor.data()), expected);
        assert_eq!(tensor.data().as_ptr() as usize % 8, bytes.as_ptr() as usize % 8);

        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().unwrap();
        let ids: Vec<String> = serde_json::from_str(&metadata["ids"]).unwrap();
        assert_eq!(ids, ["a", "b\"\\|é", "c/1.2"]);
        let lengths: Vec<usize> = serde_json::from_str(&metadata["lengths"]).unwrap();
        assert_eq!(lengths, [5, 1, 4]);
    }

    #[test]
    fn safetensors_per_base_is_a_tensor_per_record() {
        let records = records();
        let bytes = write(&options(EmbeddingFormat::Safetensors, EmbeddingShape::PerBase), &records).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(tensors.len(), 3);
        for (id, sequence, values) in &records {
            let tensor = tensors.tensor(id).unwrap();
            assert_eq!(tensor.shape(), [sequence.len(), DIMENSION]);
            assert_eq!(&f32s(tensor.data()), values);
        }
    }

    #[test]
    fn safetensors_without_records_is_a_file() {
        for shape in [EmbeddingShape::Pooled, EmbeddingShape::PerBase] {
            let bytes = write(&options(EmbeddingFormat::Safetensors, shape), &[]).unwrap();
            assert!(SafeTensors::deserialize(&bytes).is_ok());
        }
    }

    #[test]
    fn tensors_are_named_once() {
        let mut records = records();
        records[2].0 = "a".to_owned();
        let error = write(&options(EmbeddingFormat::Safetensors, EmbeddingShape::PerBase), &records).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("record a"), "{error}");
        // Where ids are no keys, they may be there twice.
        assert!(write(&options(EmbeddingFormat::Safetensors, EmbeddingShape::Pooled), &records).is_ok());
        records[2].0 = "__metadata__".to_owned();
        assert!(write(&options(EmbeddingFormat::Safetensors, EmbeddingShape::PerBase), &records).is_err());
    }

    fn parquet_reader(bytes: &[u8]) -> SerializedFileReader<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        SerializedFileReader::new(file).unwrap()
    }

    #[test]
    fn parquet_has_a_column_per_number() {
        let records = records();
        for shape in [EmbeddingShape::Pooled, EmbeddingShape::PerBase] {
            let bytes = write(&options(EmbeddingFormat::Parquet, shape), &records).unwrap();
            let reader = parquet_reader(&bytes);
            let rows: Vec<Vec<Field>> = reader
                .get_row_iter(None)
                .unwrap()
                .map(|row| row.unwrap().get_column_iter().map(|(_, field)| field.clone()).collect())
                .collect();
            let expected: Vec<Vec<Field>> = records
                .iter()
                .flat_map(|(id, sequence, values)| {
                    let id = Field::Str(id.clone());
                    let numbers = |row: usize| {
                        values[row * DIMENSION..(row + 1) * DIMENSION]
                            .iter()
                            .map(|&value| Field::Float(value))
                            .collect()
                    };
                    let rows: Vec<Vec<Field>> = match shape {
                        EmbeddingShape::Pooled => {
                            vec![[vec![id, Field::Long(sequence.len() as i64)], numbers(0)].concat()]
                        }
                        EmbeddingShape::PerBase => (0..sequence.len())
                            .map(|row| {
                                let nucleotide = Field::Str(char::from(sequence[row]).to_string());
                                [vec![id.clone(), Field::Long(row as i64 + 1), nucleotide], numbers(row)].concat()
                            })
                            .collect(),
                    };
                    rows
                })
                .collect();
            assert_eq!(rows, expected);
        }
    }

    #[test]
    fn parquet_goes_out_in_row_groups() {
        // Vectors so long that a row group holds four of them.
        let options = EmbeddingOptions {
            dimension: ROW_GROUP_NUMBERS / 4 / 512,
            ..options(EmbeddingFormat::Parquet, EmbeddingShape::PerBase)
        };
        let length = 4 * 512 + 100;
        let values: Vec<f32> = (0..length * options.dimension).map(|place| (place % 1000) as f32).collect();
        let sequence = vec![b'A'; length];
        let mut writer = EmbeddingWriter::new(Vec::new(), &options, None).unwrap();
        writer.write(Embedding { id: "long", description: "", sequence: &sequence, values: &values }).unwrap();
        let (bytes, _) = writer.finish().unwrap();
        let reader = parquet_reader(&bytes);
        let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, [4 * 512, 100]);
        let last = reader.get_row_iter(None).unwrap().last().unwrap().unwrap();
        let last: Vec<Field> = last.get_column_iter().skip(3).map(|(_, field)| field.clone()).collect();
        let expected = &values[(length - 1) * options.dimension..];
        assert!(last.iter().zip(expected).all(|(field, &value)| *field == Field::Float(value)));
    }

    #[test]
    fn every_format_writes_a_file_for_no_records() {
        for format in [EmbeddingFormat::Tsv, EmbeddingFormat::Parquet] {
            for shape in [EmbeddingShape::Pooled, EmbeddingShape::PerBase] {
                assert!(!write(&options(format, shape), &[]).unwrap().is_empty());
            }
        }
        assert!(write(&options(EmbeddingFormat::Npy, EmbeddingShape::PerBase), &[]).unwrap().is_empty());
    }

    #[test]
    fn values_of_another_shape_are_refused() {
        for shape in [EmbeddingShape::Pooled, EmbeddingShape::PerBase] {
            let mut writer = EmbeddingWriter::new(Vec::new(), &options(EmbeddingFormat::Tsv, shape), None).unwrap();
            let error =
                writer.write(Embedding { id: "a", description: "", sequence: b"ACG", values: &[0.0; 4] }).unwrap_err();
            assert!(error.to_string().contains("record a"), "{error}");
        }
    }

    #[test]
    fn a_closed_pipe_stays_known_as_one() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for format in
            [EmbeddingFormat::Tsv, EmbeddingFormat::Npy, EmbeddingFormat::Safetensors, EmbeddingFormat::Parquet]
        {
            let result = EmbeddingWriter::new(Closed, &options(format, EmbeddingShape::Pooled), None)
                .and_then(EmbeddingWriter::finish);
            assert_eq!(result.err().map(|error| error.kind()), Some(io::ErrorKind::BrokenPipe), "{format:?}");
        }
    }

    #[test]
    fn a_temporary_folder_that_is_not_there_is_named() {
        let options = EmbeddingOptions {
            temporary_folder: Some(PathBuf::from("/nowhere/at/all")),
            ..options(EmbeddingFormat::Npy, EmbeddingShape::Pooled)
        };
        let error = EmbeddingWriter::new(Vec::new(), &options, None).err().unwrap();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
