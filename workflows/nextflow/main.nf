#!/usr/bin/env nextflow
//
// RNAs -> structures, coding windows, miRNA target sites and embeddings -> one summary TSV.
// Each tool's work is shared out over `--shards` tasks; the parts, joined in order, are what one task would have written.
//

include { RNARET_CODING } from './modules/rnaret/coding/main'
include { RNARET_EMBED } from './modules/rnaret/embed/main'
include { RNARET_FOLD } from './modules/rnaret/fold/main'
include { RNARET_MIRTARGET } from './modules/rnaret/mirtarget/main'
include { JOIN } from './modules/local/join/main'
include { SUMMARY } from './modules/local/summary/main'

// The name of an input without what tells only its format and compression.
def sampleName(String filename) {
    return filename.replaceFirst(/\.(gz|bgz|bz2|xz|zst)$/, '').replaceFirst(/\.(fa|fasta|fna|fq|fastq|tsv)$/, '')
}

// The parts of one output (kind) of each sample, in the order of the shards: [ meta, [ parts ], name ].
def gather(parts, Integer shards, String kind, String extension) {
    return parts
        .map { meta, part -> tuple(meta.id, meta.index, part) }
        .groupTuple(by: 0, size: shards)
        .map { id, indices, files ->
            def order = (0..<files.size()).toSorted { position -> indices[position] }
            tuple([id: id, kind: kind], order.collect { position -> files[position] }, "${id}.${kind}.${extension}".toString())
        }
}

workflow RNARET {
    take:
    rnas   // channel of [ meta, file ]: FASTA or FASTQ, compressed or not; meta.id is unique
    mirnas // file: FASTA of mature miRNAs, 5'->3'
    shards // number of tasks that each tool's work on a file is shared out to

    main:
    sharded = rnas
        .combine(channel.fromList((1..shards).toList()))
        .map { meta, file, index -> tuple(meta + [index: index, shard: "${index}/${shards}".toString()], file) }

    RNARET_FOLD(sharded, 'tsv', false, [])
    RNARET_CODING(sharded, false)
    RNARET_MIRTARGET(sharded, mirnas, 'tsv')
    RNARET_EMBED(sharded, 'tsv')

    parts = gather(RNARET_FOLD.out.structures, shards, 'structures', 'tsv.gz')
        .mix(gather(RNARET_CODING.out.potential, shards, 'potential', 'tsv.gz'))
        .mix(gather(RNARET_CODING.out.bed, shards, 'cds', 'bed.gz'))
        .mix(gather(RNARET_MIRTARGET.out.sites, shards, 'sites', 'tsv.gz'))
        .mix(gather(RNARET_EMBED.out.embeddings, shards, 'embeddings', 'tsv.gz'))
    JOIN(parts)

    by_sample = JOIN.out.whole
        .map { meta, file -> tuple(meta.id, [kind: meta.kind, file: file]) }
        .groupTuple(by: 0, size: 5)
        .map { id, wholes ->
            def files = wholes.collectEntries { whole -> [(whole.kind): whole.file] }
            tuple([id: id], files.structures, files.potential, files.cds, files.sites, files.embeddings)
        }
    SUMMARY(by_sample, file("${projectDir}/../bin/summarize-rnas.sh", checkIfExists: true).normalize())

    tool_versions = RNARET_FOLD.out.versions_rnaretfold
        .mix(RNARET_CODING.out.versions_rnaretcoding)
        .mix(RNARET_MIRTARGET.out.versions_rnaretmirtarget)
        .mix(RNARET_EMBED.out.versions_rnaretembed)
    tool_stats = RNARET_FOLD.out.stats
        .mix(RNARET_CODING.out.stats)
        .mix(RNARET_MIRTARGET.out.stats)
        .mix(RNARET_EMBED.out.stats)

    emit:
    summary  = SUMMARY.out.table // channel of [ meta, tsv ]
    joined   = JOIN.out.whole    // channel of [ meta, file ]: meta.kind is structures, potential, cds, sites or embeddings
    stats    = tool_stats        // channel of [ meta, tsv ]: what `--stats` says of each task
    versions = tool_versions     // channel of [ process, tool, version ]
}

workflow {
    if (!params.input || !params.mirnas) {
        error("Give the RNAs with --input (FASTA or FASTQ, a glob for several) and the miRNAs with --mirnas (FASTA). See workflows/README.md.")
    }
    def shards = params.shards.toString().toInteger()
    if (shards < 1) {
        error("--shards has to be 1 or more, not ${params.shards}.")
    }
    def found = files(params.input, checkIfExists: true)
    def inputs = (found instanceof List ? found : [found]).collect { input -> input.normalize() }
    def names = inputs.collect { input -> sampleName(input.name) }
    if (names.toUnique().size() != names.size()) {
        error("Two inputs have the same name, which names their results: ${names.sort().join(', ')}.")
    }
    def samples = inputs.collect { input -> [[id: sampleName(input.name)], input] }

    RNARET(channel.fromList(samples), file(params.mirnas, checkIfExists: true).normalize(), shards)

    // One table about all tasks, as if they had shared it: provenance, and MultiQC's custom content (docs/multiqc_config.yaml).
    RNARET.out.stats
        .map { _meta, table -> table }
        .collectFile(name: 'rnaret.stats.tsv', storeDir: params.outdir, keepHeader: true, skip: 1, sort: { table -> table.name })
    RNARET.out.versions
        .map { row -> "${row[0].tokenize(':').last()}\t${row[1]}\t${row[2]}\n".toString() }
        .unique()
        .collectFile(name: 'versions.tsv', storeDir: params.outdir, sort: true, seed: "process\ttool\tversion\n")
}
