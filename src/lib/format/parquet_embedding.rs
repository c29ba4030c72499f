//! Embeddings as Apache Parquet: see [`super::embedding`] for the columns.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as PhysicalType, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, FloatType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{Type, TypePtr},
};

use super::embedding::{Embedding, EmbeddingShape};

/// Numbers per row group: 16 MiB.
pub(super) const ROW_GROUP_NUMBERS: usize = 4 << 20;

/// Rows that gather until they make a row group.
pub(super) struct ParquetWriter<W: Write + Send> {
    writer: SerializedFileWriter<Slot<W>>,
    shape: EmbeddingShape,
    dimension: usize,
    rows_per_group: usize,
    /// One row after another.
    values: Vec<f32>,
    ids: Vec<ByteArray>,
    /// Lengths or positions.
    numbers: Vec<i64>,
    nucleotides: Vec<ByteArray>,
}

impl<W: Write + Send> ParquetWriter<W> {
    pub(super) fn new(output: W, shape: EmbeddingShape, dimension: usize) -> io::Result<Self> {
        let level = ZstdLevel::try_new(1).map_err(io_error)?;
        let properties = WriterProperties::builder()
            .set_created_by(concat!("rnaret ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(level))
            // Every embedding is another number: a dictionary would be built in vain.
            .set_dictionary_enabled(false)
            .set_column_dictionary_enabled("id".into(), true)
            .set_column_dictionary_enabled("nucleotide".into(), true)
            .build();
        let schema = schema(shape, dimension).map_err(io_error)?;
        let writer = SerializedFileWriter::new(Slot(Some(output)), schema, Arc::new(properties)).map_err(io_error)?;
        let rows_per_group = (ROW_GROUP_NUMBERS / dimension.max(1)).clamp(1, 1 << 20);
        Ok(Self {
            writer,
            shape,
            dimension,
            rows_per_group,
            values: Vec::new(),
            ids: Vec::new(),
            numbers: Vec::new(),
            nucleotides: Vec::new(),
        })
    }

    pub(super) fn write(&mut self, record: &Embedding<'_>) -> io::Result<()> {
        let id = ByteArray::from(record.id.as_bytes().to_vec());
        let rows = match self.shape {
            EmbeddingShape::Pooled => 1,
            EmbeddingShape::PerBase => record.sequence.len(),
        };
        for row in 0..rows {
            self.ids.push(id.clone());
            match self.shape {
                EmbeddingShape::Pooled => self.numbers.push(record.sequence.len() as i64),
                EmbeddingShape::PerBase => {
                    self.numbers.push(row as i64 + 1);
                    self.nucleotides.push(ByteArray::from(vec![record.sequence[row]]));
                }
            }
            self.values.extend_from_slice(&record.values[row * self.dimension..(row + 1) * self.dimension]);
            if self.ids.len() == self.rows_per_group {
                self.write_row_group()?;
            }
        }
        Ok(())
    }

    fn write_row_group(&mut self) -> io::Result<()> {
        let mut group = self.writer.next_row_group().map_err(io_error)?;
        write_column::<ByteArrayType, _>(&mut group, &self.ids)?;
        write_column::<Int64Type, _>(&mut group, &self.numbers)?;
        if self.shape == EmbeddingShape::PerBase {
            write_column::<ByteArrayType, _>(&mut group, &self.nucleotides)?;
        }
        let mut column = Vec::with_capacity(self.ids.len());
        for place in 0..self.dimension {
            column.clear();
            column.extend(self.values[place..].iter().step_by(self.dimension));
            write_column::<FloatType, _>(&mut group, &column)?;
        }
        group.close().map_err(io_error)?;
        self.ids.clear();
        self.numbers.clear();
        self.nucleotides.clear();
        self.values.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        if !self.ids.is_empty() {
            self.write_row_group()?;
        }
        // Not by its `into_inner`, which makes a text of an error of the output.
        self.writer.finish().map_err(io_error)?;
        self.writer.inner_mut().0.take().ok_or_else(Slot::<W>::gone)
    }
}

/// An output that can be taken back from the Parquet library.
struct Slot<W>(Option<W>);

impl<W: Write> Slot<W> {
    fn gone() -> io::Error {
        io::Error::other("the output was taken back")
    }

    fn output(&mut self) -> io::Result<&mut W> {
        self.0.as_mut().ok_or_else(Self::gone)
    }
}

impl<W: Write> Write for Slot<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), W::flush)
    }
}

fn write_column<T: parquet::data_type::DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
) -> io::Result<()> {
    let column = group.next_column().map_err(io_error)?;
    let mut column = column.ok_or_else(|| io::Error::other("more columns than the Parquet schema has"))?;
    column.typed::<T>().write_batch(values, None, None).map_err(io_error)?;
    column.close().map_err(io_error)
}

fn schema(shape: EmbeddingShape, dimension: usize) -> Result<TypePtr, ParquetError> {
    let column = |name: &str, physical: PhysicalType, logical: Option<LogicalType>| {
        let builder = Type::primitive_type_builder(name, physical).with_repetition(Repetition::REQUIRED);
        builder.with_logical_type(logical).build().map(Arc::new)
    };
    let mut fields = vec![column("id", PhysicalType::BYTE_ARRAY, Some(LogicalType::String))?];
    match shape {
        EmbeddingShape::Pooled => fields.push(column("length", PhysicalType::INT64, None)?),
        EmbeddingShape::PerBase => {
            fields.push(column("position", PhysicalType::INT64, None)?);
            fields.push(column("nucleotide", PhysicalType::BYTE_ARRAY, Some(LogicalType::String))?);
        }
    }
    for number in 0..dimension {
        fields.push(column(&format!("e{number}"), PhysicalType::FLOAT, None)?);
    }
    Type::group_type_builder("embeddings").with_fields(fields).build().map(Arc::new)
}

/// What the Parquet library says went wrong; an error of the output is given as it was, so that a closed pipe is still
/// known as one.
fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        other => io::Error::other(other),
    }
}
